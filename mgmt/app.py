"""Composition root of the management server: the only module that knows all the others."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Never

import structlog
from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from fingerpost import __version__
from fingerpost.cluster.leading import Leading
from fingerpost.cluster.protocol import Cluster
from fingerpost.http import listen
from fingerpost.memory import settle
from fingerpost.relay.settings import RelaySettings
from fingerpost.secrets.protocol import Secrets
from fingerpost.telemetry import Telemetry
from fingerpost.tracing import Tracer, sighted
from mgmt.admin.app import app as admin_app
from mgmt.admin.health import health_app
from mgmt.admin.ports import Plane, StoreInfo
from mgmt.admin.reach import SERVED, Reach
from mgmt.authority import Authority
from mgmt.balancing import Balancing
from mgmt.bell import Bell
from mgmt.changes.events import Events
from mgmt.changes.journal import Journal
from mgmt.changes.spans import Spans
from mgmt.elsewhere import Elsewhere
from mgmt.gauges import Gauges
from mgmt.happenings import Happenings
from mgmt.history.joined import History
from mgmt.history.recorder import HistorySettings
from mgmt.ingest.ingest import IngestSettings
from mgmt.ingest.running import running
from mgmt.ingest.values import ClusterStates, State
from mgmt.pipeline import Pipeline
from mgmt.publish.guard import GuardSettings
from mgmt.publish.reconcile_time import ReconcileTime
from mgmt.relay.gate import Gate
from mgmt.relay.server import RelayServer, serve
from mgmt.relay.shown import all_have_roots_of
from mgmt.relisting import Relisting
from mgmt.safe_mode import SafeMode
from mgmt.served import ServedIngest, ServedPublisher
from mgmt.settings import Settings
from mgmt.status.joined import Statuses
from mgmt.store.errors import StoreError
from mgmt.store.history import HistoryStore
from mgmt.store.redis_store import RedisStore
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import Translator

log = structlog.get_logger()
_ITSELF_AGAIN = 10.0  # seconds between two looks at what nobody tells of


class Server:
    """All parts of one replica, joined. `relay` and `admin_port` are there once it runs."""

    relay: RelayServer
    admin_port: int
    ingest: ServedIngest

    def __init__(
        self,
        settings: Settings,
        folder: Cluster | None,
        store: RedisStore,
        history: HistoryStore,
        metrics: Telemetry,
        secrets: Secrets,
        authority: Authority,
        tracer: Tracer,
        lease: Leading | None = None,
    ) -> None:
        self.settings = settings
        self._folder, self._store, self._metrics = folder, store, metrics
        self._place = Place(
            cluster=settings.cluster,
            admin_namespace=settings.admin_namespace,
            scoped_from=settings.scoped_routes_from,
        )
        self._bell = Bell()
        self._stopping = False
        self.authority, self._lease = authority, lease
        self.gate = Gate(settings, secrets, metrics)
        self.translator = Translator(self._place)
        self.journal = Journal(time.time_ns, Spans(tracer), lambda n, v, c: metrics.observe(n, v, cluster=c))
        self.happenings = Happenings(Events(time.time_ns))
        self.relisting = Relisting(settings.cluster)
        self._elsewhere = Elsewhere(store, self.relisting, self._caught_up)
        self.publisher = ServedPublisher(
            relist=self.relisting.demand,
            now=time.time_ns,
            guard=GuardSettings(settings.guard_share, settings.guard_floor),
        )
        self.publisher.replica = self
        self.safe_mode = SafeMode(settings, lambda: self.ingest, self.publisher, folder=folder is not None)
        self.statuses = Statuses(
            folder,
            self._place,
            store,
            lambda: self.ingest,
            self.publisher,
            self._bell,
            kinds=SERVED,
            look=lambda: Reach(self.plane()).arrival,
            is_cold=self.safe_mode.is_cold,
            leads=lambda: self.leads,
            require_approval=settings.require_approval,
            ever=settings.state_dir / "ever-connected",
        )
        self.pipeline = Pipeline(
            self.translator,
            self.publisher,
            metrics,
            self.journal,
            on_statuses=self.statuses.put,
            on_published=self._published,
            observe=metrics.observe,
        )
        self.ingest = ServedIngest(
            store,
            self.pipeline,
            IngestSettings(management=settings.cluster, admin_namespace=settings.admin_namespace, lease=settings.lease),
            metrics,
            on_states=self._states,
            on_conflict=lambda: self.statuses.clusters.put(self.ingest.states),
            on_leading=self._say_all_again,
            ever_connected=self.statuses.clusters.ever,
            asked_redis=self._bell.ring,
            asked=self.publisher.asked,
            sighted=lambda batch: sighted(tracer, batch),
        )
        self.ingest.relisting, self.ingest.happenings = self.relisting, self.happenings
        self.pipeline.on_accepted = self.ingest.pin
        self._history = History(
            history,
            secrets,
            self.ingest,
            self.pipeline,
            self.publisher,
            HistorySettings(settings.history_keep, settings.history_snapshots, settings.history_bytes),
            time.time_ns,
        )
        self._history.rollbacks.ordered = self.happenings.ordered
        self.reconcile_time = ReconcileTime(partial(metrics.observe, "gloo_mesh_reconciler_time_sec"), time.monotonic)
        if lease is not None:
            lease.changed = lambda held: self._say_all_again() if held else None
        self._balancing = Balancing(store, settings.lease, self._serving, self._carried, self.ingest.sessions.let_go)

    @property
    def leads(self) -> bool:
        """By the clock, asked before each write of a leader: one that was stopped for a while knows that its time is
        over (M-63).
        """
        return self._lease.held if self._lease is not None else self.ingest.leads

    def _serving(self) -> bool:
        return self.publisher.is_open and not self._stopping

    def _carried(self) -> tuple[int, int]:
        """Agents here; clusters that ever had one."""
        clusters = self.ingest.states.clusters.values()
        known = sum(state.state not in (State.REGISTERED, State.PENDING) for state in clusters)
        return len(self.ingest.sessions.clusters()), known

    # ---------------------------------------------------------------- turns

    async def until(self, holds: Callable[[], bool], patience: float) -> None:
        """Looks after each turn; gives up in silence."""
        try:
            async with asyncio.timeout(patience):
                while not holds():
                    await self._bell.wait()
        except TimeoutError:
            return

    def _published(self, seq: int) -> None:
        self.safe_mode.look()
        self.reconcile_time.published(seq)
        if self.publisher.holds or self.happenings.holding:
            self.happenings.held(self.publisher.held)
        self._bell.ring()

    def _states(self, states: ClusterStates) -> None:
        self._history.states(self._place.cluster, states)
        self.pipeline.clusters(states, hold=self.safe_mode.on)
        self.happenings.states(states, hold=self.safe_mode.on)
        self.statuses.clusters.changed(states)
        self._bell.ring()  # somebody may be waiting for a cluster

    def _say_all_again(self) -> None:
        """This replica leads from now on; what the former leader has said already is not written twice."""
        self.happenings.leads(self.ingest.leads)
        self.statuses.put({k: s for k, s in self.translator.all_statuses() if k.cluster == self._place.cluster})

    # ---------------------------------------------------------------- running

    async def _look_at_itself(self) -> Never:
        while True:
            self.happenings.looked(self.ingest.leads, self.gate.info.certificates)
            await asyncio.sleep(_ITSELF_AGAIN)

    async def _list_folder_again(self) -> None:
        if self._folder is not None:
            await self._folder.relist()

    async def _conclude_listings(self) -> Never:
        while True:
            cluster = await self.relisting.concluded(self.ingest.settled)
            self.publisher.relisted(cluster, self.publisher.config_version)
            self.happenings.held(self.publisher.held)
            self._bell.ring()
            await self._elsewhere.concluded(cluster, stored=self.ingest.synced)

    async def _caught_up(self) -> bool:
        """Whether all that Redis held when this was called is known here."""
        await self.ingest.settled()
        return self.ingest.synced

    async def _settle_memory(self) -> None:
        await self.publisher.ready("")
        await settle()

    async def _store_info(self) -> StoreInfo:
        away = StoreInfo(where=self._store.where, embedded=not self.settings.redis_url, reachable=False)
        try:
            found = await self._store.status()
        except StoreError:
            return away
        persistence = "appendonly" if found.append_only else "none"
        return structs.replace(away, reachable=True, persistence=persistence, eviction=found.eviction_policy)

    async def _release_folder(self) -> int:
        return await self._folder.release() if self._folder else 0

    async def _exposition(self, request: Request) -> Response:
        self.journal.measured()
        return Response(self._metrics.exposition(), media_type="text/plain; version=0.0.4")

    def _have_roots_of(self, moment: datetime.datetime) -> bool:
        return all_have_roots_of(self.ingest.states.clusters, moment)

    def plane(self) -> Plane:
        return Plane(
            translator=self.translator,
            publisher=self.publisher,
            ingest=self.ingest,
            changed_at=lambda key: self.pipeline.changed_at.get(key, 0),
            turns=self._bell,
            version=__version__,
            now=time.time_ns,
            replica=self.settings.replica,
            management=self.settings.cluster,
            admin_namespace=self.settings.admin_namespace,
            folder=str(self.settings.directory or ""),
            store=self._store_info,
            release_folder=self._release_folder,
            serving=self._serving,
            relist=self.relisting.demand,
            insecure=self.settings.insecure,
            told=self.statuses.told,
            conflicts=self.statuses.clusters.conflicts,
            relay=lambda: self.gate.info,
            registration=self.statuses.clusters.registration,
            outputs=self.pipeline.outputs,
            rollbacks=self._history.rollbacks,
            journal=self.journal,
            events=self.happenings.events,
            queues=lambda: {"turns": self.ingest.queues, "relay": self.relay.queues},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.gate.begin()
        for name in ("gloo_mesh_redis_sync_err_total", "gloo_mesh_redis_sync_err"):
            self._metrics.add(name, 0)  # from the start, or the first failure would be no increase
        async with AsyncExitStack() as stack:
            held, rejected = (lambda: self.pipeline.held), self.publisher.arrivals.rejected
            for end in Gauges(self._place.cluster, self.ingest, self.gate, held, rejected).watched(self._metrics.watch):
                stack.callback(end)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            own = [
                tasks.create_task(self.relisting.list_folder(self._list_folder_again), name="mgmt.relist"),
                tasks.create_task(self._conclude_listings(), name="mgmt.relisted"),
                tasks.create_task(self._elsewhere.run(), name="mgmt.elsewhere"),
                tasks.create_task(self.statuses.run(), name="mgmt.statuses"),
                tasks.create_task(self._look_at_itself(), name="mgmt.itself"),
                tasks.create_task(self._settle_memory(), name="mgmt.memory"),
                tasks.create_task(self.safe_mode.run(), name="mgmt.window"),
                tasks.create_task(self.gate.run(lambda: self.leads, self._have_roots_of), name="mgmt.gate"),
            ]
            if self._lease is not None:
                own.append(tasks.create_task(self._lease.run(), name="mgmt.lease"))
            if self.settings.enable_cluster_load_balancing:
                own.append(tasks.create_task(self._balancing.run(), name="mgmt.balancing"))
            for task in own:
                stack.callback(task.cancel)
            await stack.enter_async_context(running(self.ingest, self._folder))
            await self._history.begin()
            stack.callback(tasks.create_task(self._history.run(), name="mgmt.history").cancel)
            plane = self.plane()
            if self.settings.health_address is not None:  # before the relay: it answers while that drains
                health = listen(health_app(plane), self.settings.health_address, "health_address")
                await stack.enter_async_context(health)
            self.relay = await stack.enter_async_context(
                serve(
                    self.ingest,
                    self.publisher,
                    address=self.settings.relay_address,
                    settings=RelaySettings(heartbeat=self.settings.heartbeat, drain_spread=self.settings.drain_spread),
                    metrics=self._metrics,
                    observe=lambda why, cluster, peer: log.info(
                        "relay.stream.ended", cluster=cluster, peer=peer, reason=why.message
                    ),
                    door=self.gate.door,
                    bootstrap=self.gate.bootstrap(self.ingest.sessions.conflict, self.ingest.sessions.barred),
                    ended=self.happenings.ended,
                )
            )
            self.gate.guards(self.relay)
            admin = Starlette(routes=[Route("/metrics", self._exposition), Mount("/", admin_app(plane))])
            bound = await stack.enter_async_context(listen(admin, self.settings.admin_address, "admin_address"))
            self.admin_port = bound.port
            log.info("mgmt.server.ready", relay=self.relay.port, admin=bound.port, cluster=self.settings.cluster)
            try:
                yield
            finally:
                self._stopping = True
