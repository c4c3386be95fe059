"""Gateway: what one VirtualGateway listens on at one gateway Service (routing.md §3.9), and the doors between clusters
(destinations.md §4.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fingerpost.api.networking.virtual_gateway import ProtocolVersion
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined
from mgmt.translate.emit.istio.objects import Emitted, IstioObject, build, cannot
from mgmt.translate.routing.gateway_plan import ChainPlan, GatewayPlan, port_name
from mgmt.translate.routing.listener_tls import ServerTls
from mgmt.translate.routing.listeners import ResolvedListener

KIND = "Gateway"
Labels = tuple[tuple[str, str], ...]


def gateway_name(virtual: ObjectKey, service: ObjectKey) -> str:
    return joined("virtualgateway", virtual.name, virtual.namespace, virtual.cluster, service.name, service.namespace)


def admitted(virtual: ObjectKey, listeners: Iterable[ResolvedListener], plan: GatewayPlan) -> list[ResolvedListener]:
    """Those that lost no conflict on their port."""
    feeds = {(feed.gateway, feed.listener) for config in plan.route_configs for feed in config.feeds}
    return [listener for listener in listeners if (virtual, listener.plan.index) in feeds]


def emit_gateway(
    site: Site,
    virtual: ObjectKey,
    service: ObjectKey,
    selector: Labels,
    listeners: Sequence[ResolvedListener],
    plan: GatewayPlan,
) -> Emitted:
    """`plan` is the gateway's, of all its VirtualGateways. No listener left: no object."""
    taken: set[str] = set()
    servers = []
    problems: list[Problem] = []
    for listener in admitted(virtual, listeners, plan):
        name = port_name(listener)
        name = f"{name}-{listener.plan.index}" if name in taken else name
        taken.add(name)
        port = {"number": listener.listening_port, "name": name, "protocol": listener.plan.protocol}
        chain = _chain(virtual, listener, plan)
        server: dict[str, Any] = {"port": port, "hosts": list(listener.plan.hosts)}
        if chain is not None and chain.tls is not None:
            # Older listeners may have taken some of the names, and Envoy knows no `*-x.example` in SNI matches.
            server["hosts"] = list(chain.server_names) or ["*"]
            server["tls"] = _server_tls(chain.tls)
            problems += _tls_limits(virtual, listener.plan.index, chain.tls)
        elif listener.plan.https_redirect:
            server["tls"] = {"httpsRedirect": True}
            problems += _redirect_limits(virtual, listener, plan)
        servers.append(server)
    if not servers:
        return Emitted()
    spec = {"selector": dict(selector), "servers": servers}
    return Emitted((build(KIND, site, gateway_name(virtual, service), [virtual], spec),), tuple(problems))


def _chain(virtual: ObjectKey, listener: ResolvedListener, plan: GatewayPlan) -> ChainPlan | None:
    config = next(
        c for c in plan.route_configs if any((f.gateway, f.listener) == (virtual, listener.plan.index) for f in c.feeds)
    )
    return next((c for p in plan.ports for c in p.chains if c.route_config == config.name), None)


def _server_tls(tls: ServerTls) -> dict[str, Any]:
    out: dict[str, Any] = {"mode": "MUTUAL" if tls.mutual else "SIMPLE"}
    if tls.secret_name:
        out["credentialName"] = tls.secret_name
    else:
        out |= {"serverCertificate": tls.server_cert, "privateKey": tls.private_key}
        if tls.ca_certs:
            out["caCertificates"] = tls.ca_certs
    if tls.subject_alt_names:
        out["subjectAltNames"] = list(tls.subject_alt_names)
    for field, version in (("minProtocolVersion", tls.minimum), ("maxProtocolVersion", tls.maximum)):
        if version is not ProtocolVersion.TLS_AUTO:
            out[field] = version.value.upper()
    if tls.cipher_suites:
        out["cipherSuites"] = list(tls.cipher_suites)
    return out


def _tls_limits(virtual: ObjectKey, index: int, tls: ServerTls) -> list[Problem]:
    if not tls.subject_alt_names:
        return []
    message = (
        f"listener {index}: Istio matches verifySubjectAltName {', '.join(tls.subject_alt_names)} against names of "
        "every kind, an Envoy gateway against DNS names and URIs; use names that are unique among all kinds"
    )
    return [cannot(virtual, f"spec.listeners[{index}].tls.verifySubjectAltName", message, located=True)]


def _redirect_limits(virtual: ObjectKey, listener: ResolvedListener, plan: GatewayPlan) -> list[Problem]:
    config = next(c for c in plan.route_configs if c.port == listener.listening_port)
    others = sorted({f"{f.gateway.namespace}/{f.gateway.name}" for f in config.feeds if f.gateway != virtual})
    if not others:
        return []
    index = listener.plan.index
    message = (
        f"listener {index}: with Istio httpsRedirect does not hold for routes of VirtualGateway {', '.join(others)} on "
        f"port {listener.service_port}; set httpsRedirect on its listener too"
    )
    return [cannot(virtual, f"spec.listeners[{index}].httpsRedirect", message, located=True)]


# ---------------------------------------------------------------- between clusters


def emit_passthrough(
    site: Site,
    service: ObjectKey,
    selector: Labels,
    hosts: Mapping[int, Iterable[str]],
    parents: Iterable[ObjectKey],
) -> IstioObject:
    """`hosts` by target port; istiod makes the clusters behind the SNI names by itself."""
    servers = [
        {
            "port": {"number": port, "name": "tls" if len(hosts) == 1 else f"tls-{port}", "protocol": "TLS"},
            "hosts": sorted(found),
            "tls": {"mode": "AUTO_PASSTHROUGH"},
        }
        for port, found in sorted(hosts.items())
    ]
    name = joined("eastwest", service.name, service.namespace, "passthrough")
    return build(KIND, site, name, parents, {"selector": dict(selector), "servers": servers})


def termination_name(service: ObjectKey, host: str) -> str:
    return joined("eastwest", service.name, service.namespace, host)


def emit_termination(
    site: Site, service: ObjectKey, selector: Labels, port: int, host: str, parent: ObjectKey
) -> IstioObject:
    """The wildcard is meant: an SNI has underscores, which a literal host may not have."""
    server = {
        "port": {"number": port, "name": "https", "protocol": "TLS"},
        "hosts": [f"*.{host}"],
        "tls": {"mode": "ISTIO_MUTUAL"},
    }
    spec = {"selector": dict(selector), "servers": [server]}
    return build(KIND, site, termination_name(service, host), [parent], spec)
