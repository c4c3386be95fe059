"""The root that signs the gateways' certificates (design D16, destinations.md §4.4). Its key stays in its folder."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fingerpost.relay.reasons import Reason, Refused

_T = TypeVar("_T")
_ROOT_DAYS = 3650
_LEAF_DAYS = 30
_BACKDATE = datetime.timedelta(minutes=5)  # clocks differ


class Unusable(OSError):
    """A file of the root is damaged. The message names it, what is wrong and the remedy; nothing was written."""

    def __init__(self, file: Path, wrong: str) -> None:
        super().__init__(
            f"{file} {wrong}; bring root.key and root.crt back from a copy, or remove both for a new root, with which "
            "all gateways get new certificates"
        )


class Authority:
    """`sign` is the only thing that uses the key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key_file, certificate_file = folder / "root.key", folder / "root.crt"
        if not (key_file.exists() or certificate_file.exists()):
            _make_root(key_file, certificate_file)
        self._key = _read(key_file, _key)
        self._root = _read(certificate_file, x509.load_pem_x509_certificate)
        if self._root.public_key() != self._key.public_key():
            raise Unusable(certificate_file, f"is not the certificate of {key_file.name}")

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


def _read(file: Path, parse: Callable[[bytes], _T]) -> _T:
    try:
        return parse(file.read_bytes())
    except OSError as wrong:
        raise Unusable(file, f"cannot be read ({wrong.strerror})") from wrong
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        what = "an elliptic curve key without a password" if parse is _key else "a certificate"
        raise Unusable(file, f"is not the PEM text of {what}") from wrong


def _make_root(key_file: Path, certificate_file: Path) -> None:
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
    certificate_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    with os.fdopen(os.open(key_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
        out.write(pem)
