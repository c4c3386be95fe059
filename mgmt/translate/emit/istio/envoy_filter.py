"""EnvoyFilter, for what no other object of Istio can say: which port is meant where an east-west gateway ends TLS
(destinations.md §4.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined
from mgmt.translate.emit.istio.objects import IstioObject, build
from mgmt.translate.ir import Destination
from mgmt.translate.routing.eastwest import sni_of

KIND = "EnvoyFilter"
_API_VERSION: Final = "networking.istio.io/v1alpha3"
_TYPES: Final = "type.googleapis.com/envoy.extensions"
# As istiod writes them for a server of mode ISTIO_MUTUAL.
_SDS: Final = {
    "api_config_source": {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
    },
    "resource_api_version": "V3",
    "initial_fetch_timeout": "0s",
}
_MUTUAL_TLS: Final = {
    "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
    "require_client_certificate": True,
    "common_tls_context": {
        "alpn_protocols": ["istio-peer-exchange", "istio", "h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": _SDS}],
        "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": _SDS},
    },
}


def emit_ports(
    site: Site,
    service: ObjectKey,
    selector: tuple[tuple[str, str], ...],
    listening: int,
    host: str,
    local: Iterable[tuple[int, Destination]],
    parent: ObjectKey,
) -> IstioObject:
    """A filter chain for each port of the destination. Its SNI is an exact name, which Envoy prefers to the wildcard of
    the Gateway; `local` are the destinations of its ports.
    """
    match = {"context": "GATEWAY", "listener": {"portNumber": listening}}
    patches = [
        {"applyTo": "FILTER_CHAIN", "match": match, "patch": {"operation": "ADD", "value": _chain(port, host, found)}}
        for port, found in local
    ]
    spec = {"workloadSelector": {"labels": dict(selector)}, "configPatches": patches}
    name = joined("eastwest", service.name, service.namespace, host, "ports")
    return build(KIND, site, name, [parent], spec, api_version=_API_VERSION)


def _chain(port: int, host: str, local: Destination) -> dict[str, Any]:
    sni, cluster = sni_of(port, "", host), local.cluster_name
    proxy = {"@type": f"{_TYPES}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": cluster, "cluster": cluster}
    return {
        "name": sni,
        "filter_chain_match": {"server_names": [sni]},
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _MUTUAL_TLS},
    }
