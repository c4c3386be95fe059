"""One version of one scope while it comes in: changes as splices of hashes, until all pieces are there and it can be
resolved to lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from fingerpost.relay.pieces import Piece, PieceList, Splice
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.v1 import relay_pb2 as pb

Key = tuple[str, str]
_SIZE = 16


class Mismatch(Exception):
    """The version does not fit what is here: the scope has to be synchronised anew."""


class _Change:
    __slots__ = ("base", "hash", "splices")

    def __init__(self, base: bytes) -> None:
        self.base, self.hash = base, b""
        self.splices: list[tuple[int, int, list[bytes]]] = []

    def take(self, raw: pb.ResourceChange) -> None:
        for splice in raw.splices:
            insert = splice.insert
            hashes = [insert[i : i + _SIZE] for i in range(0, len(insert), _SIZE)]
            self.splices.append((splice.start, splice.remove, hashes))
        self.hash = raw.hash


class Version:
    __slots__ = (
        "_changes",
        "_removes",
        "after",
        "began_unix_nanos",
        "confirmed",
        "edits",
        "gone",
        "hashes",
        "joined",
        "keep",
        "number",
        "seen_unix_nanos",
        "traceparent",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.after = b""
        self.confirmed = self.gone = False
        self.seen_unix_nanos = 0
        self.began_unix_nanos = time.time_ns()  # its first message is here
        self.traceparent = ""
        self.joined: tuple[str, ...] = ()
        self.keep: dict[str, str] | None = None
        self.hashes: set[bytes] = set()
        self.edits: dict[
            Key, tuple[Sequence[Piece], Sequence[Piece]]
        ] = {}  # pieces removed and inserted, where that is known
        self._changes: dict[Key, _Change] = {}
        self._removes: list[Key] = []

    def take(self, delta: pb.ScopeDelta) -> None:
        """One message of the version; those of one version come in order."""
        if delta.config_version != self.number:
            raise Refused(Reason.PROTOCOL, f"config_version {delta.config_version} began inside {self.number}")
        for raw in delta.changes:
            key = (raw.type, raw.name)
            change = self._changes.get(key)
            if change is None:
                change = self._changes[key] = _Change(raw.base)
            elif not raw.continues:
                raise Refused(Reason.PROTOCOL, f"resource {key} changes twice in config_version {self.number}")
            change.take(raw)
            for _, _, hashes in change.splices:
                self.hashes.update(hashes)
        self._removes.extend((r.type, r.name) for r in delta.remove)
        if delta.keep or delta.set_keep:
            self.keep = self.keep or {}
            self.keep.update((k.contribution, k.reason) for k in delta.keep)
        if delta.version_end:
            self.after, self.confirmed, self.gone = delta.after, delta.confirmed, delta.gone
            self.seen_unix_nanos = delta.seen_unix_nanos
            self.traceparent, self.joined = delta.traceparent, tuple(delta.joined)

    def resolve(
        self, lists: Mapping[Key, PieceList], get: Callable[[bytes], Piece | None]
    ) -> tuple[dict[Key, PieceList | None], set[bytes]]:
        """The new lists (None: removed), or the hashes of the pieces that are missing. Raises Mismatch."""
        pieces: dict[bytes, Piece] = {}
        missing: set[bytes] = set()
        for digest in self.hashes:
            found = get(digest)
            if found is None:
                missing.add(digest)
            else:
                pieces[digest] = found
        if missing:
            return {}, missing
        out: dict[Key, PieceList | None] = {}
        for key, change in self._changes.items():
            splices = tuple(Splice(s, r, tuple(pieces[h] for h in hashes)) for s, r, hashes in change.splices)
            out[key] = self._list(key, change, splices, lists.get(key))
        out.update((key, None) for key in self._removes if key in lists)
        return out, missing

    def _list(self, key: Key, change: _Change, splices: tuple[Splice, ...], old: PieceList | None) -> PieceList:
        try:
            if not change.base:
                new = PieceList(_whole(splices))
            elif old is None or old.digest != change.base:
                raise Mismatch(f"{key} is not at the list the splices start from")
            else:
                new = old.spliced(splices)
                if (removed := _removed(old, splices)) is not None:
                    self.edits[key] = (removed, [p for s in splices for p in s.insert])
        except IndexError as error:
            raise Mismatch(str(error)) from error
        if new.digest != change.hash:
            raise Mismatch(f"{key} does not have the digest it was sent with")
        return new


def _whole(splices: tuple[Splice, ...]) -> Sequence[Piece]:
    """A list from nothing has no history worth keeping: its former pieces would stay in memory with it."""
    if all(not s.remove for s in splices) and _ascending(splices):
        return [p for s in splices for p in s.insert]
    return PieceList(()).spliced(splices).pieces


def _ascending(splices: tuple[Splice, ...]) -> bool:
    end = 0
    for start, _, insert in splices:
        if start < end:
            return False
        end = start + len(insert)
    return True


def _removed(old: PieceList, splices: tuple[Splice, ...]) -> list[Piece] | None:
    """What the splices take out of `old`; None when they touch each other's work and the whole list has to be
    compared.
    """
    if not _ascending(splices):
        return None
    out: list[Piece] = []
    shift = 0
    for start, remove, insert in splices:
        out.extend(old.span(start - shift, remove))
        shift += len(insert) - remove
    return out
