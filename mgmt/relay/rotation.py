"""The change from a root that we made to its successor (relay.md §5.5): what the relay's secrets hold next. Pure.

A successor is made and put into the bundle while the root still has a share of its life before it; it signs nothing
until all agents have been given the bundle; and the former root stays in the bundle to its end, for certificates that
it stands behind.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from fingerpost.relay import pki
from fingerpost.secrets.protocol import Data

RENEW_AT = 0.2  # of the lifetime left
LAST_MOMENT = 0.01  # of the root's: then the successor signs, whoever has not been given it
NEXT_CERTIFICATE, NEXT_KEY = "next.crt", "next.key"


def next_root(
    found: Data,
    now: datetime.datetime,
    confirmed: Callable[[datetime.datetime], bool],
    make: Callable[[], pki.Pair],
) -> Mapping[str, bytes]:
    """The content of the root's secret, the same when there is nothing to do. `confirmed(since)`: whether every agent
    has been given the bundle of after that moment. Raises Unfit.
    """
    data = dict(found)
    if "tls.key" not in data or "tls.crt" not in data:
        return data
    root = pki.pair_of(data["tls.crt"], data["tls.key"])
    if not pki.is_ours(root.leaf):
        return data
    left = pki.share_left(root.leaf, now)
    if data.get(NEXT_CERTIFICATE, root.chain) == root.chain:  # none, or the one that signs now
        if left <= RENEW_AT:
            successor = make()
            data |= {NEXT_CERTIFICATE: successor.chain, NEXT_KEY: successor.key}
    else:
        successor = pki.pair_of(data[NEXT_CERTIFICATE], data[NEXT_KEY])
        if left <= LAST_MOMENT or confirmed(successor.leaf.not_valid_before_utc):
            data |= {"tls.crt": successor.chain, "tls.key": successor.key}
    ours = b"\n".join(data[name] for name in ("tls.crt", NEXT_CERTIFICATE) if name in data)
    data["ca.crt"] = bundle(data.get("ca.crt", b""), ours, now)
    return data


def in_use(root: Data) -> x509.Certificate | None:
    """The root that signs; where it is brought without its key, the one that lasts longest."""
    try:
        found = pki.certificates(root.get("tls.crt") or root.get("ca.crt", b""))
    except pki.Unfit:
        return None
    return max(found, key=lambda one: one.not_valid_after_utc)


def bundle(trusted: bytes, ours: bytes, now: datetime.datetime) -> bytes:
    """`trusted` with all of `ours`, without those made by us that are over; the same bytes when nothing changes."""
    there = pki.certificates(trusted) if trusted.strip() else []
    kept = [one for one in there if not (pki.is_ours(one) and one.not_valid_after_utc <= now)]
    new = dict.fromkeys(pki.certificates(ours))
    more = [one for one in new if one not in kept and one.not_valid_after_utc > now]
    if kept == there and not more:
        return trusted
    return b"".join(one.public_bytes(Encoding.PEM) for one in (*kept, *more))


def is_due(leaf: x509.Certificate, root: x509.Certificate, now: datetime.datetime) -> bool:
    """Whether what we made is to be made anew: nearly over, or the root has a successor."""
    return pki.is_ours(leaf) and (pki.share_left(leaf, now) <= RENEW_AT or not _issued(leaf, root))


def _issued(leaf: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
