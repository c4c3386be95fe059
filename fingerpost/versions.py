"""How far two versions are apart: neighbouring minor versions understand each other, others may not."""

from __future__ import annotations


def apart(one: str, other: str) -> int:
    """Minor versions between the two, 2 for two majors; 0 where they cannot be compared."""
    try:
        mine, theirs = ([int(part) for part in text.split(".")[:2]] for text in (one, other))
        return abs(mine[1] - theirs[1]) if mine[0] == theirs[0] else 2
    except (ValueError, IndexError):
        return 0
