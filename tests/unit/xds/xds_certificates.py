"""Certificates for the tests: Secrets, an authority, and what a listener presents."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.apply.certificates import NotIssued


async def presented(port: int, sni: str) -> str | None:
    """The common name of the certificate that the listener presents; None when it closes the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=sni)
    except (ssl.SSLError, ConnectionError):
        return None
    certificate = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def self_signed(host: str, common_name: str = "") -> dict[str, bytes]:
    """The data of a Secret of type kubernetes.io/tls."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"tls.crt": made.public_bytes(Encoding.PEM), "tls.key": key.private_bytes(*form)}


class Signer:
    """Signs with a lifetime per request, which began `begun` seconds ago; the last one for ever."""

    def __init__(self, *lifetimes: float | None, begun: float = 0) -> None:
        self.begun = datetime.timedelta(seconds=begun)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._signed(self.key.public_key(), 86400, x509.BasicConstraints(ca=True, path_length=None))
        self.lifetimes = list(lifetimes)
        self.asked: list[str] = []

    async def request(self, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        lifetime = self.lifetimes.pop(0) if len(self.lifetimes) > 1 else self.lifetimes[0]
        self.asked.append(id_)
        if lifetime is None:
            raise NotIssued("the server is away")
        asked = x509.load_der_x509_csr(csr)
        assert asked.is_signature_valid
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return self._signed(asked.public_key(), lifetime, names), self.root

    def _signed(self, key: Any, lifetime: float, extension: x509.ExtensionType) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        authority = isinstance(extension, x509.BasicConstraints)
        root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
        made = (
            x509.CertificateBuilder()
            .subject_name(root if authority else x509.Name([]))
            .issuer_name(root)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - self.begun)
            .not_valid_after(now + datetime.timedelta(seconds=lifetime))
            .add_extension(extension, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)
