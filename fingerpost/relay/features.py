"""Capabilities by name, said in Hello: how two sides one minor version apart get along (relay.md §3.3 rule 17).

A new type of resource gets a line in `_NEEDED` and a name in `FEATURES`, in the same version: then no agent that came
before it is sent one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from fingerpost.relay.objects import OBJECT

_OBJECTS: Final = "objects"
ARRIVALS: Final = "arrivals"
ANSWERS: Final = "answers"
FEATURES: Final = (ANSWERS, ARRIVALS, "digest-buckets", _OBJECTS, "pieces", "splices", "stored")
# Type of resource -> feature. What is not here has been there from the beginning.
_NEEDED: Final[Mapping[str, str]] = MappingProxyType({OBJECT: _OBJECTS})


def withheld(announced: Collection[str]) -> Mapping[str, str]:
    """The types of resources that a side with these features is not sent, each with the feature that it lacks."""
    return {type_: feature for type_, feature in _NEEDED.items() if feature not in announced}
