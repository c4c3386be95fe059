"""VirtualGateway: listeners and their TLS (routing.md §3.1, §3.5, §18)."""

from __future__ import annotations

from fingerpost.api.limits import LONGEST_APP_PROTOCOL, MOST_LISTENERS
from fingerpost.api.networking.virtual_gateway import (
    ExternalServiceFilter,
    Listener,
    Parameters,
    RouteTableFilter,
    TLSConfig,
    VirtualGateway,
    VirtualGatewaySpec,
)
from fingerpost.crd.constraints import Constraints, Rule, limit, one_of, required

PORT = "Either port.number or port.name must be set."
PROTOCOL = (
    "appProtocol must be one of: GRPC, GRPC-WEB, HTTP, HTTP_PROXY, HTTP2, HTTPS, TCP, TLS, MONGO, REDIS, or MYSQL."
)
_IF_HTTP = "If the listener type is http (the http field is set) and the tls field is "
_IF_TCP = "If the listener type is tcp (the tcp field is set, or neither the tcp nor http field is set)"
_SET = "set, appProtocol must be empty or set to "
_UNSET = "unset, appProtocol must be empty or set to "
HTTP_WITH_TLS = f"{_IF_HTTP}{_SET}HTTPS."
HTTP_WITHOUT_TLS = f"{_IF_HTTP}{_UNSET}GRPC, GRPC-WEB, HTTP, HTTP_PROXY, or HTTP2."
TCP_REDIRECT = f"{_IF_TCP}, httpsRedirect must not be set."
TCP_WITH_TLS = f"{_IF_TCP} and the tls field is {_SET}TLS."
TCP_WITHOUT_TLS = f"{_IF_TCP} and the tls field is {_UNSET}TCP, MONGO, REDIS, or MYSQL."
SIMPLE = "If mode is SIMPLE, either secretName or both files.serverCert and files.privateKey must be set."
MUTUAL = "If mode is MUTUAL, you must either set secretName or set files and all its subfields."
ISTIO_MUTUAL = "If mode is ISTIO_MUTUAL, {} must not be set."
OLD_VERSION = "If minimumProtocolVersion is {}, cipherSuites must be set."


_HTTP_PLAIN = "GRPC GRPC-WEB HTTP HTTP_PROXY HTTP2"


def _protocols(names: str) -> str:
    """CEL for a list. Letters count in either case."""
    return "[{}]".format(", ".join(f"'{name}'" for name in names.split()))


def _protocol(unless: str, allowed: str, message: str) -> Rule:
    cel = (
        f"{unless} || !has(self.appProtocol) || self.appProtocol == ''"
        f" || self.appProtocol.upperAscii() in {_protocols(allowed)}"
    )
    return Rule(cel, message, about="appProtocol")


_NAMED = "has(self.secretName) && self.secretName != ''"
_PAIR = (
    "has(self.files) && has(self.files.serverCert) && self.files.serverCert != ''"
    " && has(self.files.privateKey) && self.files.privateKey != ''"
)


def _unless_mode(mode: str) -> str:
    return f"!has(self.mode) || self.mode != '{mode}'"


RULES: Constraints = {
    VirtualGateway: (required("spec"),),
    VirtualGatewaySpec: (required("listeners"), limit("listeners", minItems=1, maxItems=MOST_LISTENERS)),
    Listener: (
        one_of("http", "tcp"),
        one_of("tls", "httpsRedirect"),
        Rule(
            "has(self.port) && (has(self.port.number) && self.port.number > 0"
            " || has(self.port.name) && self.port.name != '')",
            PORT,
            about="port",
        ),
        limit("appProtocol", maxLength=LONGEST_APP_PROTOCOL),
        Rule(
            f"self == '' || self.upperAscii() in {_protocols(f'{_HTTP_PLAIN} HTTPS TCP TLS MONGO REDIS MYSQL')}",
            PROTOCOL,
            at="appProtocol",
        ),
        _protocol("!has(self.http) || !has(self.tls)", "HTTPS", HTTP_WITH_TLS),
        _protocol("!has(self.http) || has(self.tls)", _HTTP_PLAIN, HTTP_WITHOUT_TLS),
        _protocol("has(self.http) || !has(self.tls)", "TLS", TCP_WITH_TLS),
        _protocol("has(self.http) || has(self.tls)", "TCP MONGO REDIS MYSQL", TCP_WITHOUT_TLS),
        Rule("has(self.http) || !has(self.httpsRedirect) || !self.httpsRedirect", TCP_REDIRECT, about="httpsRedirect"),
    ),
    RouteTableFilter: (required("host"), limit("host", minLength=1)),
    ExternalServiceFilter: (required("host"), limit("host", minLength=1)),
    TLSConfig: (
        Rule(
            f"has(self.mode) && self.mode == 'ISTIO_MUTUAL' || !({_NAMED} && has(self.files))",
            "secretName and files are set together, but they exclude each other; keep one of them",
        ),
        Rule(f"{_unless_mode('SIMPLE')} || {_NAMED} || {_PAIR}", SIMPLE),
        Rule(
            f"{_unless_mode('MUTUAL')} || {_NAMED} || {_PAIR} && has(self.files.caCerts) && self.files.caCerts != ''",
            MUTUAL,
        ),
        Rule(
            f"{_unless_mode('ISTIO_MUTUAL')} || !({_NAMED})",
            ISTIO_MUTUAL.format("secretName"),
            about="secretName",
        ),
        Rule(f"{_unless_mode('ISTIO_MUTUAL')} || !has(self.files)", ISTIO_MUTUAL.format("files"), about="files"),
    ),
    Parameters: tuple(
        Rule(
            f"!has(self.minimumProtocolVersion) || self.minimumProtocolVersion != '{version}'"
            " || has(self.cipherSuites) && self.cipherSuites.size() > 0",
            OLD_VERSION.format(version),
            about="cipherSuites",
        )
        for version in ("TLSv1_0", "TLSv1_1")
    ),
}
