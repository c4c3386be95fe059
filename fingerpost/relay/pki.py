"""Certificates of the relay (relay.md §5.2): reading, judging and making them. Keys of ours are ECDSA P-256."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GENERATED = "fingerpost relay"  # the organization in what we made ourselves, and so may renew
_BACKDATE = datetime.timedelta(minutes=5)  # clocks differ; at most a twentieth of the lifetime
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_SMALLEST_RSA = 2048

Days = datetime.timedelta


class Unfit(Exception):
    """What is wrong with a certificate, a key or a request, as the end of a sentence about it."""


class Pair(NamedTuple):
    """PEM; `chain` begins with the leaf."""

    chain: bytes
    key: bytes

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.chain)[0]


def pair_of(chain: bytes, key: bytes) -> Pair:
    """Checked: they can be read and belong together. Raises Unfit."""
    leaf = certificates(chain)[0]
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as wrong:
        raise Unfit("has a tls.key that is no unencrypted PEM key") from wrong
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*spki) != leaf.public_key().public_bytes(*spki):
        raise Unfit("has a tls.key that is not the key of its tls.crt")
    return Pair(chain, key)


def certificates(pem: bytes) -> list[x509.Certificate]:
    """At least one. Raises Unfit."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as wrong:
        raise Unfit("holds no PEM certificate") from wrong


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def dns_names(of: x509.Certificate | x509.CertificateSigningRequest) -> tuple[str, ...]:
    """Every name, those of other types with their type: whoever wants exactly one DNS name sees that there are more."""
    try:
        names = of.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(n.value if isinstance(n, x509.DNSName) else f"{type(n).__name__}:{n.value}" for n in names)


def is_ours(certificate: x509.Certificate) -> bool:
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return [a.value for a in found] == [GENERATED]


def share_left(certificate: x509.Certificate, now: datetime.datetime | None = None) -> float:
    """Of its lifetime; below 0 when it is over."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (ends - (now or datetime.datetime.now(datetime.UTC))) / max(ends - begins, Days(seconds=1))


# ---------------------------------------------------------------- making


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def authority(name: str, lifetime: Days, issuer: Pair | None = None, now: datetime.datetime | None = None) -> Pair:
    """A root, or with an issuer an intermediate that signs leaves only."""
    key = new_key()
    builder = _builder(name, key.public_key(), lifetime, issuer, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else None), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return _signed(builder, key, issuer)


def server(names: Sequence[str], lifetime: Days, issuer: Pair, now: datetime.datetime | None = None) -> Pair:
    key = new_key()
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _signed(_leaf(_builder(names[0], key.public_key(), lifetime, issuer, now), names, usages), key, issuer)


def request(cluster: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#10 in DER."""
    names = x509.SubjectAlternativeName([x509.DNSName(cluster)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(cluster)).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def issue(csr: bytes, cluster: str, lifetime: Days, issuer: Pair, now: datetime.datetime | None = None) -> bytes:
    """PEM: the leaf, then the issuer's own chain. Raises Unfit for what §5.4 refuses."""
    try:
        asked = x509.load_der_x509_csr(csr)
        names, key, signed = dns_names(asked), asked.public_key(), asked.is_signature_valid
        basic = [e.value for e in asked.extensions if isinstance(e.value, x509.BasicConstraints)]
    except (ValueError, TypeError) as wrong:
        raise Unfit(f"cannot be read: {wrong}") from wrong
    if not signed:
        raise Unfit("is not signed with its own key")
    if names != (cluster,):
        raise Unfit(f"names {', '.join(names) or 'nobody'}; it must have exactly one DNS name, {cluster}")
    if any(b.ca for b in basic):
        raise Unfit("asks for a certificate authority")
    if not (
        (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA)
        or (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES))
    ):
        raise Unfit("has a key that is neither RSA of 2048 bits or more nor ECDSA P-256 or P-384")
    builder = _leaf(_builder(cluster, key, lifetime, issuer, now), [cluster], [ExtendedKeyUsageOID.CLIENT_AUTH])
    return builder.sign(_private(issuer), hashes.SHA256()).public_bytes(Encoding.PEM) + issuer.chain


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, GENERATED), x509.NameAttribute(NameOID.COMMON_NAME, common[:64])]
    )


def _builder(
    name: str,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    lifetime: Days,
    issuer: Pair | None,
    now: datetime.datetime | None,
) -> x509.CertificateBuilder:
    begins = (now or datetime.datetime.now(datetime.UTC)) - min(_BACKDATE, lifetime / 20)
    subject = _name(name)
    identifier = (
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.leaf.public_key())  # type: ignore[arg-type]  # of what signs
        if issuer
        else x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.leaf.subject if issuer else subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(identifier, critical=False)
    )


def _leaf(
    builder: x509.CertificateBuilder, names: Sequence[str], usages: list[x509.ObjectIdentifier]
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not signs, key_cert_sign=signs, crl_sign=signs,
        content_commitment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _private(issuer: Pair) -> CertificateIssuerPrivateKeyTypes:
    return load_pem_private_key(issuer.key, None)  # type: ignore[return-value]  # `pair_of` has matched it to a certificate


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, issuer: Pair | None) -> Pair:
    made = builder.sign(_private(issuer) if issuer else key, hashes.SHA256())
    return Pair(made.public_bytes(Encoding.PEM), key_pem(key))
