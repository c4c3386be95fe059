"""TLS contexts of listeners: certificates by SDS over ADS or from files of the proxy, never their contents."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import any_pb2, wrappers_pb2

from fingerpost.api.networking.virtual_gateway import ProtocolVersion
from mgmt.translate.routing.listener_tls import ServerTls

SECRET_PREFIX = "kubernetes://"
CA_SUFFIX = "-cacert"
GATEWAY_CERTIFICATE = "default"
ROOT_CA = "ROOTCA"
EASTWEST_ALPN = ("istio-peer-exchange", "istio", "h2", "http/1.1")
_HTTP_ALPN = ("h2", "http/1.1")

_Params = common_pb2.TlsParameters
_VERSIONS = {
    ProtocolVersion.TLS_AUTO: _Params.TLS_AUTO,
    ProtocolVersion.TLSV1_0: _Params.TLSv1_0,
    ProtocolVersion.TLSV1_1: _Params.TLSv1_1,
    ProtocolVersion.TLSV1_2: _Params.TLSv1_2,
    ProtocolVersion.TLSV1_3: _Params.TLSv1_3,
}


def ads() -> config_source_pb2.ConfigSource:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3
    )


def _sds(name: str) -> secret_pb2.SdsSecretConfig:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=ads())


def _file(path: str) -> base_pb2.DataSource:
    return base_pb2.DataSource(filename=path)


def _san_matchers(names: Iterable[str]) -> list[common_pb2.SubjectAltNameMatcher]:
    kinds = (common_pb2.SubjectAltNameMatcher.DNS, common_pb2.SubjectAltNameMatcher.URI)
    return [
        common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=name))
        for name in names
        for kind in kinds
    ]


def _trust(context: tls_pb2.CommonTlsContext, tls: ServerTls) -> None:
    """What a client's certificate has to fulfil."""
    checks = common_pb2.CertificateValidationContext(match_typed_subject_alt_names=_san_matchers(tls.subject_alt_names))
    if not tls.secret_name:
        checks.trusted_ca.CopyFrom(_file(tls.ca_certs))
        context.validation_context.CopyFrom(checks)
        return
    source = _sds(f"{SECRET_PREFIX}{tls.secret_name}{CA_SUFFIX}")
    if tls.subject_alt_names:
        context.combined_validation_context.default_validation_context.CopyFrom(checks)
        context.combined_validation_context.validation_context_sds_secret_config.CopyFrom(source)
    else:
        context.validation_context_sds_secret_config.CopyFrom(source)


def _socket(context: tls_pb2.DownstreamTlsContext) -> base_pb2.TransportSocket:
    packed = any_pb2.Any()
    packed.Pack(context, deterministic=True)
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed)


def server_socket(tls: ServerTls) -> base_pb2.TransportSocket:
    """TLS of an http listener (routing.md §3.5)."""
    common = tls_pb2.CommonTlsContext(
        alpn_protocols=_HTTP_ALPN,
        tls_params=_Params(
            tls_minimum_protocol_version=_VERSIONS[tls.minimum],
            tls_maximum_protocol_version=_VERSIONS[tls.maximum],
            cipher_suites=tls.cipher_suites,
        ),
    )
    if tls.secret_name:
        common.tls_certificate_sds_secret_configs.append(_sds(SECRET_PREFIX + tls.secret_name))
    else:
        certificate = common_pb2.TlsCertificate(
            certificate_chain=_file(tls.server_cert), private_key=_file(tls.private_key)
        )
        common.tls_certificates.append(certificate)
    context = tls_pb2.DownstreamTlsContext(common_tls_context=common)
    if tls.mutual:
        context.require_client_certificate.CopyFrom(wrappers_pb2.BoolValue(value=True))
        _trust(common, tls)
        context.common_tls_context.CopyFrom(common)
    return _socket(context)


def eastwest_socket() -> base_pb2.TransportSocket:
    """Mutual TLS with the gateway's own certificate, for callers from other clusters (destinations.md §4.6)."""
    common = tls_pb2.CommonTlsContext(
        alpn_protocols=EASTWEST_ALPN,
        tls_params=_Params(tls_minimum_protocol_version=_Params.TLSv1_2),
        tls_certificate_sds_secret_configs=[_sds(GATEWAY_CERTIFICATE)],
        validation_context_sds_secret_config=_sds(ROOT_CA),
    )
    required = wrappers_pb2.BoolValue(value=True)
    return _socket(tls_pb2.DownstreamTlsContext(common_tls_context=common, require_client_certificate=required))
