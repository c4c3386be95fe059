"""How much a turn takes away: contributions and endpoint addresses per class, counted from deltas, never by walking a
class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fingerpost.relay.pieces import PieceList, join
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.publish.guard import Loss
from mgmt.translate.scopes import ResourceKey, ScopeClass

# Contributions that came to or left a class in one turn: class -> (gone, come)
ContributionDelta = Mapping[ScopeClass, tuple[frozenset[str], frozenset[str]]]


def addresses(endpoints: PieceList | None) -> int:
    """How many clusters and external addresses stand behind an EndpointsTemplate."""
    if endpoints is None:
        return 0
    template = endpoints_pb2.EndpointsTemplate.FromString(join(endpoints))
    return len(template.parts) + len(template.external)


class LossMeter:
    def __init__(self) -> None:
        self._contributions: dict[ScopeClass, set[str]] = {}
        self._addresses: dict[ScopeClass, int] = {}

    def contributions(self, gateway_class: ScopeClass) -> frozenset[str]:
        return frozenset(self._contributions.get(gateway_class, ()))

    def forget(self, gateway_class: ScopeClass) -> None:
        self._contributions.pop(gateway_class, None)
        self._addresses.pop(gateway_class, None)

    def measure(
        self,
        gateway_class: ScopeClass,
        held: Mapping[ResourceKey, PieceList],
        changes: Mapping[ResourceKey, PieceList | None],
        delta: ContributionDelta,
    ) -> Loss:
        """Call before `changes` are made."""
        mine = self._contributions.setdefault(gateway_class, set())
        total = len(mine)
        gone, come = delta.get(gateway_class, (frozenset(), frozenset()))
        lost = (gone - come) & mine
        mine -= lost
        mine |= come
        addresses_total = self._addresses.get(gateway_class, 0)
        taken, given, shrunk = 0, 0, set()
        for key, new in changes.items():
            if key[0] != "endpoints":
                continue
            old = held.get(key)
            before, after = addresses(old), addresses(new)
            given += max(0, after - before)
            # An endpoints resource that goes altogether went with its last route, and is counted there.
            if new is not None and after < before:
                taken += before - after
                shrunk |= _contributions_of(old)
            elif new is None:
                given -= before
        self._addresses[gateway_class] = addresses_total + given - taken
        return Loss(frozenset(lost), total, taken, addresses_total, frozenset(shrunk))


def _contributions_of(pieces: Iterable[object] | PieceList | None) -> set[str]:
    return {p.contribution for p in pieces if p.contribution} if isinstance(pieces, PieceList) else set()
