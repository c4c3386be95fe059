"""The bootstrap file of a plain Envoy that gets everything from an agent. Pure; what `fingerpost proxy bootstrap`
prints.
"""

from __future__ import annotations

from typing import Any

from agent.discovery.locality import Locality
from fingerpost.api.limits import LARGEST_REGEX

BIND = "FINGERPOST_BIND"
GATEWAY = "FINGERPOST_GATEWAY"
_XDS = "fingerpost-agent"
_REGEX_LIMIT = "re2.max_program_size.error_level"


def bootstrap(
    agent_address: str,
    gateway: str,
    cluster: str,
    token: str,
    *,
    bind: str = "",
    admin_port: int = 0,
    locality: Locality | None = None,
    instance: str = "proxy-0",
    delta: bool = True,
) -> dict[str, Any]:
    """`agent_address` is host:port, `gateway` namespace/name of the gateway's Service. `admin_port` 0: any free port of
    127.0.0.1.
    """
    host, _, port = agent_address.rpartition(":")
    service = {
        "envoy_grpc": {"cluster_name": _XDS},
        "initial_metadata": [{"key": "authorization", "value": f"Bearer {token}"}],
    }
    source = {"resource_api_version": "V3", "ads": {}}
    metadata = {GATEWAY: gateway} | ({BIND: bind} if bind else {})
    node: dict[str, Any] = {"id": f"{gateway}/{instance}", "cluster": cluster, "metadata": metadata}
    if locality is not None and locality.region:
        node["locality"] = {k: v for k, v in locality._asdict().items() if v}
    return {
        "node": node,
        "admin": {"address": _socket("127.0.0.1", admin_port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if delta else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [service],
            },
            "cds_config": source,
            "lds_config": source,
        },
        "static_resources": {"clusters": [_agent(host, int(port))]},
        "layered_runtime": {"layers": [{"name": "fingerpost", "static_layer": {_REGEX_LIMIT: LARGEST_REGEX}}]},
    }


def _agent(host: str, port: int) -> dict[str, Any]:
    return {
        "name": _XDS,
        "type": "STATIC" if _is_address(host) else "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": _XDS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(host.strip("[]"), port)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "20s"}}
                },
            }
        },
    }


def _is_address(host: str) -> bool:
    return host.startswith("[") or host.replace(".", "").isdigit()


def _socket(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
