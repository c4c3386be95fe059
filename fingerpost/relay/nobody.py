"""The client certificate of whoever has none yet. gRPC for Python either demands a client certificate or asks for none;
with this one, whose key everybody knows, an agent without a certificate gets through the handshake and can ask for one.

It proves nothing: it has no name, it may sign nothing, and the server takes it for no answer.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fingerpost.relay.pki import Pair, fingerprint, key_pem

CERTIFICATE = b"""\
-----BEGIN CERTIFICATE-----
MIIBYjCCAQigAwIBAgIBATAKBggqhkjOPQQDAjAfMR0wGwYDVQQDDBRub2JvZHkg
aW4gcGFydGljdWxhcjAeFw0yMDAxMDEwMDAwMDBaFw00OTEyMzEwMDAwMDBaMB8x
HTAbBgNVBAMMFG5vYm9keSBpbiBwYXJ0aWN1bGFyMFkwEwYHKoZIzj0CAQYIKoZI
zj0DAQcDQgAEJBF5WNCQrVyaqFHJPVnf1Id42aJZVZov3jQeHgIocG/js4jB5gfI
aARrRZ5NIawRUQ46k5th2JESc5XsTwt0VKM1MDMwDAYDVR0TAQH/BAIwADAOBgNV
HQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwIwCgYIKoZIzj0EAwIDSAAw
RQIhAP8KEKBOsn/fvS/0pYkfh58meq4pLgnLVRbmYQFu7uauAiBps9pmbGoo3Qum
IDWuGgxHfogqPaWf3B1XgqhqxxINjg==
-----END CERTIFICATE-----
"""
_scalar = int.from_bytes(hashlib.sha256(b"fingerpost: nobody in particular").digest(), "big")
NOBODY = Pair(CERTIFICATE, key_pem(ec.derive_private_key(_scalar, ec.SECP256R1())))
_print, _subject = fingerprint(NOBODY.leaf), NOBODY.leaf.subject


def is_nobody(certificate: x509.Certificate) -> bool:
    """Also for what its key has signed; the handshake refuses that already."""
    return fingerprint(certificate) == _print or certificate.issuer == _subject
