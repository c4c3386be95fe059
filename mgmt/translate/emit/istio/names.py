"""Names of generated objects (routing.md §3.9, destinations.md Appendix A)."""

from __future__ import annotations

from hashlib import md5

_LONGEST = 63
_KEPT = 31
_TABLE = str.maketrans({**dict.fromkeys("*/.:_ ", "-"), **dict.fromkeys("[]\n\"'", None)})


def sanitize(text: str) -> str:
    """At most 63 characters; a longer name keeps its beginning and a hash of the whole."""
    name = text.translate(_TABLE)
    if len(name) > _LONGEST:
        digest = md5(name.encode(), usedforsecurity=False).hexdigest()
        name = f"{name[:_KEPT]}-{digest}"[:_LONGEST]
    return name.lower().strip("-")


def joined(*parts: str) -> str:
    return sanitize("-".join(parts))


def labelled(labels: tuple[tuple[str, str], ...]) -> str:
    """Of a subset's labels its name."""
    return sanitize("-".join(f"{k}-{v}" for k, v in labels))
