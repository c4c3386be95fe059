"""The certificates of the shop's gateways, made anew for each demo: private keys are never kept in the repository."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
HOSTS = {"www-cert": "www.shop.example", "api-cert": "api.shop.example"}


class ShopAuthority:
    """Signs the certificates of the shop's hosts."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the shop's authority")])
        self.certificate = _builder(self._name, self._name, self._key.public_key(), authority=True).sign(
            self._key, hashes.SHA256()
        )

    def write(self, where: Path) -> None:
        where.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def secrets(self) -> str:
        """Manifests of a Secret per host, for the namespace of the gateways."""
        documents = []
        for name, host in HOSTS.items():
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
            builder = _builder(subject, self._name, key.public_key(), authority=False)
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            signed = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            data = {"tls.crt": signed.public_bytes(Encoding.PEM), "tls.key": private}
            documents.append(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": name, "namespace": "gw"},
                    "type": "kubernetes.io/tls",
                    "data": {field: base64.b64encode(value).decode() for field, value in data.items()},
                }
            )
        return yaml.safe_dump_all(documents, sort_keys=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY * 30)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
