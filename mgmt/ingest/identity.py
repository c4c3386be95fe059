"""An object's identity outlives the replica that gave it: what is known of uid, creationTimestamp and generation holds.

A folder has no API server that gives these, so each replica gives its own at first sight; the first one to write wins.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fingerpost.objects import canonical, content_hash
from mgmt.store.values import Stored

_decoder = msgspec.json.Decoder()
_GIVEN = ("uid", "creationTimestamp", "generation")


def _metadata(obj: Any) -> dict[str, Any]:
    found = obj.get("metadata") if isinstance(obj, dict) else None
    return found if isinstance(found, dict) else {}


def _without_metadata(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name != "metadata"}


def adopt(known: Stored | None, mine: Stored) -> Stored:
    """`mine` under the identity of `known`, the same object as another replica saw it first."""
    if known is None or known.hash == mine.hash:
        return known or mine
    old, new = _decoder.decode(known.body), _decoder.decode(mine.body)
    before, now = _metadata(old), _metadata(new)
    if before.get("uid") == now.get("uid"):
        return mine
    for name in _GIVEN:
        if name in before:
            now[name] = before[name]
    if _without_metadata(old) != _without_metadata(new):
        now["generation"] = int(before.get("generation", 0)) + 1
    body = canonical(new)
    return Stored(content_hash(body), body)
