"""Stands in for the agent beside each Istio proxy: hands it its workload certificate over SDS."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.secret.v3 import sds_pb2_grpc

from tests.conformance.listeners.listener_certificates import Certificate

_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def identity(uri: str, ca: Certificate) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .sign(ca.key, hashes.SHA256())
    )
    return Certificate(certificate, key)


class _Secrets(sds_pb2_grpc.SecretDiscoveryServiceServicer):
    def __init__(self, own: Certificate, ca: Certificate) -> None:
        default, root = secret_pb2.Secret(name="default"), secret_pb2.Secret(name="ROOTCA")
        default.tls_certificate.certificate_chain.inline_bytes = own.pem
        default.tls_certificate.private_key.inline_bytes = own.key_pem
        root.validation_context.trusted_ca.inline_bytes = ca.pem
        self._secrets = {secret.name: secret for secret in (default, root)}

    async def StreamSecrets(self, requests, context):  # noqa: N802  (gRPC's name)
        async for request in requests:
            if request.response_nonce:
                assert not request.HasField("error_detail"), request.error_detail.message
                continue
            response = discovery_pb2.DiscoveryResponse(type_url=_SECRET, version_info="1", nonce="1")
            for name in request.resource_names:
                response.resources.add().Pack(self._secrets[name])
            yield response


def sidecar(folder: Path, uri: str, ca: Certificate) -> ssl.SSLContext:
    """For a pod that lets in only callers with a workload certificate, as the sidecar beside it would."""
    own = identity(uri, ca)
    chain, key, root = (folder / f"sidecar.{part}" for part in ("crt", "key", "ca"))
    for file, content in ((chain, own.pem), (key, own.key_pem), (root, ca.pem)):
        file.write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(root))
    context.load_cert_chain(chain, key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def serving(uri: str, ca: Certificate, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of an SDS server for the proxy of that identity."""
    server = grpc.aio.server()
    sds_pb2_grpc.add_SecretDiscoveryServiceServicer_to_server(_Secrets(identity(uri, ca), ca), server)
    port = server.add_insecure_port(f"{address}:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
