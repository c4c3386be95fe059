"""The root that signs the gateways' certificates (design D16, destinations.md §4.4): in a Secret where there is an API
server, else in a folder. All replicas on one Redis have the same.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fingerpost.relay.reasons import Reason, Refused
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.secrets.protocol import Data, Secrets, SecretsFailed

SECRET = "gateway-root-tls-secret"
_T = TypeVar("_T")
_ROOT_DAYS = 3650
_LEAF_DAYS = 30
_BACKDATE = datetime.timedelta(minutes=5)  # clocks differ


class Place(NamedTuple):
    """Where the root is kept: a secret, and the names of its files."""

    secrets: Secrets
    name: str = SECRET
    key: str = "tls.key"
    certificate: str = "tls.crt"

    @property
    def _where(self) -> str:
        return f"secret {self.name} in {self.secrets.where}"

    def unusable(self, file: str, wrong: str) -> SecretsFailed:
        return SecretsFailed(
            f"{file} of {self._where} {wrong}; bring {self.key} and {self.certificate} back from a copy, or remove "
            "both for a new root, with which all gateways get new certificates"
        )


def root_place(ca_dir: Path | None, state_dir: Path, secrets: Secrets) -> Place:
    """A folder with root.key and root.crt when one is named, or when secrets are no Secrets of an API server."""
    if ca_dir is None and not isinstance(secrets, FolderSecrets):
        return Place(secrets)
    folder = ca_dir or state_dir / "ca"
    return Place(FolderSecrets(folder.parent), folder.name, "root.key", "root.crt")


async def open_authority(place: Place) -> Authority:
    """The root that is there, else a new one. Of replicas that begin at once all get the same. Raises SecretsFailed."""
    found = await place.secrets.get(place.name)
    if not {place.key, place.certificate} <= found.keys():  # none, or another process is at it
        made = await asyncio.to_thread(_make_root)
        await place.secrets.create(place.name, {place.key: made[0], place.certificate: made[1]})
        found = await place.secrets.get(place.name)
    key = _read(place, found, place.key, _key)
    root = _read(place, found, place.certificate, x509.load_pem_x509_certificate)
    if root.public_key() != key.public_key():
        raise place.unusable(place.certificate, f"is not the certificate of {place.key}")
    return Authority(key, root)


class Authority:
    """`sign` is the only thing that uses the key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
        self._key, self._root = key, root

    @property
    def roots(self) -> bytes:
        """PEM."""
        return self._root.public_bytes(serialization.Encoding.PEM)

    def sign(self, csr: bytes, allowed: Collection[str]) -> bytes:
        """PEM of the leaf. `allowed`: the SPIFFE names this requester may have. Raises Refused."""
        try:
            request = x509.load_der_x509_csr(csr)
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound, InvalidSignature) as wrong:
            raise Refused(Reason.PROTOCOL, f"the certificate request cannot be read: {wrong}") from wrong
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if not request.is_signature_valid or len(uris) != 1 or len(list(names)) != 1 or uris[0] not in allowed:
            raise Refused(
                Reason.UNAUTHENTICATED, f"not allowed: {', '.join(uris) or 'no name'}; allowed: {sorted(allowed)}"
            )
        now = datetime.datetime.now(datetime.UTC)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._root.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=_LEAF_DAYS))
            .add_extension(names, critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return leaf.public_bytes(serialization.Encoding.PEM)


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("another kind of key")
    return key


def _read(place: Place, found: Data, file: str, parse: Callable[[bytes], _T]) -> _T:
    if file not in found:
        raise place.unusable(file, "is not there")
    try:
        return parse(found[file])
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        what = "an elliptic curve key without a password" if parse is _key else "a certificate"
        raise place.unusable(file, f"is not the PEM text of {what}") from wrong


def _make_root() -> tuple[bytes, bytes]:
    """(key, certificate) in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fingerpost gateway root")])
    now = datetime.datetime.now(datetime.UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + datetime.timedelta(days=_ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, root.public_bytes(serialization.Encoding.PEM)
