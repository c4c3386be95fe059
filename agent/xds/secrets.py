"""Secrets of the cluster as Envoy reads them (routing.md §3.5). Bytes of a key pass through here and nowhere else;
nothing is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from agent.xds.ports import CertificateFiles, Secrets

PREFIX = "kubernetes://"
CA_SUFFIX = "-cacert"
OWN = "default"
ROOTS = "ROOTCA"


class Unusable(NamedTuple):
    """Why a secret cannot be served, in words for a person."""

    reason: str


def render(
    sds_name: str, gateway: str, cluster: str, secrets: Secrets, own: CertificateFiles | None
) -> bytes | Unusable:
    if sds_name in (OWN, ROOTS):
        if own is None:
            return Unusable(f"gateway {gateway} in cluster {cluster} has no certificate yet")
        return _certificate(sds_name, own.chain, own.key) if sds_name == OWN else _authority(sds_name, own.roots)
    if not sds_name.startswith(PREFIX):
        return Unusable(f"secret {sds_name} is not of this cluster")
    namespace = gateway.partition("/")[0]
    name = sds_name.removeprefix(PREFIX)
    if name.endswith(CA_SUFFIX):
        return _authority_of(sds_name, namespace, name, cluster, secrets)
    data = secrets.get(namespace, name)
    if data is None:
        return Unusable(f"secret {namespace}/{name} not found in cluster {cluster}")
    chain, key = _first(data, "tls.crt", "cert"), _first(data, "tls.key", "key")
    if not chain or not key:
        missing = "tls.crt" if not chain else "tls.key"
        return Unusable(f"secret {namespace}/{name} in cluster {cluster} has no {missing}")
    if wrong := _mismatch(chain, key):
        return Unusable(f"secret {namespace}/{name} in cluster {cluster}: {wrong}")
    return _certificate(sds_name, chain, key, _first(data, "tls.ocsp-staple"))


def _authority_of(sds_name: str, namespace: str, name: str, cluster: str, secrets: Secrets) -> bytes | Unusable:
    base = name.removesuffix(CA_SUFFIX)
    for secret in (name, base):
        data = secrets.get(namespace, secret)
        if data is not None and (authority := _first(data, "cacert", "ca.crt")):
            try:
                x509.load_pem_x509_certificates(authority)
            except ValueError:
                return Unusable(f"secret {namespace}/{secret} in cluster {cluster}: its CA is not a PEM certificate")
            return _authority(sds_name, authority, _first(data, "crl", "ca.crl"))
    return Unusable(
        f"secret {namespace}/{base} not found in cluster {cluster} with a ca.crt or cacert, and none named {name}"
    )


def _first(data: Mapping[str, bytes], *keys: str) -> bytes:
    return next((data[k] for k in keys if data.get(k)), b"")


def _mismatch(chain: bytes, key: bytes) -> str:
    """Envoy would refuse such a secret; better that a person reads why."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0].public_key()
    except (ValueError, IndexError):
        return "the certificate is not PEM"
    try:
        private = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "the key is not an unencrypted PEM key"
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return (
        "" if leaf.public_bytes(*spki) == private.public_bytes(*spki) else "the key does not belong to the certificate"
    )


def _certificate(name: str, chain: bytes, key: bytes, staple: bytes = b"") -> bytes:
    secret = secret_pb2.Secret(name=name)
    secret.tls_certificate.certificate_chain.inline_bytes = chain
    secret.tls_certificate.private_key.inline_bytes = key
    if staple:
        secret.tls_certificate.ocsp_staple.inline_bytes = staple
    return bytes(secret.SerializeToString(deterministic=True))


def _authority(name: str, roots: bytes, revoked: bytes = b"") -> bytes:
    secret = secret_pb2.Secret(name=name)
    secret.validation_context.trusted_ca.inline_bytes = roots
    if revoked:
        secret.validation_context.crl.inline_bytes = revoked
    return bytes(secret.SerializeToString(deterministic=True))
