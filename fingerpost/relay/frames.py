"""Bytes of the relay's messages: parsing with our own errors, envelopes around bytes that are serialized once and
shared, parts.

It knows the layout of relay.proto, and nothing about what the messages mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError

from fingerpost.relay.pieces import Piece, Role, _varint
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.v1 import relay_pb2 as pb

_ROLES = tuple(Role)
_DELTA_TAG = bytes((pb.PullResponse.DELTA_FIELD_NUMBER << 3 | 2,))
_SCOPE_TAG = bytes((pb.ScopeDelta.SCOPE_FIELD_NUMBER << 3 | 2,))
_SEQ_TAG = _varint(pb.PullResponse.SEQ_FIELD_NUMBER << 3)


class Message(Protocol):
    """Part of protobuf's messages."""

    def ParseFromString(self, data: bytes) -> int: ...  # noqa: N802 - protobuf's name


M = TypeVar("M", bound=Message)


def parse(message: M, frame: bytes) -> M:
    """`message` filled from `frame`; what is not protobuf is the peer's fault."""
    try:
        message.ParseFromString(frame)
    except DecodeError as error:
        raise Refused(Reason.PROTOCOL, "a frame could not be decoded") from error
    return message


def scope_field(scope: str) -> bytes:
    """The field `scope` of a ScopeDelta, to be put before a body that many scopes share."""
    raw = scope.encode()
    return _SCOPE_TAG + _varint(len(raw)) + raw


def scope_delta(seq: int, scope: bytes, body: bytes) -> bytes:
    """A PullResponse that carries the ScopeDelta `scope + body`: protobuf messages are joined by concatenation."""
    return b"".join((_SEQ_TAG, _varint(seq), _DELTA_TAG, _varint(len(scope) + len(body)), scope, body))


def cut(body: bytes, size: int) -> Iterator[tuple[int, int, bytes]]:
    """(part, parts, bytes); a body that fits is one part, numbered 0 of 0."""
    if len(body) <= size:
        yield 0, 0, body
        return
    parts = -(-len(body) // size)
    for i in range(parts):
        yield i, parts, body[i * size : (i + 1) * size]


def pieces_of(piece: Piece, size: int) -> Iterator[pb.Piece]:
    for part, parts, body in cut(piece.body, size):
        yield pb.Piece(
            hash=piece.hash, role=piece.role, contribution=piece.contribution, body=body, part=part, parts=parts
        )


class Parts:
    """Puts bodies together again. Memory: the bodies under way, at most `most` bytes; parts come in order and without
    gaps.
    """

    def __init__(self, most: int = 256 << 20) -> None:
        self._open: dict[object, list[bytes]] = {}
        self._most, self._size = most, 0

    def add(self, key: object, part: int, parts: int, body: bytes) -> bytes | None:
        """The whole body when it is complete. Raises Refused when a part is missing before this one."""
        if parts <= 1:
            return body
        got = self._open.setdefault(key, [])
        if part == 0:
            self._size -= sum(map(len, got))
            got.clear()
        if part != len(got) or part >= parts:
            raise Refused(Reason.PROTOCOL, f"part {part} of {parts} came after {len(got)} parts")
        got.append(body)
        self._size += len(body)
        if self._size > self._most:
            raise Refused(Reason.PROTOCOL, f"parts of bodies have {self._size} bytes, at most {self._most} are taken")
        if len(got) < parts:
            return None
        whole = b"".join(self._open.pop(key))
        self._size -= len(whole)
        return whole

    def forget(self) -> None:
        self._open.clear()
        self._size = 0


def role_of(number: int) -> Role:
    if number >= len(_ROLES):
        raise Refused(Reason.PROTOCOL, f"a piece of unknown role {number}")
    return _ROLES[number]


class Sequence:
    """Numbers of one direction of a stream. A lower or equal number is refused; a gap is left to the digests."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def check(self, seq: int) -> bool:
        """Whether none is missing before it. Raises Refused."""
        if seq <= self.last:
            raise Refused(Reason.PROTOCOL, f"sequence number {seq} is not above {self.last}")
        whole, self.last = seq == self.last + 1, seq
        return whole
