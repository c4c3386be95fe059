"""A list of pieces seen as blocks: a TOP piece alone, or a GROUP with its items. The only place that knows how a block
is recognised again.

Nothing here parses a resource, except for the first field of a group's head, which names the group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fingerpost.relay.pieces import Piece, PieceList, Role

_NAME_TAG = 0x0A  # protobuf field 1, length delimited
_GROUP, _ITEM = int(Role.GROUP), int(Role.ITEM)


class Block(NamedTuple):
    head: Piece
    items: tuple[Piece, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return (self.head, *self.items)


def blocks_of(pieces: Sequence[Piece]) -> list[Block]:
    """Items that no group precedes are blocks of their own, as `join` copies them too."""
    out: list[Block] = []
    start = 0
    for i, (_, role, _, _) in enumerate(pieces):
        if role != _ITEM and i > start:
            out.append(Block(pieces[start], tuple(pieces[start + 1 : i])))
            start = i
    if pieces:
        out.append(Block(pieces[start], tuple(pieces[start + 1 :])))
    return out


def identity(head: Piece) -> bytes:
    """What stays the same of a block when it is edited: a group's name; of a TOP piece its bytes."""
    if head.role != _GROUP:
        return head.hash
    body = head.body
    if len(body) > 2 and body[1] == _NAME_TAG:
        length, shift, at = 0, 0, 2
        while at < len(body):
            length |= (body[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not body[at - 1] & 0x80:
                return b"group\0" + body[at : at + length]
    return b"group\0" + body


def contributions(pieces: Iterable[Piece]) -> set[str]:
    return {p.contribution for p in pieces}


def changes(old: PieceList | None, new: PieceList | None) -> tuple[Sequence[Piece], Sequence[Piece]]:
    """(removed, inserted) between two lists; costs as much as the edit when the new list remembers the old one."""
    if old is new:
        return (), ()
    if old is None or new is None:
        return (old.pieces if old else ()), (new.pieces if new else ())
    steps = new.steps_from(old.digest)
    if steps is not None:
        if len(steps) == 1:
            start, remove, insert = steps[0]
            return old.span(start, remove), insert
        removed: list[Piece] = []
        inserted: list[Piece] = []
        now = list(old.pieces)
        for start, remove, insert in steps:
            removed += now[start : start + remove]
            inserted += insert
            now[start : start + remove] = insert
        return removed, inserted
    return _beyond(old, new), _beyond(new, old)


def _beyond(these: PieceList, those: PieceList) -> list[Piece]:
    """The pieces of `these` that `those` has not, equal ones counted."""
    left = Counter(p.hash for p in those)
    out = []
    for p in these:
        if left[p.hash] > 0:
            left[p.hash] -= 1
        else:
            out.append(p)
    return out


def differing(old: PieceList | None, new: PieceList | None) -> set[str]:
    """The contributions whose pieces differ, also when only their order does."""
    removed, inserted = changes(old, new)
    if not removed and not inserted and old is not None and new is not None and old != new:
        return contributions(new)
    return contributions(removed) | contributions(inserted)
