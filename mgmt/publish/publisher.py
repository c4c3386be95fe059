"""Turns of the translator become live scopes; agents' answers become arrival. Implements `mgmt.relay.ports.Publisher`
but for signing.

Everything here runs on the event loop and returns at once. What is large or costs I/O (Redis, status files,
certificates) is elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import structs

from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.interest import Interest
from fingerpost.relay.objects import CLUSTER_SCOPE
from fingerpost.relay.pieces import KEEP_CLUSTER
from mgmt.publish.arrival import Arrivals
from mgmt.publish.guard import GuardSettings, Held
from mgmt.publish.holds import Holds
from mgmt.publish.scope import ResourceSet, Scope
from mgmt.publish.told import Told
from mgmt.relay.ports import NEVER, LogEntry
from mgmt.relay.scope_frames import Keep
from mgmt.translate.scopes import GatewayKey, ScopeClass
from mgmt.translate.turn import Turn

_NOTHING = Interest().digest


class Publisher:
    """`relist(clusters)` is called when a guard demands new listings; `now` gives Unix nanoseconds."""

    def __init__(
        self,
        *,
        relist: Callable[[Collection[str]], None],
        now: Callable[[], int],
        guard: GuardSettings = GuardSettings(),  # noqa: B008  (a frozen value)
    ) -> None:
        self.config_version = 0
        self.arrivals = Arrivals()
        self._relist = relist
        self._holds = Holds(guard, relist, now)
        self._sets: dict[ScopeClass, ResourceSet] = {}
        self._gateways: dict[GatewayKey, ScopeClass] = {}
        self._members: dict[ScopeClass, dict[GatewayKey, None]] = {}
        self._scopes: dict[str, dict[str, Scope]] = {}
        self._cluster_sets: dict[str, ResourceSet] = {}
        self._interests: dict[str, Interest] = {}
        self._asked: dict[str, bytes] = {}  # the digests of these
        self._told: dict[str, Told] = {}
        self._wakes: dict[str, dict[Callable[[], None], None]] = {}
        self._withdrawn: set[GatewayKey] = set()  # gateways gone, whose agents hold what they had until a new listing
        self._warming: Mapping[ScopeClass, Mapping[str, str]] = {}
        self._kept: Mapping[str, str] = {}
        self._shared: dict[ScopeClass, Keep] = {}  # what the gateways of a class keep
        self._cold: frozenset[str] = frozenset()
        self._homes: frozenset[str] = frozenset()
        self._ahead = 0  # a config_version that an agent holds and this replica has not reached
        self._known, self._ready = asyncio.Event(), asyncio.Event()

    # ---------------------------------------------------------------- what the relay reads

    async def known(self, cluster: str) -> None:
        await self._known.wait()

    async def ready(self, cluster: str) -> None:
        await self._ready.wait()

    def ask_agents(self) -> None:
        """The management cluster is listed, so `interest` says something."""
        self._known.set()

    def open_for_agents(self) -> None:
        """The first translation is done and this replica has caught up with Redis."""
        self._known.set()
        self._ready.set()

    @property
    def is_open(self) -> bool:
        return self._ready.is_set()

    def seen(self, cluster: str, config_version: int) -> None:
        if config_version > self.config_version:
            self._ahead = max(self._ahead, config_version)

    @property
    def is_behind(self) -> bool:
        """An agent knows a version that this replica has not reached; what it is told now it would refuse as old."""
        return self._ahead > self.config_version

    def scopes(self, cluster: str) -> Mapping[str, Scope]:
        return self._scopes.get(cluster, {})

    def interest(self, cluster: str) -> Interest:
        found = self._interests.get(cluster) or Interest()
        return structs.replace(found, partial=True) if self._cold else found

    def asked(self, cluster: str) -> bytes | None:
        """The digest of `interest`; None as long as it says nothing."""
        return self._asked.get(cluster, _NOTHING) if self._known.is_set() else None

    def tell_arrival(self, key: ObjectKey, body: bytes | None) -> None:
        """To the agent of the object's cluster: `status.arrival` in JSON. None: the object is gone."""
        self._told.setdefault(key.cluster, Told()).put(key, body)
        self._wake((key.cluster,))

    def arrivals_after(self, cluster: str, number: int, most: int) -> tuple[int, Sequence[tuple[ObjectKey, bytes]]]:
        told = self._told.get(cluster)
        return told.after(number, most) if told else (0, ())

    def subscribe(self, cluster: str, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.setdefault(cluster, {})[wake] = None
        return lambda: self._wakes.get(cluster, {}).pop(wake, None)

    def applied(self, cluster: str, config_version: int, scopes: Sequence[ScopeApplied]) -> None:
        self.arrivals.applied(cluster, config_version, scopes)
        for applied in scopes:
            self._check_agent_guard(cluster, applied)

    def _check_agent_guard(self, cluster: str, applied: ScopeApplied) -> None:
        held = frozenset(e.contribution for e in applied.exceptions if e.code == "MassDeletionHeld")
        if not held:
            return
        gateway = (cluster, applied.scope)
        gateway_class = self._gateways.get(gateway)
        if gateway_class is None:
            scope = self._scopes.get(cluster, {}).get(applied.scope)
            if scope is None:  # gone before this replica began
                scope = self._scope(cluster, applied.scope, ResourceSet())
                scope.gone, scope.version = True, NEVER
            if scope.gone and not scope.confirmed and gateway not in self._withdrawn:
                self._withdrawn.add(gateway)
                self._relist((cluster,))
        else:
            self._holds.agent_holds(gateway_class, held)

    # ---------------------------------------------------------------- publishing

    def publish(
        self, turn: Turn, version: int, seen_unix_nanos: int = 0, traceparent: str = ""
    ) -> Collection[GatewayKey]:
        """Returns the scopes whose resources are others now."""
        self.config_version = max(self.config_version, version)
        touched: dict[str, None] = {}
        moves: dict[tuple[ScopeClass, ScopeClass], set[str]] = {}
        # Forgotten once all have moved: the last member may leave just before another gateway comes into the class.
        left: dict[ScopeClass, None] = {}
        for gateway, gateway_class in turn.gateways.items():
            former = self._gateways.get(gateway)
            if former is None:
                continue
            left[former] = None
            if gateway_class is not None:
                moves.setdefault((former, gateway_class), set()).add(gateway[0])
        formerly = {former: self._holds.had(former) for former, _ in moves}
        told: dict[GatewayKey, None] = {}
        self._change_sets(turn, version, seen_unix_nanos, traceparent, told)
        touched.update((cluster, None) for cluster, _ in told)
        for (former, to), clusters in moves.items():
            self._holds.moves(clusters, self._sets[former], formerly[former], to, self._sets.get(to))
        for gateway, gateway_class in turn.gateways.items():
            self._move(gateway, gateway_class, version, seen_unix_nanos, traceparent)
            if gateway_class is not None:
                told[gateway] = None
            touched[gateway[0]] = None
        for former in left:
            if former not in self._members:
                self._forget(former)
        self._kept = turn.kept
        self._warming = turn.warming if turn.warming is not None else self._warming
        for cluster, changes in turn.cluster_scopes.items():
            cluster_set = self._cluster_sets.setdefault(cluster, ResourceSet())
            base = cluster_set.digest.total
            if changed := cluster_set.change(changes):
                self._scope(cluster, CLUSTER_SCOPE, cluster_set).note(
                    version, changed, base, seen_unix_nanos, traceparent
                )
                touched[cluster] = None
        for cluster, interest in turn.interests.items():
            self._interests[cluster] = interest
            self._asked[cluster] = interest.digest
            touched[cluster] = None
        self._refresh_keeps(version, touched)
        self._wake(touched)
        return told

    def touched(self, turn: Turn) -> list[GatewayKey]:
        """The gateways that a turn just published is for."""
        changed = (c for c, resources in turn.classes.items() if resources)
        return sorted({*turn.gateways, *(g for c in changed for g in self._members.get(c, ()))})

    def contributions(self, gateway: GatewayKey) -> frozenset[str]:
        """Those that the guards count there."""
        gateway_class = self._gateways.get(gateway)
        return self._holds.contributions(gateway_class) if gateway_class is not None else frozenset()

    def would_hold(self, lost: frozenset[str], total: int) -> bool:
        """Whether the guard would hold such a loss for a new listing."""
        return self._holds.would_hold(lost, total)

    def _change_sets(
        self, turn: Turn, version: int, seen_unix_nanos: int, traceparent: str, told: dict[GatewayKey, None]
    ) -> None:
        for gateway_class, changes in turn.classes.items():
            resource_set = self._sets.setdefault(gateway_class, ResourceSet())
            members = self._members.get(gateway_class, {})
            homes = self._scopes if members else None
            self._holds.changes(gateway_class, resource_set.resources, changes, turn.contributions, homes)
            base = resource_set.digest.total
            changed = resource_set.change(changes)
            if not changed:
                continue
            entries: dict[int, LogEntry] = {}
            after = resource_set.digest.total
            told |= members
            for cluster, name in members:
                scope = self._scopes[cluster][name]
                entry = entries.get(scope.version)
                if entry is None:
                    entry = LogEntry(version, scope.version, base, after, changed, seen_unix_nanos, traceparent)
                    entries[scope.version] = entry
                scope.append(entry)

    def _scope(self, cluster: str, name: str, resource_set: ResourceSet) -> Scope:
        scopes = self._scopes.setdefault(cluster, {})
        scope = scopes.get(name)
        if scope is None:
            scope = scopes[name] = Scope(resource_set)
        return scope

    def _move(
        self,
        gateway: GatewayKey,
        gateway_class: ScopeClass | None,
        version: int,
        seen_unix_nanos: int,
        traceparent: str,
    ) -> None:
        cluster, name = gateway
        former = self._gateways.pop(gateway, None)
        if former is not None:
            members = self._members[former]
            members.pop(gateway, None)
            if not members:
                del self._members[former]
        if gateway_class is None:
            scope = self._scopes.get(cluster, {}).get(name)
            if scope is not None:
                scope.gone = True
                scope.keep, scope.confirmed = {}, False
                scope.move(ResourceSet(), version, seen_unix_nanos, traceparent)
            self.arrivals.forget(gateway)
        else:
            resource_set = self._sets.setdefault(gateway_class, ResourceSet())
            self._gateways[gateway] = gateway_class
            self._withdrawn.discard(gateway)
            self._members.setdefault(gateway_class, {})[gateway] = None
            new = name not in self._scopes.get(cluster, {})
            scope = self._scope(cluster, name, resource_set)
            scope.gone = False
            if new:
                scope.version = version
            else:
                scope.move(resource_set, version, seen_unix_nanos, traceparent)
            self.arrivals.expect(gateway)

    def _forget(self, gateway_class: ScopeClass) -> None:
        del self._sets[gateway_class]
        self._holds.forget(gateway_class)

    def _wake(self, clusters: Iterable[str]) -> None:
        for cluster in clusters:
            for wake in tuple(self._wakes.get(cluster, ())):
                wake()

    # ---------------------------------------------------------------- guards

    def relisted(self, cluster: str, version: int) -> None:
        """Everything of `cluster` has been listed anew and translated: what is still missing is meant."""
        touched: dict[str, None] = {}
        self._holds.relisted(cluster)
        for gateway in [g for g in self._withdrawn if g[0] == cluster]:
            self._withdraw(self._scopes[cluster][gateway[1]], version)
            self._withdrawn.discard(gateway)
            touched[cluster] = None
        self._refresh_keeps(version, touched)
        self._wake(touched)

    def catch_up(self, version: int) -> bool:
        """At a version that agents do not know yet every scope is told again, if one of them was ahead: Redis has lost
        its memory then, and scopes that do not change would stay below what agents hold. Says whether it did so.
        """
        if not self._ahead or version < self._ahead:
            return False
        self._ahead = 0
        for scopes in self._scopes.values():
            for scope in scopes.values():
                if scope.version < version:
                    scope.republish(version)
        self._wake(self._scopes)
        return True

    def _withdraw(self, scope: Scope, version: int) -> None:
        """A gateway that is gone is meant to be gone."""
        scope.keep, scope.confirmed = {}, True  # a new `keep`: by that the relay tells a publication of an old version
        scope.republish(version)

    def release(self, cluster: str, version: int) -> frozenset[str]:
        """A person says that what this cluster's gateways lose, and what waits for its new listing, is meant. Returns
        the contributions let go.
        """
        touched: dict[str, None] = {}
        released: frozenset[str] = frozenset()
        for (home, _), gateway_class in self._gateways.items():
            held = self._holds.get(gateway_class)
            if held is not None and (home == cluster or cluster in held.waiting):
                released |= held.contributions
                self._holds.confirm(gateway_class)
        for name, scope in self._scopes.get(cluster, {}).items():
            gateway_class_ = self._gateways.get((cluster, name))
            if gateway_class_ is not None:
                self._holds.confirm(gateway_class_)
            elif name != CLUSTER_SCOPE:
                self._withdraw(scope, version)
                self._withdrawn.discard((cluster, name))
                touched[cluster] = None
        self._refresh_keeps(version, touched)
        self._wake(touched)
        return released

    @property
    def holds(self) -> bool:
        return bool(self._holds)

    @property
    def held(self) -> dict[str, Held]:
        """cluster/gateway -> what is held there, for `check` and `/reports`."""
        return {f"{c}/{n}": held for (c, n), k in self._gateways.items() if (held := self._holds.get(k))}

    def set_cold(self, cold: Collection[str], homes: Collection[str]) -> None:
        """Before `publish`. A gateway whose own cluster is cold keeps what it has from all `homes` of objects: what is
        missing, such as the VirtualGateway that a table is bound to, may only not have been told yet.
        """
        was, self._cold, self._homes = self._cold, frozenset(cold), frozenset(homes)
        if bool(was) != bool(self._cold):
            self._wake(self._wakes)  # what agents are asked for is all there is from now on, or is not
        else:
            self._wake(was - self._cold)

    def is_cold(self, cluster: str) -> bool:
        """Its facts are not all in: a gateway that is not known may only not have been told of yet."""
        return cluster in self._cold

    def _refresh_keeps(self, version: int, touched: dict[str, None]) -> None:
        """What each class keeps is found once, not once per gateway: a class is costly to look up, and what many are
        told is encoded once.
        """
        shared_before, self._shared = self._shared, {}
        for gateway_class, members in self._members.items():
            shared = Keep({**self._kept, **self._warming.get(gateway_class, {}), **self._holds.reasons(gateway_class)})
            if shared and (before := shared_before.get(gateway_class)) == shared:
                shared = before  # who comes later is told the very same
            self._shared[gateway_class] = shared
            confirmed = self._holds.is_confirmed(gateway_class)
            for cluster, name in members:
                scope = self._scopes[cluster][name]
                of_cold = self._kept_of_cold(cluster)
                keep = Keep(of_cold, shared) if of_cold else shared
                if keep != scope.keep or (confirmed and not keep) != scope.confirmed:
                    scope.keep, scope.confirmed = keep, confirmed and not keep
                    scope.republish(version)
                    touched[cluster] = None

    def _kept_of_cold(self, cluster: str) -> dict[str, str]:
        """A gateway of a cold cluster keeps what it holds from everywhere."""
        if cluster not in self._cold:
            return {}
        return {f"{KEEP_CLUSTER}{home}": f"WaitingForCluster: {cluster}" for home in self._homes}
