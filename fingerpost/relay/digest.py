"""Digests of a set of keyed things, in 256 buckets (design D5), updated in constant time per change and independent
of order.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

BUCKETS = 256
SHORT = 8
_MASK = 2**256 - 1


def bucket_of(key: bytes) -> int:
    return blake2b(key, digest_size=1).digest()[0]


class SetDigest:
    """Sum modulo 2^256, per bucket, of the hash of (key + NUL + content hash)."""

    __slots__ = ("_sums", "count")

    def __init__(self) -> None:
        self._sums = [0] * BUCKETS
        self.count = 0

    def add(self, key: bytes, content: bytes) -> None:
        self._turn(key, content, 1)

    def discard(self, key: bytes, content: bytes) -> None:
        self._turn(key, content, -1)

    def _turn(self, key: bytes, content: bytes, sign: int) -> None:
        self._sums[bucket_of(key)] += sign * int.from_bytes(
            blake2b(key + b"\0" + content, digest_size=32).digest(), "big"
        )
        self.count += sign

    @property
    def total(self) -> bytes:
        """32 bytes."""
        return (sum(self._sums) & _MASK).to_bytes(32, "big")

    @property
    def buckets(self) -> bytes:
        """256 x 8 bytes: enough to see which buckets differ."""
        return b"".join((s & (2 ** (8 * SHORT) - 1)).to_bytes(SHORT, "big") for s in self._sums)

    def differing(self, other: bytes) -> Iterable[int]:
        """The buckets in which `other` (256 x 8 bytes; empty: all that are not empty) is different."""
        mine = self.buckets
        theirs = other or bytes(BUCKETS * SHORT)
        return [i for i in range(BUCKETS) if mine[i * SHORT : (i + 1) * SHORT] != theirs[i * SHORT : (i + 1) * SHORT]]


def object_key(namespace: str, name: str) -> bytes:
    return f"{namespace}/{name}".encode()


def resource_key(type_: str, name: str) -> bytes:
    return f"{type_}\0{name}".encode()
