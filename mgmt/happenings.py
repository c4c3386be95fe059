"""Turns what the parts of the server do into events: each method is called by the part, and tells only what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fingerpost.relay.applied import ScopeApplied
from mgmt.changes.events import Events, Kind
from mgmt.ingest.values import ClusterStates
from mgmt.pins.rollback import Order, Reach
from mgmt.publish.guard import Held
from mgmt.relay.gate import Certificate
from mgmt.relay.ports import SessionInfo

_Refusals = Mapping[str, str]  # contribution -> code and reason


class Happenings:
    def __init__(self, events: Events) -> None:
        self.events = events
        self._connected: set[str] = set()
        self._waiting: frozenset[str] = frozenset()
        self._held: Mapping[str, Held] = {}
        self._refused: dict[tuple[str, str], _Refusals] = {}
        self._certificates: dict[tuple[str, str], str] = {}
        self._leads = False

    # ---------------------------------------------------------------- agents

    def opened(self, cluster: str, session: SessionInfo) -> None:
        self._connected.add(cluster)
        message = f"agent {session.instance} {session.version} from {session.peer}"
        self.events.add(Kind.CONNECTED, cluster, message=message)
        if session.certificate is not None:
            self.certificate(cluster, "client", session.certificate.fingerprint)

    def ended(self, cluster: str, peer: str, why: str) -> None:
        """The stream with the cluster's facts; a second one that was never let in is a refusal."""
        if cluster in self._connected:
            self._connected.discard(cluster)
            self.events.add(Kind.DISCONNECTED, cluster, message=why or f"{peer} is gone")
        elif cluster:
            self.events.add(Kind.REFUSED, cluster, message=f"{peer}: {why}")

    def applied(self, cluster: str, scopes: Sequence[ScopeApplied]) -> None:
        """What an agent does not take, with each reason once."""
        for scope in scopes:
            gateway = (cluster, scope.scope)
            before = self._refused.get(gateway, {})
            if not scope.exceptions and not before:
                continue
            now = {e.contribution: f"{e.code}: {e.message}" for e in scope.exceptions}
            for contribution, reason in now.items():
                if before.get(contribution) != reason:
                    held = reason.startswith(("Kept:", "MassDeletionHeld:"))
                    kind = Kind.HELD if held else Kind.REJECTED
                    self.events.add(kind, cluster, contribution, f"{_at(scope.scope)}: {reason}")
            for contribution in before.keys() - now.keys():
                held = before[contribution].startswith(("Kept:", "MassDeletionHeld:"))
                kind = Kind.RELEASED if held else Kind.ACCEPTED
                said = "is held no longer" if held else "is in force"
                self.events.add(kind, cluster, contribution, f"{_at(scope.scope)}: {said}")
            self._refused[gateway] = now
            if not now:
                del self._refused[gateway]

    # ---------------------------------------------------------------- holds

    def states(self, states: ClusterStates, *, hold: bool) -> None:
        """Clusters whose agents are waited for (relay.md §7.3). That Redis is, `store` says."""
        waiting = frozenset(
            n for n, s in states.clusters.items() if hold and s.awaits_agent and not s.ready and not s.skip_warming
        )
        for name in sorted(waiting - self._waiting):
            message = "what depends on it stays as it is until its agent has told everything"
            self.events.add(Kind.HELD, name, message=message)
        for name in sorted(self._waiting - waiting):
            self.events.add(Kind.RELEASED, name, message="its agent has told everything, or it is waited for no longer")
        self._waiting = waiting

    @property
    def holding(self) -> bool:
        """A release is still to be told."""
        return bool(self._held)

    def held(self, now: Mapping[str, Held]) -> None:
        """By cluster/gateway: what a guard keeps there."""
        for gateway, held in sorted(now.items()):
            known = self._held.get(gateway)
            if known is None or known.contributions != held.contributions:
                waiting = ", ".join(sorted(held.waiting))
                message = f"{len(held.contributions)} contributions would be lost; waits for a new listing of {waiting}"
                self.events.add(Kind.HELD, *_split(gateway), message)
        for gateway in sorted(self._held.keys() - now.keys()):
            self.events.add(Kind.RELEASED, *_split(gateway), "the loss was confirmed, or what was missing is back")
        self._held = dict(now)

    def released(self, cluster: str, contributions: Iterable[str]) -> None:
        count = len(frozenset(contributions))
        self.events.add(Kind.RELEASED, cluster, message=f"a person let {count} contributions go")

    def ordered(self, order: Order) -> None:
        """By a person; only the replica tells it that has done it."""
        kind = Kind.ROLLBACK_RELEASED if order.released else Kind.ROLLED_BACK
        cluster = order.scope.name if order.scope.reach is Reach.CLUSTER else ""
        self.events.add(kind, cluster, f"rollback {order.rollback}", str(order))

    # ---------------------------------------------------------------- the server itself

    def certificate(self, cluster: str, kind: str, fingerprint: str) -> None:
        """In use now. The first one is no rotation."""
        known = self._certificates.get((cluster, kind))
        self._certificates[cluster, kind] = fingerprint
        if known not in (None, fingerprint):
            self.events.add(Kind.ROTATED, cluster, f"{kind} certificate", f"SHA-256 {fingerprint}")

    def looked(self, leads: bool, certificates: Iterable[Certificate]) -> None:
        """What nobody tells of: who leads by the clock, and the server's own certificates."""
        self.leads(leads)
        for own in certificates:
            self.certificate("", own.kind, own.fingerprint)

    def leads(self, now: bool) -> None:
        if now != self._leads:
            self._leads = now
            message = "this replica writes statuses and the management cluster's objects"
            if now:
                self.events.add(Kind.LEADING, message=message)
            else:
                self.events.add(Kind.FOLLOWING, message="another replica leads, or nobody can tell")

    def store(self, *, lost: bool) -> None:
        if lost:
            self.events.add(Kind.STORE_LOST, message="Redis cannot be used; everything goes on from memory")
        else:
            self.events.add(Kind.STORE_BACK, message="Redis answers, and holds what this replica holds")


def _split(gateway: str) -> tuple[str, str]:
    cluster, _, name = gateway.partition("/")
    return cluster, name


def _at(scope: str) -> str:
    return scope or "the cluster itself"
