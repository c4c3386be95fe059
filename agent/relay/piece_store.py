"""The pieces an agent holds, counted by the lists that use them: exactly those of its lists and of what is under
way.
"""

from __future__ import annotations

from collections.abc import Iterable

from fingerpost.relay.pieces import Piece


class PieceStore:
    def __init__(self) -> None:
        self._held: dict[bytes, list[object]] = {}  # hash -> [piece, uses]
        self._fresh: dict[bytes, Piece] = {}

    def __len__(self) -> int:
        return len(self._held) + sum(1 for h in self._fresh if h not in self._held)

    def get(self, digest: bytes) -> Piece | None:
        fresh = self._fresh.get(digest)
        if fresh is not None:
            return fresh
        held = self._held.get(digest)
        return held[0] if held is not None else None  # type: ignore[return-value]  # first of the pair

    def arrive(self, piece: Piece) -> None:
        """Kept until `settle`, whether a list uses it or not."""
        self._fresh[piece.hash] = piece

    def settle(self) -> None:
        """Nothing is under way any more: what no list uses is forgotten."""
        self._fresh.clear()

    def hold(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            held = self._held.get(piece.hash)
            if held is None:
                self._held[piece.hash] = [piece, 1]
            else:
                held[1] += 1  # type: ignore[operator]  # second of the pair

    def release(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            held = self._held[piece.hash]
            held[1] -= 1  # type: ignore[operator]  # second of the pair
            if not held[1]:
                del self._held[piece.hash]
