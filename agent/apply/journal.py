"""The file of one gateway's state: a first record with everything, then one small record per change (relay.md M-9).

A record that was cut off by a crash ends the file; what stands before it is good. Nothing here decides when to write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from pathlib import Path

import msgspec

from agent.apply.gateway import GatewayState, Key, Refusal
from fingerpost.relay.pieces import Piece, PieceList, Role, Splice

_HEAD = 4 + 8
_LAYOUT = 1


class _Piece(msgspec.Struct, frozen=True, array_like=True, gc=False):
    hash: bytes
    role: int
    contribution: str
    body: bytes


class _List(msgspec.Struct, frozen=True, array_like=True):
    """`splices` (start, remove, inserted hashes) against the list before; or `whole`, when it is not None; or gone."""

    type: str
    name: str
    splices: tuple[tuple[int, int, tuple[bytes, ...]], ...] = ()
    whole: tuple[bytes, ...] | None = None
    gone: bool = False


class _Record(msgspec.Struct, frozen=True, array_like=True):
    layout: int
    scope: str
    version: int
    lists: tuple[_List, ...]
    diverged: tuple[_List, ...]  # complete: the effective lists that are not the wanted ones
    keep: dict[str, str]
    lost: dict[str, str]
    refused: dict[str, tuple[str, int, tuple[str, ...]]]
    since: dict[str, int]
    pieces: tuple[_Piece, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class Journal:
    """Remembers what the file holds, by reference to the (shared, immutable) lists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: dict[Key, PieceList] = {}
        self._standing: _Record | None = None  # what the last record says besides lists and pieces
        self._base = 0  # bytes of the first record
        self._tail = 0

    @property
    def is_begun(self) -> bool:
        """There is a complete record for small ones to follow."""
        return bool(self._base)

    @property
    def is_due(self) -> bool:
        """A complete record should take the place of all there are."""
        return not self.is_begun or self._tail > max(self._base, 1 << 20)

    def record(
        self, state: GatewayState, touched: Collection[Key] | None = None, *, complete: bool = False
    ) -> tuple[bytes, bool]:
        """The next bytes for the file, and whether they replace it; no bytes when it holds all of it already.

        Since the last record only the wanted lists of `touched` have changed; None: any may have.
        """
        full = complete or not self.is_begun
        if full:
            self._written = {}
        if full or touched is None:
            touched = self._written.keys() | state.wanted.keys()
        pieces: dict[bytes, Piece] = {}
        # in an order of their own: the same state gives the same record, whoever makes it
        steps = (self._step(key, state.wanted.get(key), pieces) for key in sorted(touched))
        lists = [step for step in steps if step is not None]
        standing = _Record(
            _LAYOUT,
            state.scope,
            state.version,
            (),
            tuple(_diverged(state, pieces)),
            dict(state.keep),
            dict(state.lost),
            {c: (r.message, r.since_unix_nanos, r.proxies) for c, r in state.refused.items()},
            dict(state.since),
            (),
        )
        if not full and not lists and standing == self._standing:
            return b"", False
        self._standing = standing
        carried = tuple(_Piece(p.hash, int(p.role), p.contribution, p.body) for p in pieces.values())
        body = _encode(msgspec.structs.replace(standing, lists=tuple(lists), pieces=carried))
        framed = len(body).to_bytes(4, "big") + blake2b(body, digest_size=8).digest() + body
        if full:
            self._base, self._tail = len(framed), 0
        else:
            self._tail += len(framed)
        return framed, full

    def restart(self) -> None:
        """What the file holds is not known any more: the next record replaces it."""
        self._base = 0

    def load(self) -> GatewayState | None:
        """None when there is no file or nothing in it can be used. Where the file is whole, it is gone on with."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        records = list(_records(data))
        state = replayed(records)
        if state is not None and sum(size for _, size in records) == len(data):
            self._base = records[0][1]
            self._tail = len(data) - self._base
            self._written = dict(state.wanted)
        return state

    def _step(self, key: Key, new: PieceList | None, pieces: dict[bytes, Piece]) -> _List | None:
        """From what the file holds of a list; `pieces` takes those that it may not hold. None: it holds the list."""
        old = self._written.get(key)
        if old is new:
            return None
        if new is None:
            del self._written[key]
            return _List(*key, gone=True)
        self._written[key] = new
        steps = new.steps_from(old.digest) if old is not None else None
        if steps is None:
            pieces.update((p.hash, p) for p in new)
            return _List(*key, whole=tuple(p.hash for p in new))
        for step in steps:
            pieces.update((p.hash, p) for p in step.insert)
        return _List(*key, splices=tuple((s.start, s.remove, tuple(p.hash for p in s.insert)) for s in steps))


def recorded(state: GatewayState) -> bytes:
    """The whole state as one record."""
    return Journal(Path()).record(state)[0]


def restored(data: bytes) -> GatewayState | None:
    """The state after the last whole record; None when there is none."""
    return replayed(_records(data))


def replayed(records: Iterable[tuple[_Record, int]]) -> GatewayState | None:
    known: dict[bytes, Piece] = {}
    wanted: dict[Key, PieceList] = {}
    last: _Record | None = None
    for record, _ in records:
        known.update((p.hash, Piece(p.hash, Role(p.role), p.contribution, p.body)) for p in record.pieces)
        for entry in record.lists:
            _replay(wanted, entry, known)
        last = record
    if last is None:
        return None
    state = GatewayState(last.scope)
    effective = dict(wanted)
    for entry in last.diverged:
        _replay(effective, entry, known)
    state.keep, state.lost, state.since = dict(last.keep), dict(last.lost), dict(last.since)
    state.refused = {c: Refusal(*r) for c, r in last.refused.items()}
    state.restore(last.version, wanted, effective)
    return state


def _diverged(state: GatewayState, pieces: dict[bytes, Piece]) -> Iterable[_List]:
    for key in sorted(state.diverged):
        effective = state.effective.get(key)
        if effective is None:
            yield _List(*key, gone=True)
        else:
            pieces.update((p.hash, p) for p in effective)
            yield _List(*key, whole=tuple(p.hash for p in effective))


def _replay(lists: dict[Key, PieceList], entry: _List, known: dict[bytes, Piece]) -> None:
    key = (entry.type, entry.name)
    if entry.gone:
        lists.pop(key, None)
    elif entry.whole is not None:
        lists[key] = PieceList(known[h] for h in entry.whole)
    else:
        steps = [Splice(start, remove, tuple(known[h] for h in hashes)) for start, remove, hashes in entry.splices]
        lists[key] = lists[key].spliced(steps)


def _records(data: bytes) -> Iterable[tuple[_Record, int]]:
    """With their sizes in the file."""
    at = 0
    while at + _HEAD <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + _HEAD : at + _HEAD + length]
        if len(body) < length or blake2b(body, digest_size=8).digest() != data[at + 4 : at + _HEAD]:
            return
        try:
            record = _decode(body)
        except msgspec.DecodeError:
            return
        if record.layout != _LAYOUT:
            return
        yield record, _HEAD + length
        at += _HEAD + length
