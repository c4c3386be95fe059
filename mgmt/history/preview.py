"""What a rollback would change at the gateways, found without touching anything. Pure, and slow: for a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import PieceList
from mgmt.pins.outputs import gateways_of, whole
from mgmt.pins.rollback import Overlay, Rollback
from mgmt.translate.scopes import GatewayKey, ResourceKey
from mgmt.translate.translator import Translator

Resources = Mapping[ResourceKey, PieceList]


class Served(NamedTuple):
    """One gateway as it is: what it is sent, and the contributions that the guards count."""

    resources: Resources
    contributions: frozenset[str]


class GatewayChange(NamedTuple):
    """The contributions (root objects) of which a gateway gets more, other or no routes, clusters or objects."""

    gateway: GatewayKey
    added: frozenset[str]
    changed: frozenset[str]
    removed: frozenset[str]
    lost: frozenset[str]  # as the guards count
    total: int


def preview(
    make: Callable[[], Translator],
    now: Mapping[ObjectKey, bytes],
    rollbacks: Iterable[Rollback],
    served: Mapping[GatewayKey, Served],
) -> list[GatewayChange]:
    """`rollbacks`: newest first; `served`: the gateways that they concern. Only those that change, sorted."""
    translator = make()
    translator.feed(Overlay(tuple(rollbacks)).all(now).items())
    translator.turn()
    then = dict(gateways_of(translator))
    out = []
    known: dict[tuple[int, object], GatewayChange] = {}  # like gateways differ alike
    for gateway, before in sorted(served.items()):
        own = then.get(gateway)
        seen = (id(before.resources), own)
        if seen not in known:
            after = whole(translator, own) if own is not None else ({}, frozenset())
            known[seen] = _compared(gateway, before, *after)
        found = known[seen]._replace(gateway=gateway)
        if found.added or found.changed or found.removed:
            out.append(found)
    return out


def _compared(gateway: GatewayKey, before: Served, after: Resources, names: frozenset[str]) -> GatewayChange:
    old, new = _pieces(before.resources, after), _pieces(after, before.resources)
    there, then = _contributions(before.resources), _contributions(after)
    touched = {name for name in (old.keys() | new.keys()) if old.get(name) != new.get(name)}
    return GatewayChange(
        gateway=gateway,
        added=frozenset(touched - there),
        changed=frozenset(touched & there & then),
        removed=frozenset(touched - then),
        lost=before.contributions - names,
        total=len(before.contributions),
    )


def _contributions(resources: Resources) -> set[str]:
    return {p.contribution for pieces in resources.values() for p in pieces} - {""}


def _pieces(resources: Resources, other: Resources) -> dict[str, list[bytes]]:
    """By contribution the pieces of every resource that is not the same in `other`."""
    out: dict[str, list[bytes]] = {}
    for key in sorted(resources):
        if resources[key] == other.get(key):
            continue
        for p in resources[key]:
            if p.contribution:
                out.setdefault(p.contribution, []).append(p.hash)
    return out
