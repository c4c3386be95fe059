"""What gateways get: from the translator of now, or while something is rolled back from a second one that reads older
objects beside the facts of now (services, endpoints, gateways, registrations).

So a rollback brings back no dead endpoint, serves both data planes alike, and passes the guards as any other change of
what gateways are to get. Pure, like the translator. Without a rollback it costs one look at a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import structlog
from msgspec import structs

from fingerpost.objects import ObjectKey
from fingerpost.relay.interest import Interest
from fingerpost.relay.objects import ISTIO_SCOPE
from fingerpost.relay.pieces import PieceList
from mgmt.ingest.kinds import PIN
from mgmt.pins import rollback as r
from mgmt.pins.notes import noted
from mgmt.pins.rollback import Overlay, Reach, Rollback
from mgmt.translate.engine import Failure
from mgmt.translate.scopes import GatewayClass, GatewayKey, ObjectClass, PinnedClass, ResourceKey, ScopeClass
from mgmt.translate.status import Status
from mgmt.translate.translator import Translator, gateway_key
from mgmt.translate.turn import Turn

log = structlog.get_logger()
Change = tuple[ObjectKey, bytes | None]
Warming = Mapping[ScopeClass, Mapping[str, str]]
Stack = tuple[str, ...]  # ids of rollbacks, newest first
_NOW: Stack = ()


class _Side(NamedTuple):
    """One translator, and what stands over its inputs."""

    translator: Translator
    overlay: Overlay


class Outputs:
    """`now` is the translator of what users have written last; statuses and answers about objects are its own."""

    def __init__(self, now: Translator, make: Callable[[], Translator]) -> None:
        self.rollbacks: dict[str, Rollback] = {}
        self.moved: Callable[[], None] = lambda: None  # called when rollbacks have begun or ended
        self.ended: tuple[Rollback, ...] = ()  # in the last turn; without the objects
        self.now, self._make = now, make
        self._sides: dict[Stack, _Side] = {}  # besides `now`
        self._assigned: dict[GatewayKey, ScopeClass] = {}
        self._used: frozenset[ScopeClass] = frozenset()  # the classes that are assigned, while something is rolled back
        self._interests: dict[str, Interest] = {}
        self._cold: frozenset[str] = frozenset()
        now.annotate = self._annotated

    # ---------------------------------------------------------------- asked from outside

    def set_cold(self, clusters: Iterable[str]) -> None:
        self._cold = frozenset(clusters)
        for translator in self._translators():
            translator.set_cold(self._cold)

    def failures(self) -> list[Failure]:
        return [failure for translator in self._translators() for failure in translator.failures()]

    def in_force(self, cluster: str) -> Translator:
        """The one whose results the gateways of `cluster` get."""
        side = self._sides.get(self._stack(cluster))
        return side.translator if side else self.now

    def over(self, key: ObjectKey) -> tuple[Rollback, ...]:
        """The rollbacks that stand over an object, newest first."""
        return tuple(one for one in self._newest_first() if one.covers(key)) if self.rollbacks else ()

    def held(self, key: ObjectKey, body: bytes | None, cluster: str) -> Rollback | None:
        """The rollback that keeps this version of an object from the gateways of `cluster`."""
        if not self.rollbacks:
            return None
        overlay = self._overlay(cluster)
        return overlay.over(key) if overlay.body(key, body) != body else None

    def revived(self, one: Rollback) -> list[ObjectKey]:
        """What has been deleted since its snapshot, and is in force because of it."""
        where = one.scope.name if one.scope.reach is Reach.CLUSTER else ""
        overlay = self._overlay(where)
        gone = (key for key in one.objects if self.now.inputs.body(key) is None)
        return sorted(key for key in gone if (over := overlay.over(key)) is not None and over.id == one.id)

    # ---------------------------------------------------------------- turns

    def turn(self, changes: Sequence[Change]) -> Turn:
        """Carries the changes through every translator; what comes out is for the gateways as they are assigned."""
        moved = self._take_pins(changes)
        self.now.feed(changes)
        turn = self.now.turn()
        if not (self._sides or moved):
            self._assign(turn.gateways)
            self._interests.update(turn.interests)
            return turn
        turns = {_NOW: turn}
        for stack, side in self._sides.items():
            side.translator.feed((key, body) for key, body in changes if side.overlay.over(key) is None)
            turns[stack] = side.translator.turn()
        fresh = self._build(turns) if moved else frozenset()
        merged = self._merged(turns, fresh, moved=moved)
        merged.statuses = self._statuses(turn.statuses, changes, everything=moved)
        return merged

    def _take_pins(self, changes: Iterable[Change]) -> bool:
        """Whether the rollbacks are others now."""
        before = dict(self.rollbacks)
        for key, body in changes:
            if key.type != PIN or not key.name.startswith(r.PREFIX):
                continue
            self.rollbacks.pop(key.name.removeprefix(r.PREFIX), None)
            if body is not None:
                try:
                    found = r.decode(body)
                except ValueError as wrong:  # of a newer version: better no rollback than no server
                    log.error("history.pin.unreadable", resource=key.name, error=str(wrong))
                else:
                    self.rollbacks[found.id] = found
        gone = (one for id_, one in before.items() if id_ not in self.rollbacks)
        self.ended = tuple(structs.replace(one, objects={}) for one in gone)
        if before.keys() == self.rollbacks.keys():
            return False
        self.moved()
        return True

    def _build(self, turns: dict[Stack, Turn]) -> frozenset[Stack]:
        """Makes the translators that are needed now and drops the others. Returns the new stacks."""
        # "": any cluster that no rollback names
        named = ("", *(one.scope.name for one in self.rollbacks.values() if one.scope.reach is Reach.CLUSTER))
        needed = {stack for cluster in named if (stack := self._stack(cluster))}
        for stack in self._sides.keys() - needed:
            del self._sides[stack]
            turns.pop(stack, None)
        fresh = frozenset(needed - self._sides.keys())
        for stack in fresh:
            overlay = Overlay([self.rollbacks[id_] for id_ in stack])
            translator = self._make()
            translator.set_cold(self._cold)
            translator.feed(overlay.all(dict(self.now.inputs.items())).items())
            self._sides[stack] = _Side(translator, overlay)
            turns[stack] = translator.turn()
        return fresh

    def _merged(self, turns: Mapping[Stack, Turn], fresh: Collection[Stack], *, moved: bool) -> Turn:
        """Costs what has changed, unless gateways or rollbacks come or go: then it looks at every gateway."""
        before, known = self._assigned, frozenset(self._assigned.values()) if moved else self._used
        if moved or any(turn.gateways for turn in turns.values()):
            self._assigned = dict(self._assignment())
            self._used = frozenset(self._assigned.values())
        classes: dict[ScopeClass, Mapping[ResourceKey, PieceList | None]] = {}
        contributions: dict[ScopeClass, tuple[frozenset[str], frozenset[str]]] = {}
        for at in self._used - known:
            stack, own = _split(at)
            resources, names = whole(self._side(stack), own)
            classes[at], contributions[at] = resources, (frozenset(), names)
        for stack, turn in turns.items():
            for changed in turn.classes.keys() | turn.contributions.keys() if stack not in fresh else ():
                at = _joined(stack, changed)
                if at in self._used and at not in classes:
                    classes[at] = turn.classes.get(changed, {})
                    contributions[at] = turn.contributions.get(changed, (frozenset(), frozenset()))
        gateways: dict[GatewayKey, ScopeClass | None] = {}
        if self._assigned is not before:
            gateways |= {gateway: to for gateway, to in self._assigned.items() if before.get(gateway) != to}
            gateways |= dict.fromkeys(before.keys() - self._assigned.keys())
        return Turn(
            classes=classes,
            gateways=gateways,
            contributions=contributions,
            interests=self._joined_interests(turns.values(), everything=moved),
            warming=self._warming(turns),
            kept={name: why for translator in self._translators() for name, why in translator.kept().items()},
            accepted=turns[_NOW].accepted,
            steps=sum(turn.steps for turn in turns.values()),
        )

    def _assign(self, gateways: Mapping[GatewayKey, ScopeClass | None]) -> None:
        for gateway, to in gateways.items():
            if to is None:
                self._assigned.pop(gateway, None)
            else:
                self._assigned[gateway] = to

    def _assignment(self) -> Iterator[tuple[GatewayKey, ScopeClass]]:
        for stack in (_NOW, *self._sides):
            for gateway, own in gateways_of(self._side(stack)):
                if self._stack(gateway[0]) == stack:
                    yield gateway, _joined(stack, own)

    def _warming(self, turns: Mapping[Stack, Turn]) -> Warming | None:
        if all(turn.warming is None for turn in turns.values()):
            return None
        of_all = ((stack, own, keep) for stack, turn in turns.items() for own, keep in (turn.warming or {}).items())
        return {at: keep for stack, own, keep in of_all if (at := _joined(stack, own)) in self._used}

    def _joined_interests(self, turns: Iterable[Turn], *, everything: bool) -> dict[str, Interest]:
        """Facts are asked for once, for all translators; those of a rollback that ended are no longer asked for."""
        clusters = {cluster for turn in turns for cluster in turn.interests}
        if everything:
            clusters |= {*self._interests, *self.now.owners.all_clusters(self.now.peek())}
        out = {}
        for cluster in sorted(clusters):
            wanted = Interest()
            for translator in self._translators():
                wanted = wanted.joined(translator.interests.of(cluster))
            if wanted != self._interests.get(cluster):
                self._interests[cluster] = out[cluster] = wanted
        return out

    # ---------------------------------------------------------------- statuses

    def _statuses(
        self, changed: Mapping[ObjectKey, Status | None], changes: Iterable[Change], *, everything: bool
    ) -> dict[ObjectKey, Status | None]:
        out = dict(changed)
        if everything:
            out |= dict(self.now.all_statuses())
        for key, body in changes:  # an edit may be none to the translator, and yet be held back
            if body is not None and key not in out and self.over(key) and (status := self.now.status(key)):
                out[key] = status
        return out

    def _annotated(self, key: ObjectKey, status: Status) -> Status:
        if not self.rollbacks or key.type not in r.RECORDED:
            return status
        return noted(status, key, self.now.inputs.body(key), self.over(key))

    # ---------------------------------------------------------------- inside

    def _newest_first(self) -> list[Rollback]:
        return sorted(self.rollbacks.values(), key=lambda one: int(one.id), reverse=True)

    def _stack(self, cluster: str) -> Stack:
        return tuple(one.id for one in self._overlay(cluster).rollbacks) if self.rollbacks else _NOW

    def _overlay(self, cluster: str) -> Overlay:
        """What stands over the inputs of the gateways of `cluster`; "": of one that no rollback names."""
        return Overlay([one for one in self._newest_first() if one.concerns(cluster)])

    def _side(self, stack: Stack) -> Translator:
        return self._sides[stack].translator if stack else self.now

    def _translators(self) -> list[Translator]:
        return [self.now, *(side.translator for side in self._sides.values())]


def _split(at: ScopeClass) -> tuple[Stack, GatewayClass | ObjectClass]:
    return (at.rollbacks, at.of) if isinstance(at, PinnedClass) else (_NOW, at)


def _joined(stack: Stack, own: ScopeClass) -> ScopeClass:
    return PinnedClass(rollbacks=stack, of=own) if stack and not isinstance(own, PinnedClass) else own


def gateways_of(translator: Translator) -> Iterator[tuple[GatewayKey, GatewayClass | ObjectClass]]:
    for key, gateway_class in translator.classes.of_gateway.items.items():
        yield gateway_key(key), gateway_class
    for cluster in translator.istio.clusters.items:
        yield (cluster, ISTIO_SCOPE), ObjectClass(cluster=cluster)


def whole(
    translator: Translator, own: GatewayClass | ObjectClass
) -> tuple[dict[ResourceKey, PieceList], frozenset[str]]:
    """All resources of a class, and the contributions in them."""
    if isinstance(own, GatewayClass):
        return translator.composer.resources(own), translator.composer.tables_of(own)
    return translator.objects_of(own.cluster)
