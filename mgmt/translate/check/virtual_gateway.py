"""VirtualGateway: the admission rules of listeners and their TLS (routing.md §3.1, §3.5, §18).

What costs only one listener (a mode that cannot work, unknown ciphers, two listeners on one port) is found where
listeners are compiled.
"""

from __future__ import annotations

from fingerpost.api.limits import LONGEST_APP_PROTOCOL, MOST_LISTENERS
from fingerpost.api.networking.virtual_gateway import Listener, ProtocolVersion, TLSConfig, TLSMode, VirtualGateway
from fingerpost.crd.rules import virtual_gateway as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import check_length, check_one_of, check_port, refuse

_PROTOCOLS = frozenset(
    {"GRPC", "GRPC-WEB", "HTTP", "HTTP_PROXY", "HTTP2", "HTTPS", "TCP", "TLS", "MONGO", "REDIS", "MYSQL"}
)
_HTTP_PLAIN = frozenset({"", "GRPC", "GRPC-WEB", "HTTP", "HTTP_PROXY", "HTTP2"})
_HTTP_TLS = frozenset({"", "HTTPS"})
_TCP_PLAIN = frozenset({"", "TCP", "MONGO", "REDIS", "MYSQL"})
_TCP_TLS = frozenset({"", "TLS"})
_OLD_VERSIONS = (ProtocolVersion.TLSV1_0, ProtocolVersion.TLSV1_1)
_RULES = {
    # (http, tls): allowed protocols and the message
    (True, True): (_HTTP_TLS, rules.HTTP_WITH_TLS),
    (True, False): (_HTTP_PLAIN, rules.HTTP_WITHOUT_TLS),
    (False, True): (_TCP_TLS, rules.TCP_WITH_TLS),
    (False, False): (_TCP_PLAIN, rules.TCP_WITHOUT_TLS),
}


def check(gateway: VirtualGateway, report: Reporter) -> None:
    spec = gateway.spec
    if not spec.listeners:
        refuse(report, "spec.listeners", "is empty; at least one listener is needed")
    check_length(report, "spec.listeners", spec.listeners, MOST_LISTENERS)
    for i, workload in enumerate(spec.workloads):
        check_port(report, f"spec.workloads[{i}].port", workload.port)
    for i, listener in enumerate(spec.listeners):
        _check_listener(f"spec.listeners[{i}]", listener, report)


def _check_listener(path: str, listener: Listener, report: Reporter) -> None:
    check_one_of(report, path, {"http": listener.http is not None, "tcp": listener.tcp is not None})
    check_one_of(report, path, {"tls": listener.tls is not None, "httpsRedirect": listener.https_redirect})
    if listener.port is None or not (listener.port.number or listener.port.name):
        refuse(report, f"{path}.port", rules.PORT)
    check_port(report, f"{path}.port", listener.port)
    _check_protocol(path, listener, report)
    if listener.https_redirect and listener.http is None:
        refuse(report, f"{path}.httpsRedirect", rules.TCP_REDIRECT)
    for name, hosts in (
        ("allowedRouteTables", [entry.host for entry in listener.allowed_route_tables]),
        ("exposedExternalServices", [entry.host for entry in listener.exposed_external_services]),
    ):
        for i, host in enumerate(hosts):
            if not host:
                refuse(report, f"{path}.{name}[{i}].host", 'is missing; write a host, or "*" for any')
    if listener.tls is not None:
        _check_tls(f"{path}.tls", listener.tls, report)


def _check_protocol(path: str, listener: Listener, report: Reporter) -> None:
    protocol = listener.app_protocol.upper()
    where = f"{path}.appProtocol"
    if len(protocol) > LONGEST_APP_PROTOCOL:
        refuse(report, where, f"at most {LONGEST_APP_PROTOCOL} characters are allowed, found {len(protocol)}")
        return
    if protocol and protocol not in _PROTOCOLS:
        refuse(report, where, rules.PROTOCOL)
        return
    allowed, message = _RULES[listener.http is not None, listener.tls is not None]
    if protocol not in allowed:
        refuse(report, where, message)


def _check_tls(path: str, tls: TLSConfig, report: Reporter) -> None:
    files = tls.files
    pair = files is not None and bool(files.server_cert and files.private_key)
    if tls.mode is TLSMode.SIMPLE and not (tls.secret_name or pair):
        refuse(report, path, rules.SIMPLE)
    if tls.mode is TLSMode.MUTUAL and not (tls.secret_name or (pair and files is not None and files.ca_certs)):
        refuse(report, path, rules.MUTUAL)
    if tls.mode is TLSMode.ISTIO_MUTUAL:
        if tls.secret_name:
            refuse(report, f"{path}.secretName", rules.ISTIO_MUTUAL.format("secretName"))
        if files is not None:
            refuse(report, f"{path}.files", rules.ISTIO_MUTUAL.format("files"))
    else:
        check_one_of(report, path, {"secretName": bool(tls.secret_name), "files": files is not None})
    parameters = tls.parameters
    if parameters and parameters.minimum_protocol_version in _OLD_VERSIONS and not parameters.cipher_suites:
        message = rules.OLD_VERSION.format(parameters.minimum_protocol_version)
        refuse(report, f"{path}.parameters.cipherSuites", message)
