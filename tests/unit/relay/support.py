"""Both halves of the relay on loopback, over an ingest and a publisher that are values in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from agent.relay.desired import DesiredState
from agent.relay.facts import Fact
from agent.relay.link import AgentIdentity, AgentLink
from agent.relay.pull import Pull
from agent.relay.push import Push
from agent.relay.trust import Trust
from fingerpost.background import background
from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.digest import SetDigest, object_key, resource_key
from fingerpost.relay.interest import Interest
from fingerpost.relay.pieces import Piece, PieceList, Role, piece
from fingerpost.relay.reasons import LinkLost, Reason, Refused
from fingerpost.relay.settings import RelaySettings
from mgmt.publish.told import Told
from mgmt.relay.ports import Changed, Fence, LogEntry, Name, SessionInfo, Upsert
from mgmt.relay.pull import PullSession
from tests.splicing import diff

FAST = RelaySettings(
    retry_first=0.02, retry_ceiling=0.05, heartbeat=1.0, drain_spread=0.0, drain_grace=0.5, hello_timeout=2.0
)
ROUTES = ("routes", "http")


async def until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Wait for a condition; the loop's own turns are the clock."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - any condition, nothing signals it
            await asyncio.sleep(0.001)


def body_piece(text: str, contribution: str = "") -> Piece:
    return piece(Role.TOP, contribution, text.encode())


class FakeMetrics:
    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], float] = {}

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        key = (name, labels.get("type", labels.get("reason", "")))
        self.counts[key] = self.counts.get(key, 0) + value

    def set(self, name: str, value: float, **labels: str) -> None:
        self.counts[name, labels.get("cluster", "")] = value


class FakeIngest:
    def __init__(self) -> None:
        self.held: dict[str, dict[Name, tuple[bytes, bytes]]] = {}
        self.sums: dict[str, SetDigest] = {}
        self.types: Collection[str] | None = None
        self.accepts: list[tuple[str, int, int]] = []  # type, upserts, removes
        self.lists: list[str] = []
        self.answers: list[tuple[bytes, int]] = []  # with how many objects were held then
        self.sessions: list[SessionInfo] = []
        self.closed = 0
        self.seq = 0
        self.refuse: Refused | None = None
        self.waiting: list[Callable[[], None]] = []
        self.store_at_once = True

    def digests(self, cluster: str) -> Mapping[str, SetDigest]:
        return self.sums

    def keys(self, cluster: str, type_: str) -> Mapping[Name, bytes]:
        return {n: h for n, (h, _) in self.held.get(type_, {}).items()}

    def accepted_types(self, cluster: str) -> Collection[str] | None:
        return self.types

    async def open(self, cluster: str, session: SessionInfo) -> Fence:
        if self.refuse is not None:
            raise self.refuse
        self.sessions.append(session)
        return Fence(len(self.sessions))

    async def admit(
        self, cluster: str, cluster_uid: str, peer: str, end: Callable[[Reason, str], None]
    ) -> Callable[[], None]:
        return lambda: None

    def put(self, type_: str, name: Name, value: tuple[bytes, bytes] | None) -> None:
        held, digest = self.held.setdefault(type_, {}), self.sums.setdefault(type_, SetDigest())
        if (old := held.pop(name, None)) is not None:
            digest.discard(object_key(*name), old[0])
        if value is not None:
            held[name] = value
            digest.add(object_key(*name), value[0])

    def accept(
        self,
        cluster: str,
        fence: Fence,
        type_: str,
        upserts: Sequence[Upsert],
        removes: Sequence[Name],
        seen_unix_nanos: int,
        traceparent: str,
        on_stored: Callable[[int], None],
    ) -> None:
        self.accepts.append((type_, len(upserts), len(removes)))
        for u in upserts:
            self.put(type_, (u.namespace, u.name), (u.hash, u.body))
        for name in removes:
            self.put(type_, name, None)
        self.seq += 1
        seq = self.seq
        if self.store_at_once:
            on_stored(seq)
        else:
            self.waiting.append(lambda: on_stored(seq))

    def listed(self, cluster: str, fence: Fence, type_: str) -> None:
        self.lists.append(type_)

    def answered(self, cluster: str, fence: Fence, interest: bytes) -> None:
        self.answers.append((interest, sum(map(len, self.held.values()))))

    async def close(self, cluster: str, fence: Fence) -> None:
        self.closed += 1


def on_want(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Once: when an agent's Want has come, and has not been answered."""
    original = PullSession._want

    def want(self: PullSession, hashes: set[bytes]) -> None:
        monkeypatch.setattr(PullSession, "_want", original)
        happens()
        original(self, hashes)

    monkeypatch.setattr(PullSession, "_want", want)


def numbered(count: int, text: str = "route") -> list[Piece]:
    return [body_piece(f"{text} {i}", f"c{i}") for i in range(count)]


class View:
    """A scope as a publisher keeps it. `put` publishes."""

    def __init__(self, log: int = 64) -> None:
        self.version = 0
        self.resources: dict[tuple[str, str], PieceList] = {}
        self.digest = SetDigest()
        self.keep: Mapping[str, str] = {}
        self.confirmed = True
        self.gone = False
        self.log: deque[LogEntry] = deque(maxlen=log)

    def put(self, version: int, changes: Mapping[tuple[str, str], PieceList | None]) -> None:
        base, changed = self.digest.total, []
        for key, new in changes.items():
            old = self.resources.pop(key, None)
            changed.append(Changed(*key, old.digest if old is not None else b""))
            if old is not None:
                self.digest.discard(resource_key(*key), old.digest)
            if new is not None:
                self.resources[key] = new
                self.digest.add(resource_key(*key), new.digest)
        self.log.append(LogEntry(version, self.version, base, self.digest.total, tuple(changed), 1))
        self.version = version


class FakePublisher:
    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.config_version = 0
        self.wakes: list[Callable[[], None]] = []
        self.reports: list[ScopeApplied] = []
        self.saw = 0
        self.wanted = Interest()
        self.told = Told()
        self.raise_seq = True
        self.cold = False

    async def known(self, cluster: str) -> None:
        """At once."""

    async def ready(self, cluster: str) -> None:
        return None

    def is_cold(self, cluster: str) -> bool:
        return self.cold

    def scopes(self, cluster: str) -> Mapping[str, View]:
        return self.views

    def subscribe(self, cluster: str, wake: Callable[[], None]) -> Callable[[], None]:
        self.wakes.append(wake)
        return lambda: self.wakes.remove(wake)

    def applied(self, cluster: str, config_version: int, scopes: Sequence[ScopeApplied]) -> None:
        self.reports.extend(scopes)

    def seen(self, cluster: str, config_version: int) -> None:
        self.saw = max(self.saw, config_version)
        if self.raise_seq:
            self.config_version = max(self.config_version, config_version)

    def arrivals_after(self, cluster: str, number: int, most: int) -> tuple[int, Sequence[tuple[ObjectKey, bytes]]]:
        return self.told.after(number, most)

    def interest(self, cluster: str) -> Interest:
        return self.wanted

    async def sign(self, cluster: str, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        if csr == b"bad":
            raise Refused(Reason.UNAUTHENTICATED, "the request is not for a gateway of this cluster")
        return b"chain of " + csr, b"roots"

    def publish(self, scope: str, changes: Mapping[tuple[str, str], PieceList | None]) -> None:
        self.config_version += 1
        self.views.setdefault(scope, View()).put(self.config_version, changes)
        self.wake()

    def edit(self, scope: str, key: tuple[str, str], pieces: Sequence[Piece]) -> None:
        """As the translator does: the new list comes from the old one by splices."""
        old = self.views[scope].resources[key]
        self.publish(scope, {key: old.spliced(diff(old.pieces, pieces))})

    def wake(self) -> None:
        for wake in list(self.wakes):
            wake()


class Agent:
    """One agent's half, and what it was handed."""

    def __init__(
        self,
        address: str,
        cluster: str = "east",
        settings: RelaySettings = FAST,
        authority: str = "x",
        trust: Trust | None = None,
    ) -> None:
        self.versions: list[tuple[str, int, Mapping[tuple[str, str], PieceList | None]]] = []
        self.keep: Mapping[str, str] = {}
        self.confirmed: list[bool] = []
        self.interests: list[Interest] = []
        self.arrivals: list[tuple[str, bytes]] = []
        self.losses: list[LinkLost] = []
        self.relists: list[tuple[str, ...]] = []
        self.desired = DesiredState(self._on_version)
        self.push = Push(settings, self._relist)
        self.pull = Pull(self.desired, self._on_interest)
        self.pull.on_arrivals = self.arrivals.extend
        who = AgentIdentity(cluster=cluster, instance="i", authority=authority)
        self.link = AgentLink(
            address, who, self.push, self.pull, settings, lambda why, _p: self.losses.append(why), trust
        )

    def _on_version(
        self,
        scope: str,
        version: int,
        changed: Mapping[tuple[str, str], PieceList | None],
        keep: Mapping[str, str],
        confirmed: bool,
        seen: int,
    ) -> None:
        self.versions.append((scope, version, changed))
        self.keep = keep
        self.confirmed.append(confirmed)

    def _on_interest(self, interest: Interest, digest: bytes) -> None:
        self.interests.append(interest)
        self.push.answered(digest)

    async def _relist(self, types: tuple[str, ...]) -> None:
        self.relists.append(types)

    def lists(self, scope: str) -> Mapping[tuple[str, str], PieceList]:
        found = self.desired.scopes.get(scope)
        return found.lists if found is not None else {}

    def has(self, publisher: FakePublisher) -> bool:
        views = {n: v for n, v in publisher.views.items() if not v.gone}
        return views.keys() == self.desired.scopes.keys() and all(
            self.desired.scopes[n].digest.total == v.digest.total and self.lists(n) == v.resources
            for n, v in views.items()
        )


def running(*agents: Agent) -> AbstractAsyncContextManager[None]:
    return background({f"agent {number}": agent.link.run() for number, agent in enumerate(agents)})


def facts(type_: str, count: int, text: str = "x") -> list[Fact]:
    return [Fact(type_, "ns", f"n{i}", f'{{"a":"{text}{i}"}}'.encode()) for i in range(count)]
