"""Whether a secret of the relay that was deleted or garbled may be written back as the server still holds it. Pure."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fingerpost.relay import pki
from fingerpost.secrets.protocol import Data


def is_lost(former: Data, there: Data) -> bool:
    """We made the former, and nobody has brought, or is bringing, another."""
    if not (_is_made_by_us(former.get("tls.crt", b"")) and "tls.key" in former):
        return False
    key = there.get("tls.key", b"")
    if key not in (b"", former["tls.key"]) and _is_key(key):
        return False
    try:
        pki.certificates(there.get("tls.crt", b""))
    except pki.Unfit:
        return True
    return _is_made_by_us(there["tls.crt"])


def _is_made_by_us(chain: bytes) -> bool:
    try:
        return pki.is_ours(pki.certificates(chain)[0])
    except pki.Unfit:
        return False


def _is_key(pem: bytes) -> bool:
    try:
        load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        return False
    return True
