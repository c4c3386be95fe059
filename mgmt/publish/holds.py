"""Which losses are held, and which are meant, by class of gateways.

Nothing is published here: what changes for gateways by an answer of these methods is the publisher's to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from fingerpost.relay.pieces import PieceList
from mgmt.publish.guard import GuardSettings, Had, Held, Loss, cluster_of, clusters_concerned, reasons
from mgmt.publish.losses import ContributionDelta, LossMeter
from mgmt.publish.scope import ResourceSet
from mgmt.translate.scopes import ResourceKey, ScopeClass


class Holds:
    """`relist(clusters)` is called when new listings are demanded; `now` gives Unix nanoseconds."""

    def __init__(
        self, settings: GuardSettings, relist: Callable[[Collection[str]], None], now: Callable[[], int]
    ) -> None:
        self._settings, self._relist, self._now = settings, relist, now
        self._losses = LossMeter()
        self._held: dict[ScopeClass, Held] = {}
        self._confirmed: set[ScopeClass] = set()

    def __bool__(self) -> bool:
        return bool(self._held)

    def get(self, gateway_class: ScopeClass) -> Held | None:
        return self._held.get(gateway_class)

    def had(self, gateway_class: ScopeClass) -> Had:
        return Had(self.contributions(gateway_class), self._held.get(gateway_class))

    def contributions(self, gateway_class: ScopeClass) -> frozenset[str]:
        """Those that are counted there."""
        return self._losses.contributions(gateway_class)

    def reasons(self, gateway_class: ScopeClass) -> Mapping[str, str]:
        """Contribution -> why it is kept."""
        held = self._held.get(gateway_class)
        return reasons(held) if held else {}

    def is_confirmed(self, gateway_class: ScopeClass) -> bool:
        return gateway_class in self._confirmed

    def would_hold(self, lost: frozenset[str], total: int) -> bool:
        """Whether such a loss would wait for a new listing."""
        return Loss(lost, total).too_large(self._settings)

    # ---------------------------------------------------------------- losses

    def changes(
        self,
        gateway_class: ScopeClass,
        before: Mapping[ResourceKey, PieceList],
        changes: Mapping[ResourceKey, PieceList | None],
        delta: ContributionDelta,
        homes: Iterable[str] | None,
    ) -> None:
        """`homes`: all clusters with gateways; None: there is no gateway of this class."""
        loss = self._losses.measure(gateway_class, before, changes, delta)
        if loss.lost or loss.shrunk:
            self._confirmed.discard(gateway_class)
        if homes is not None:
            self._weigh(gateway_class, loss, homes)

    def _weigh(self, gateway_class: ScopeClass, loss: Loss, homes: Iterable[str]) -> None:
        held = self._held.get(gateway_class)
        if held is not None:
            back = held.contributions & self.contributions(gateway_class)
            if back and back == held.contributions and not loss.shrunk:
                del self._held[gateway_class]  # the input healed
                return
        if not loss.too_large(self._settings):
            return
        self._hold(gateway_class, loss.lost | loss.shrunk, clusters_concerned(loss, homes))

    def moves(
        self, clusters: Collection[str], former: ResourceSet, had: Had, to: ScopeClass, there: ResourceSet | None
    ) -> None:
        """A gateway that loses a listener, or all of them, is of another class then: what is not there is lost too.

        The listeners' own contributions are kept with the tables', or nobody could reach what is kept. A loss that was
        held already goes along.
        """
        stays = self.contributions(to)
        loss = Loss(had.contributions - stays, len(had.contributions))
        too_large = loss.too_large(self._settings)
        if not too_large and had.held is None:
            return
        named = there.named() if there is not None else frozenset()
        held = self._held.get(to)
        contributions = held.contributions if held else frozenset()
        waiting = held.waiting if held else frozenset()
        if had.held is not None and (carried := had.held.contributions - stays - named):
            contributions, waiting = contributions | carried, waiting | had.held.waiting
        if too_large:
            lost = loss.lost | (former.named() - named)
            # Gateways of one cluster may move because its own objects are missing; those of many, for what they share.
            own = clusters if len(clusters) == 1 else ()
            concerned = frozenset((*own, *(cluster_of(c) for c in lost)))
            contributions, waiting = contributions | lost, waiting | concerned
            self._relist(concerned)
        if contributions:
            self._held[to] = Held(contributions, waiting, held.since_unix_nanos if held else self._now())
            self._confirmed.discard(to)

    def agent_holds(self, gateway_class: ScopeClass, contributions: frozenset[str]) -> None:
        """The agent's own guard holds a loss that ours let pass: have the inputs listed anew, then confirm it."""
        if gateway_class in self._held or gateway_class in self._confirmed:
            return
        if meant := contributions - self.contributions(gateway_class):
            self._hold(gateway_class, meant, frozenset(cluster_of(c) for c in meant))

    def _hold(self, gateway_class: ScopeClass, contributions: frozenset[str], concerned: frozenset[str]) -> None:
        """Beside what was lost before, which waits on for the listings that it waits for."""
        held, waiting = self._held.get(gateway_class), concerned
        if held is not None:
            contributions, waiting = contributions | held.contributions, waiting | held.waiting
        self._held[gateway_class] = Held(contributions, waiting, self._now())
        self._confirmed.discard(gateway_class)
        self._relist(concerned)

    # ---------------------------------------------------------------- what is meant

    def relisted(self, cluster: str) -> None:
        """What is still missing is meant."""
        for gateway_class, held in list(self._held.items()):
            if cluster not in held.waiting:
                continue
            if waiting := held.waiting - {cluster}:
                self._held[gateway_class] = held._replace(waiting=waiting)
            else:
                self.confirm(gateway_class)

    def confirm(self, gateway_class: ScopeClass) -> None:
        self._held.pop(gateway_class, None)
        self._confirmed.add(gateway_class)

    def forget(self, gateway_class: ScopeClass) -> None:
        self._held.pop(gateway_class, None)
        self._confirmed.discard(gateway_class)
        self._losses.forget(gateway_class)
