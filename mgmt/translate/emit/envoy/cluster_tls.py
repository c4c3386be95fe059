"""The transport sockets of clusters: mutual TLS within the fleet, TLS towards external endpoints, and plain text.

Verification is never left out unless the user asked for it.
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2

from mgmt.translate.emit.envoy.tls import GATEWAY_CERTIFICATE, ROOT_CA, SECRET_PREFIX, ads
from mgmt.translate.ir import ClientTls, MeshTls

_MESH_ALPN = ("istio-peer-exchange", "istio")  # an Istio passthrough gateway matches only with one of these
_SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
_NOBODY = "spiffe://nobody.invalid/"  # no certificate bears it: with no identity known, nobody is trusted


def raw_socket() -> base_pb2.TransportSocket:
    return _socket("envoy.transport_sockets.raw_buffer", raw_buffer_pb2.RawBuffer())


def mesh_socket(tls: MeshTls) -> base_pb2.TransportSocket:
    context = tls_pb2.UpstreamTlsContext(sni=tls.sni)
    common = context.common_tls_context
    common.alpn_protocols.extend(_MESH_ALPN)
    _mesh_certificate(common)
    for identity in tls.identities or (_NOBODY,):
        _accept(common, common_pb2.SubjectAltNameMatcher.URI, identity)
    return _tls_socket(context)


def client_socket(tls: ClientTls, *, http2: bool) -> base_pb2.TransportSocket:
    context = tls_pb2.UpstreamTlsContext(sni=tls.sni, auto_host_sni=tls.host_sni)
    common = context.common_tls_context
    if tls.mesh_certificate:
        common.alpn_protocols.extend(_MESH_ALPN)
        _mesh_certificate(common)
    elif http2:
        common.alpn_protocols.append("h2")
    if tls.credential:
        common.tls_certificate_sds_secret_configs.append(_sds(SECRET_PREFIX + tls.credential))
    elif tls.certificate_file:
        certificate = common.tls_certificates.add()
        certificate.certificate_chain.filename = tls.certificate_file
        certificate.private_key.filename = tls.key_file
    if not tls.mesh_certificate and tls.verify:
        common.validation_context.trusted_ca.filename = tls.ca_file or _SYSTEM_ROOTS
    if tls.verify or tls.mesh_certificate:
        for name in tls.subject_alt_names:
            kind = common_pb2.SubjectAltNameMatcher
            _accept(common, kind.URI if "://" in name else kind.DNS, name)
        # Names not fixed here are those of the host dialled.
        context.auto_sni_san_validation = tls.host_sni and not tls.subject_alt_names
    return _tls_socket(context)


def _mesh_certificate(common: tls_pb2.CommonTlsContext) -> None:
    common.tls_certificate_sds_secret_configs.append(_sds(GATEWAY_CERTIFICATE))
    common.combined_validation_context.validation_context_sds_secret_config.CopyFrom(_sds(ROOT_CA))
    common.combined_validation_context.default_validation_context.SetInParent()


def _accept(common: tls_pb2.CommonTlsContext, kind: Any, name: str) -> None:
    """`kind` is a value of SubjectAltNameMatcher.SanType."""
    if common.HasField("combined_validation_context"):
        context = common.combined_validation_context.default_validation_context
    else:
        context = common.validation_context
    context.match_typed_subject_alt_names.add(san_type=kind).matcher.exact = name


def _sds(name: str) -> secret_pb2.SdsSecretConfig:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=ads())


def _tls_socket(context: tls_pb2.UpstreamTlsContext) -> base_pb2.TransportSocket:
    return _socket("envoy.transport_sockets.tls", context)


def _socket(name: str, config: Any) -> base_pb2.TransportSocket:
    """`config` is a message; its type differs from socket to socket."""
    socket = base_pb2.TransportSocket(name=name)
    socket.typed_config.Pack(config, deterministic=True)
    return socket
