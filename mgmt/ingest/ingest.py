"""The one ingest port: agents come in through `mgmt.relay.ports.Ingest`, the management cluster through its folder.

It owns the tasks that keep memory, Redis and the other replicas in step. It translates nothing and publishes nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec
import structlog

from fingerpost.cluster.protocol import Batch, Cluster, Finding
from fingerpost.objects import ObjectKey, content_hash
from fingerpost.relay.digest import SetDigest
from fingerpost.relay.reasons import Reason
from mgmt.ingest import kinds
from mgmt.ingest.folder import ManagementFolder
from mgmt.ingest.inputs import Inputs, Name
from mgmt.ingest.kinds import record_key
from mgmt.ingest.link import Link
from mgmt.ingest.liveness import Liveness
from mgmt.ingest.sessions import Sessions
from mgmt.ingest.states import compute, record_of, registrations
from mgmt.ingest.turns import Turns
from mgmt.ingest.values import ClusterStates, Pipeline, State
from mgmt.relay.ports import Fence, Metrics, SessionInfo, Upsert
from mgmt.store.errors import StoreChanged, StoreError, StoreUnavailable
from mgmt.store.redis_store import RedisStore
from mgmt.store.values import SERVER, Source, Stored, agent_source

log = structlog.get_logger()


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`management` is `common.cluster`; KubernetesClusters count in `admin_namespace` only."""

    management: str = "mgmt"
    admin_namespace: str = "gloo-mesh"
    lease: float = 10.0  # of the source "server" and of a replica's sign of life
    retry_first: float = 0.05
    retry_ceiling: float = 1.0


class Ingest:
    """Implements `mgmt.relay.ports.Ingest`. Use `running`."""

    def __init__(
        self,
        store: RedisStore,
        pipeline: Pipeline,
        settings: IngestSettings,
        metrics: Metrics,
        *,
        on_states: Callable[[ClusterStates], None] = lambda _: None,
        on_conflict: Callable[[], None] = lambda: None,
        on_leading: Callable[[], None] = lambda: None,
        ever_connected: Callable[[str], bool] = lambda _: False,
        asked: Callable[[str], bytes | None] = lambda _: None,
        sighted: Callable[[Batch], str] = lambda _: "",
        now: Callable[[], int] = time.time_ns,
        asked_redis: Callable[[], None] = lambda: None,
    ) -> None:
        self.inputs = Inputs()
        self.states = ClusterStates()
        self._dirty = True
        self._alone_at = -math.inf  # monotonic; when no other replica ran, and all that others had written was read
        self._was_alone = True  # when Redis was lost
        self._doubted: set[str] = set()  # clusters of which Redis may have lost something
        self._lists = False  # there is a management cluster to be read
        self._on_leading, self._leads_until, self._lost_at = on_leading, 0.0, 0.0  # monotonic
        self._store, self._settings, self._metrics = store, settings, metrics
        self._on_states, self._ever_connected = on_states, ever_connected
        management = settings.management
        self._turns = Turns(store, self.inputs, pipeline, self, management, settings.lease, metrics)
        self.sessions = Sessions(
            self._turns, self.inputs, management, store.replica, now, self._touch, asked, on_conflict
        )
        reads = not store.stands_in
        self._folder = ManagementFolder(self._turns, self.inputs, management, store.replica, now, sighted, reads=reads)
        self._link = Link(store, self._turns, settings.retry_first, settings.retry_ceiling, asked_redis)
        self._liveness = Liveness(store, self.inputs, metrics, now)

    # ------------------------------------------------------------ for the rest of the server

    @property
    def seq(self) -> int:
        return self._turns.seq

    @property
    def synced(self) -> bool:
        """False: Redis is away, everything goes on from memory."""
        return self._turns.synced

    @property
    def trouble(self) -> str:
        """Why it is not `synced`, as Redis or the way to it has said it last."""
        return self._turns.trouble

    @property
    def queues(self) -> Mapping[str, int]:
        return self._turns.queues

    @property
    def reached(self) -> bool:
        """False: Redis has not answered since the start, so of the other replicas' clusters nothing is known."""
        return bool(self.epoch)

    @property
    def epoch(self) -> str:
        """Of the memory of Redis; "" as long as it was not reached."""
        return self._turns.epoch

    def knows(self, cluster: str) -> bool:
        """Whether it is known here if the cluster's agent is connected: with Redis away, only of those that were here
        last.
        """
        record = record_of(self.inputs, record_key(agent_source(cluster), self._settings.management))
        return self.synced or (record is not None and record.replica == self._store.replica)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self._folder.findings

    @property
    def owns_management(self) -> bool:
        """Whether this replica writes the management cluster's objects to Redis."""
        return self._folder.writes

    @property
    def leads(self) -> bool:
        """Whether it may write statuses: by the clock, so that one which was stopped for a while knows that its time
        is over (M-63). With Redis away nobody can tell who leads.
        """
        now = time.monotonic()
        away = not self.synced and now > self._lost_at + self._settings.lease  # not just for who has been stopped
        return self._folder.writes and (away or now < self._leads_until)

    def owns(self, cluster: str) -> bool:
        """Whether the agent of the cluster is connected here."""
        return self.sessions.owns(cluster)

    def elsewhere(self, cluster: str) -> bool:
        """Whether its agent is connected to another replica."""
        state = self.states.clusters.get(cluster)
        return state is not None and state.replica not in ("", self._store.replica)

    def seen(self, version: int) -> None:
        """An agent holds this config_version (design D4). Who is not the only one learns it from that."""
        if self._was_alone and self._turns.ahead.is_foreign(version, self._turns.seq):
            self._was_alone = False
            self._touch()
        self._turns.saw(version)

    def ask_redis(self) -> Callable[[], bool]:
        """Whether it has been asked since now, with success or in vain: a process that was stopped for a while takes it
        for lost, and what others have stored meanwhile is not known here.
        """
        return self._link.ask()

    async def settled(self) -> None:
        """Returns when everything accepted so far has been translated and published."""
        await self._turns.exclusive(_nothing)

    def pin(self, pins: Mapping[str, bytes | None]) -> None:
        """Pins are inputs: in memory at once, in Redis and in the other replicas with the next turn. None lifts one."""
        for name, body in pins.items():
            self._turns.change(kinds.pin_key(name), None if body is None else Stored(content_hash(body), body))

    def pins(self) -> Mapping[str, bytes]:
        return {name: stored.body for (_, name), stored in self.inputs.of("", kinds.PIN).items()}

    # ------------------------------------------------------------ mgmt.relay.ports.Ingest

    def digests(self, cluster: str) -> Mapping[str, SetDigest]:
        management = self._settings.management
        found = self.inputs.digests(cluster)
        return {t: digest for t, digest in found.items() if kinds.pushed_by_agent(cluster, t, management)}

    def keys(self, cluster: str, type_: str) -> Mapping[Name, bytes]:
        if not kinds.pushed_by_agent(cluster, type_, self._settings.management):
            return {}
        return {name: stored.hash for name, stored in self.inputs.of(cluster, type_).items()}

    def accepted_types(self, cluster: str) -> Collection[str] | None:
        return kinds.accepted_from_agent(cluster, self._settings.management)

    async def open(self, cluster: str, session: SessionInfo) -> Fence:
        return await self.sessions.open(cluster, session)

    async def admit(
        self, cluster: str, cluster_uid: str, peer: str, end: Callable[[Reason, str], None]
    ) -> Callable[[], None]:
        return await self.sessions.admit(cluster, cluster_uid, peer, end)

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
        session = self.sessions.get(cluster, fence)
        if session is None:
            return
        session.changed = True
        if kinds.pushed_by_agent(cluster, type_, self._settings.management):
            change = self._turns.change
            for namespace, name, hash_, body in upserts:
                change(ObjectKey(type_, cluster, namespace, name), Stored(hash_, body), seen_unix_nanos, traceparent)
            for namespace, name in removes:
                change(ObjectKey(type_, cluster, namespace, name), None, seen_unix_nanos, traceparent)
            held = len(self.inputs.of(cluster, type_))
            self._metrics.set("relay_objects", held, cluster=cluster, direction="push", type=type_)
        else:
            self._metrics.add("relay_refused_objects_total", len(upserts), type=type_)
            log.warning("ingest.objects.refused", cluster=cluster, type=type_, count=len(upserts))
        self._turns.when_stored(session.source, on_stored)

    def listed(self, cluster: str, fence: Fence, type_: str) -> None:
        if (session := self.sessions.get(cluster, fence)) is not None:
            self.sessions.listed(session, type_)

    def answered(self, cluster: str, fence: Fence, interest: bytes) -> None:
        if (session := self.sessions.get(cluster, fence)) is not None:
            self.sessions.answered(session, interest)

    async def close(self, cluster: str, fence: Fence) -> None:
        if (session := self.sessions.get(cluster, fence)) is not None:
            self.sessions.closed(session)

    # ------------------------------------------------------------ inside a turn (mgmt.ingest.values.Hooks)

    def turn_begins(self, changes: Iterable[ObjectKey]) -> bool:
        management = self._settings.management
        types = {key.type for key in changes}
        if not (self._dirty or kinds.SESSION in types or kinds.KUBERNETES_CLUSTER in types):
            return False
        self._dirty = False
        self.sessions.look()
        if kinds.KUBERNETES_CLUSTER in types:
            named = registrations(self.inputs, management, self._settings.admin_namespace)
            for gone in [name for name in self.sessions.registered if name not in named or not named[name].accepted]:
                self._deregistered(gone, "is accepted no longer" if gone in named else "was deleted")
            self.sessions.register(named)
        certain = self.synced or (self.reached and self._was_alone)
        states = compute(
            self.inputs,
            management,
            self.sessions.named,
            self.sessions.pending,
            self._liveness.alive,
            self._ever_connected,
            lambda name: certain or self.owns(name),
            self._doubted,
        )
        self._doubted -= {name for name, s in states.clusters.items() if s.state is State.WARM}
        if states != self.states:
            self._liveness.show(states, self.states.clusters.keys() - states.clusters.keys())
            self.states, was = states, self.states
            self._on_states(states)
            return states.gates != was.gates
        return False

    def _deregistered(self, cluster: str, why: str) -> None:
        self.sessions.end(cluster, Reason.NOT_REGISTERED, f"KubernetesCluster {cluster} {why}")
        source, management = agent_source(cluster), self._settings.management
        keys = [
            key
            for type_ in self.inputs.types(cluster)
            for name in self.inputs.of(cluster, type_)
            if kinds.source_of(key := ObjectKey(type_, cluster, *name), management) == source
        ]
        self._turns.purge(source, keys, in_redis=self.owns_management)

    def _touch(self) -> None:
        """The states are to be computed again, though no input changes."""
        self._dirty = True
        self._turns.look()

    def lost(self) -> None:
        """Without Redis nobody can tell who reads the management cluster, so every replica does."""
        self._lost_at = time.monotonic()
        recently = self._lost_at - self._alone_at < self._settings.lease  # or it was stopped, and others have come
        self._was_alone = recently and self._liveness.alone
        self._touch()
        if not self._folder.writes:
            self._turns.seize(SERVER)
            self._folder.taken()
            self._on_leading()

    def outdated(self) -> bool:
        """Redis lacks something that an agent was told: by a server that could not store it and is gone. What it holds
        counts when it was told anew. Says whether agents may be told already: not before the management cluster is
        listed.
        """
        elsewhere = not self.owns_management and self.states.management.state is State.WARM
        if self._lists and not (elsewhere or self._turns.listed(SERVER)):
            return False
        doubted = {n for n, s in self.states.clusters.items() if s.state in (State.CACHED, State.SYNCING)}
        if not doubted <= self._doubted:
            self._doubted |= doubted
            self._touch()
        return True

    def fenced(self, source: Source) -> None:
        if source != SERVER:
            cluster = source.partition(":")[2]
            self.sessions.end(cluster, Reason.DUPLICATE, "a newer session of this cluster is at another replica")

    def closing_records(self, epoch: str) -> None:
        self._touch()
        self.sessions.announce()
        if self.owns_management:
            self._folder.write_all()

    # ------------------------------------------------------------ tasks

    async def start(self) -> None:
        """Read what Redis holds. Raises StoreMisconfigured.

        A Redis that is merely away does not keep the server from starting.
        """
        try:
            attached = await self._store.attach(0)
            loaded = await self._store.load()
            await self._store.beat(self._settings.lease)
            await self._store.succeed(SERVER)
            await self._liveness.look()
        except (StoreUnavailable, StoreChanged) as e:
            self._turns.lose(e)
            self._turns.look()
            return
        for key in loaded.corrupt:
            log.warning("store.object.corrupt", object=str(key))
        await self._liveness.know(loaded.inputs)
        self._turns.begin(loaded.inputs.items(), loaded.seq, attached.epoch)

    async def run(self, cluster: Cluster | None) -> None:
        self._lists = cluster is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._turns.run(), name="ingest.turns")
            group.create_task(self._link.run(), name="ingest.tail")
            group.create_task(self._beat(), name="ingest.lease")
            if cluster is not None:
                group.create_task(self._folder.run(cluster), name="ingest.folder")
                group.create_task(self._folder.compare(cluster), name="ingest.folder.compare")

    async def _beat(self) -> None:
        """A third of the lease between two signs of life."""
        while True:
            if self._turns.synced:
                try:
                    await self._renew()
                except StoreError as e:
                    self._turns.lose(e)
            await asyncio.sleep(self._settings.lease / 3)

    async def _renew(self) -> None:
        await self._store.beat(self._settings.lease)
        if await self._liveness.look():
            self._alone_at = -math.inf
            self._touch()
        self._liveness.age(self.states)
        led, asked = self.leads, time.monotonic()
        fence = await self._store.lease(SERVER, self._settings.lease)
        had = SERVER in self._turns.fences
        if fence is None:
            self._turns.fences.pop(SERVER, None)
        elif self._turns.fences.get(SERVER) != fence:
            await self._turns.exclusive(lambda: self._turns.hold(fence))
            if not had:
                log.info("ingest.management.claimed", replica=self._store.replica)
            self._folder.taken()
        if fence is not None:
            self._leads_until = asked + self._settings.lease
            if not led:
                self._on_leading()
        if self._liveness.alone:
            await self.settled()
            if self.synced:
                self._alone_at = asked

    async def stop(self) -> None:
        """Give the management source back, so that another replica need not wait for the lease to end."""
        try:
            await self._store.release(SERVER)
        except StoreError as e:
            log.info("store.lease.kept", reason=str(e))


async def _nothing() -> None:
    return None
