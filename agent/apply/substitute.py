"""Take some contributions of a resource from the list that is in force instead of from the list that is wanted (design
D2, D15).

Pure. The result keeps the wanted order; what is taken from the held list stands where it stood among its neighbours
there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from agent.apply.blocks import Block, blocks_of, identity
from fingerpost.relay.pieces import Piece, PieceList, Role

T = TypeVar("T")


def substitute(wanted: PieceList | None, held: PieceList | None, pinned: Collection[str]) -> PieceList | None:
    """`wanted` with the pieces of the `pinned` contributions as in `held`; None when nothing is left of the resource.

    The gateway's own structure ("") around kept pieces is kept with them when `wanted` lacks the resource altogether.
    """
    if wanted is None:
        return _only(held, pinned)
    touched = any(p.contribution in pinned for p in wanted) or (
        held is not None and any(p.contribution in pinned for p in held)
    )
    if not touched:
        return wanted
    if held is None:
        own = {p.contribution for p in wanted} - {""}
        if own <= set(pinned) and (own or "" in pinned) and ("" in pinned or all(p.contribution for p in wanted)):
            return None
        pinned = set(pinned) - {""}  # a new resource cannot come without its structure
    merged = _merge_blocks(blocks_of(wanted.pieces), blocks_of(held.pieces) if held else [], pinned)
    pieces = [p for block in merged for p in block.pieces]
    if not pieces:
        return None
    result = PieceList(pieces)
    if result == wanted:
        return wanted
    return held if held is not None and result == held else result


def _only(held: PieceList | None, pinned: Collection[str]) -> PieceList | None:
    if held is None or not any(p.contribution in pinned and p.contribution for p in held):
        return None
    kept: list[Piece] = []
    for block in blocks_of(held.pieces):
        own = [p for p in block.items if p.contribution in pinned]
        head_stays = block.head.contribution in pinned or (block.head.contribution == "" and not block.items)
        if own or head_stays:
            kept += [block.head, *own]
    return held if len(kept) == len(held) else PieceList(kept)


def _merge_blocks(wanted: list[Block], held: list[Block], pinned: Collection[str]) -> list[Block]:
    held_by_id = {identity(b.head): b for b in held if b.items or b.head.role == Role.GROUP}
    out: list[Block] = []
    seen: set[bytes] = set()
    for block in wanted:
        if block.head.role != Role.GROUP:
            if block.head.contribution not in pinned:
                out.append(block)
            continue
        name = identity(block.head)
        seen.add(name)
        merged = _merge_group(block, held_by_id.get(name), pinned)
        if merged is not None:
            out.append(merged)
    kept = {identity(k.head): k for b in held if (k := _kept_block(b, seen, pinned)) is not None}
    order = [kept.get(identity(b.head), b) for b in held]

    def taken(block: Block) -> bool:
        return identity(block.head) in kept

    return _insert(out, order, taken, lambda b: identity(b.head), lambda b: b.head.contribution)


def _kept_block(block: Block, seen: Collection[bytes], pinned: Collection[str]) -> Block | None:
    """A block of the held list that the wanted list lacks and a pin keeps."""
    if block.head.role != Role.GROUP:
        return block if block.head.contribution in pinned else None
    if identity(block.head) in seen:
        return None
    own = tuple(p for p in block.items if p.contribution in pinned)
    return Block(block.head, own) if own or (block.head.contribution and block.head.contribution in pinned) else None


def _merge_group(wanted: Block, held: Block | None, pinned: Collection[str]) -> Block | None:
    rest = [p for p in wanted.items if p.contribution not in pinned]
    if held is None:
        # A new group that only pinned contributions fill does not come into being.
        stays = rest or (not wanted.items and wanted.head.contribution not in pinned)
        return Block(wanted.head, tuple(rest)) if stays else None
    head = held.head if wanted.head.contribution in pinned else wanted.head
    items = _insert(rest, held.items, lambda p: p.contribution in pinned, lambda p: p.hash, lambda p: p.contribution)
    return Block(head, tuple(items))


def _insert(
    base: list[T],
    order: Sequence[T],
    taken: Callable[[T], bool],
    exact: Callable[[T], bytes],
    alike: Callable[[T], str],
) -> list[T]:
    """Put the `taken` elements of `order` into `base`, each right after the nearest neighbour before it that `base` has
    as well.
    """
    if not any(map(taken, order)):
        return base
    where = {exact(e): i for i, e in enumerate(base)}
    owners: dict[str, list[int]] = {}
    for i, element in enumerate(base):
        owners.setdefault(alike(element), []).append(i)
    slots: dict[int, list[T]] = {}
    anchor = 0
    for element in order:
        if taken(element):
            slots.setdefault(anchor, []).append(element)
            continue
        at = where.get(exact(element))
        if at is None:  # an edited neighbour is still a neighbour
            at = next((i for i in owners.get(alike(element), ()) if i >= anchor), None)
        if at is not None and at + 1 > anchor:
            anchor = at + 1
    out: list[T] = []
    for i in range(len(base) + 1):
        out += slots.get(i, ())
        if i < len(base):
            out.append(base[i])
    return out
