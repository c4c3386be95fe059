"""Composition root of the management server: the only module that knows all the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Never

import structlog
from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from fingerpost import __version__
from fingerpost.cluster.protocol import Cluster
from fingerpost.cluster.source import open_cluster
from fingerpost.cluster.status_writer import StatusWriter
from fingerpost.http import listen
from fingerpost.memory import settle
from fingerpost.objects import ObjectKey
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.settings import RelaySettings
from fingerpost.secrets.protocol import Secrets
from fingerpost.secrets.source import open_secrets
from fingerpost.telemetry import Telemetry
from mgmt.admin.app import app as admin_app
from mgmt.admin.health import health_app
from mgmt.admin.ports import Bell, Plane, StoreInfo
from mgmt.admin.reach import SERVED, Reach
from mgmt.authority import Authority, open_authority, root_place
from mgmt.ingest.ingest import Ingest, IngestSettings, running
from mgmt.ingest.kinds import TYPES_OF_SERVER
from mgmt.ingest.values import ClusterStates, State
from mgmt.pipeline import Pipeline
from mgmt.publish.guard import GuardSettings
from mgmt.publish.publisher import Publisher
from mgmt.relay.gate import Gate
from mgmt.relay.ports import Fence, SessionInfo
from mgmt.relay.server import RelayServer, serve
from mgmt.relisting import Relisting
from mgmt.settings import Settings
from mgmt.status.arrival import ArrivalStatuses
from mgmt.status.clusters import CONFLICT, EverConnected, cluster_status
from mgmt.status.uids import ClusterUids
from mgmt.store.embedded import embedded_redis
from mgmt.store.errors import StoreError
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings
from mgmt.translate.graph.inputs import GATEWAY, KUBERNETES_CLUSTER
from mgmt.translate.graph.ownership import Place
from mgmt.translate.status import Status
from mgmt.translate.translator import Translator

log = structlog.get_logger()
_MANAGER = "gloo-mesh-mgmt-server"  # of fields in server-side apply
TRUST_DOMAIN = "cluster.local"
_PATIENCE = 3.0  # seconds for facts that are on their way
_CLUSTERS_AGAIN = 10.0  # seconds between two looks at clusters whose agent is gone


class ServedPublisher(Publisher):
    """The publisher as the relay sees it: with signing, and with what agents have seen handed on to Redis."""

    server: Server

    def seen(self, cluster: str, config_version: int) -> None:
        super().seen(cluster, config_version)
        self.server.ingest.seen(config_version)

    async def ready(self, cluster: str) -> None:
        await super().ready(cluster)
        await self.server.until(lambda: not self.is_behind, _PATIENCE)

    async def sign(self, cluster: str, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        namespace, _, name = id_.partition("/")
        key = ObjectKey(GATEWAY, cluster, namespace, name)
        gateways = self.server.translator.inputs[GATEWAY].items
        await self.server.until(lambda: key in gateways, _PATIENCE)  # the request may have overtaken the facts
        decoded = gateways.get(key)
        if decoded is None or decoded.obj is None:
            raise Refused(Reason.NOT_REGISTERED, f"no gateway {id_} is known in cluster {cluster}")
        accounts = decoded.obj.spec.service_accounts
        allowed = [f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{account}" for account in accounts]
        authority = self.server.authority
        return await asyncio.to_thread(authority.sign, csr, allowed), authority.roots


class ServedIngest(Ingest):
    """The ingest port as the relay sees it; it lets the guards know of sessions and of finished listings."""

    relisting: Relisting

    async def open(self, cluster: str, session: SessionInfo) -> Fence:
        fence = await super().open(cluster, session)
        self.relisting.opened(cluster, fence, session.control, session.types)
        return fence

    def listed(self, cluster: str, fence: Fence, type_: str) -> None:
        super().listed(cluster, fence, type_)
        self.relisting.listed(cluster, type_)

    async def close(self, cluster: str, fence: Fence) -> None:
        self.relisting.closed(cluster, fence)
        await super().close(cluster, fence)


class Server:
    """All parts of one replica, joined. `relay` and `admin_port` are there once it runs."""

    relay: RelayServer
    admin_port: int

    def __init__(
        self,
        settings: Settings,
        folder: Cluster | None,
        store: RedisStore,
        metrics: Telemetry,
        secrets: Secrets,
        authority: Authority,
    ) -> None:
        self.settings = settings
        self._folder, self._store, self._metrics = folder, store, metrics
        self._place = Place(cluster=settings.cluster, admin_namespace=settings.admin_namespace)
        self._bell = Bell()
        self._relist_folder = asyncio.Event()
        self._window_over = self._stopping = False
        self._statuses: dict[ObjectKey, Status] = {}
        self.authority = authority
        self.gate = Gate(settings, secrets, metrics)
        self.translator = Translator(self._place)
        self.relisting = Relisting(self._relist_folder.set, settings.cluster)
        self.publisher = ServedPublisher(
            relist=self.relisting.demand,
            now=time.time_ns,
            guard=GuardSettings(settings.guard_share, settings.guard_floor),
        )
        self.publisher.server = self
        self.pipeline = Pipeline(
            self.translator,
            self.publisher,
            metrics,
            on_statuses=self._put_statuses,
            on_published=self._published,
            observe=metrics.observe,
        )
        self.ever = EverConnected(self._read_cluster_status)
        self.ingest = ServedIngest(
            store,
            self.pipeline,
            IngestSettings(management=settings.cluster, admin_namespace=settings.admin_namespace, lease=settings.lease),
            metrics,
            on_states=self._states,
            on_conflict=lambda: self._put_clusters(self.ingest.states),
            on_leading=self._say_all_again,
            ever_connected=self.ever,
        )
        self.ingest.relisting = self.relisting
        self._writer = StatusWriter(folder, lambda: self.ingest.leads) if folder else None
        outputs = folder.outputs if folder else None
        self._uids = ClusterUids(outputs, self._cluster_key, self.ingest.unannotated) if outputs else None
        self._arrival = ArrivalStatuses(
            SERVED,
            self.publisher.arrivals,
            write=lambda key, status: self._writer.put(key, status) if self._writer else None,
            read=lambda key: folder.status(key) if folder else None,
            look=lambda: Reach(self.plane()).arrival,
            elsewhere=self.ingest.elsewhere,
        )

    # ---------------------------------------------------------------- turns

    async def until(self, holds: Callable[[], bool], patience: float) -> None:
        """Looks after each turn; gives up in silence."""
        try:
            async with asyncio.timeout(patience):
                while not holds():
                    await self._bell.wait()
        except TimeoutError:
            return

    def _may_serve(self) -> bool:
        """What safe mode asks for besides keeps (relay.md §7.3). Nobody is served before the folder was listed."""
        if self._folder is not None and self.ingest.states.management.state not in (State.WARM, State.CACHED):
            return False
        waiting = any(not state.ready for state in self.ingest.states.clusters.values())
        return self.settings.safe_mode == "on" or not waiting or self._window_over

    def _published(self, seq: int) -> None:
        if self._may_serve():
            self.publisher.open_for_agents()
        self._bell.ring()

    def _states(self, states: ClusterStates) -> None:
        for name, state in states.clusters.items():
            if state.ready and state.replica:
                self.ever.saw(name)
        self.pipeline.clusters(states, hold=self.settings.safe_mode == "on")
        self._put_clusters(states)
        if self._uids is not None:
            self._uids.look()

    # ---------------------------------------------------------------- statuses

    def _cluster_key(self, name: str) -> ObjectKey:
        return ObjectKey(KUBERNETES_CLUSTER, self._place.cluster, self._place.admin_namespace, name)

    def _read_cluster_status(self, name: str) -> object:
        return self._folder.status(self._cluster_key(name)) if self._folder else None

    def _put_statuses(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        for key, status in statuses.items():
            if key.type != KUBERNETES_CLUSTER:
                self._arrival.put(key, status)
            elif status is None:
                self._statuses.pop(key, None)
            else:
                self._statuses[key] = status
        if any(key.type == KUBERNETES_CLUSTER for key in statuses):
            self._put_clusters(self.ingest.states)

    def _say_all_again(self) -> None:
        """This replica leads from now on; what the former leader has said already is not written twice."""
        self._put_statuses({k: s for k, s in self.translator.all_statuses() if k.cluster == self._place.cluster})

    def _put_clusters(self, states: ClusterStates) -> None:
        """A KubernetesCluster's status is about its agent, besides what is wrong with the object."""
        if self._writer is None:
            return
        for key, own in self._statuses.items():
            state, now = states.clusters.get(key.name), time.time_ns()
            conflict = self.ingest.conflicts.get(key.name, ("", 0))
            ends = self.gate.certificate_ends.get(key.name, 0)
            status = cluster_status(
                own, state, ever=self.ever(key.name), now_unix_nanos=now, conflict=conflict, certificate_ends=ends
            )
            self._writer.put(key, status)

    async def _watch_clusters(self) -> Never:
        while True:
            await asyncio.sleep(_CLUSTERS_AGAIN)
            self._put_clusters(self.ingest.states)

    # ---------------------------------------------------------------- running

    async def _list_folder_again(self) -> Never:
        while True:
            await self._relist_folder.wait()
            self._relist_folder.clear()
            if self._folder is not None:
                await self._folder.relist()
            self.relisting.folder_listed()

    async def _conclude_listings(self) -> Never:
        while True:
            cluster = await self.relisting.complete.get()
            await self.ingest.settled()
            self.publisher.relisted(cluster, self.publisher.config_version)
            self._bell.ring()

    async def _start_window(self) -> None:
        """With safe mode off, clusters are waited for so long and no longer."""
        if self.settings.safe_mode == "off":
            await asyncio.sleep(self.settings.safe_start_window)
            self._window_over = True
            await self.ingest.settled()
            self.publisher.open_for_agents()

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
        return Response(self._metrics.exposition(), media_type="text/plain; version=0.0.4")

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
            serving=lambda: self.publisher.is_open and not self._stopping,
            relist=self.relisting.demand,
            insecure=self.settings.insecure,
            conflicts=self._conflicts,
        )

    def _conflicts(self) -> Mapping[str, str]:
        since = time.time_ns() - CONFLICT * 1_000_000_000
        return {name: said for name, (said, at) in self.ingest.conflicts.items() if at > since}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.gate.begin()
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            own = [
                tasks.create_task(self._list_folder_again(), name="mgmt.relist"),
                tasks.create_task(self._conclude_listings(), name="mgmt.relisted"),
                tasks.create_task(self._watch_clusters(), name="mgmt.clusters"),
                tasks.create_task(self._settle_memory(), name="mgmt.memory"),
                tasks.create_task(self._start_window(), name="mgmt.window"),
                tasks.create_task(self.gate.run(), name="mgmt.gate"),
            ]
            if self._uids is not None:
                own.append(tasks.create_task(self._uids.run(), name="mgmt.uids"))
            if self._writer is not None:
                own.append(tasks.create_task(self._writer.run(), name="mgmt.status"))
                own.append(tasks.create_task(self._arrival.run(), name="mgmt.arrival"))
            for task in own:
                stack.callback(task.cancel)
            await stack.enter_async_context(running(self.ingest, self._folder))
            plane = self.plane()
            if self.settings.health_address is not None:  # before the relay: it answers while that drains
                health = listen(health_app(plane), self.settings.health_address, "health_address")
                await stack.enter_async_context(health)
            self.relay = await stack.enter_async_context(
                serve(
                    self.ingest,
                    self.publisher,
                    address=self.settings.relay_address,
                    settings=RelaySettings(heartbeat=self.settings.heartbeat),
                    metrics=self._metrics,
                    observe=lambda why, cluster, peer: log.info(
                        "relay.stream.ended", cluster=cluster, peer=peer, reason=why.message
                    ),
                    door=self.gate.door,
                    bootstrap=self.gate.bootstrap(self.ingest.conflict, self.ingest.registered),
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


@asynccontextmanager
async def running_server(settings: Settings, metrics: Telemetry | None = None) -> AsyncIterator[Server]:
    """The whole server, until the context is left. Raises the edge errors of its parts, each with a remedy."""
    async with AsyncExitStack() as stack:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        folder = await stack.enter_async_context(
            open_cluster(settings, settings.state_dir / "cluster", TYPES_OF_SERVER, _MANAGER, {})
        )
        url = settings.redis_url
        if not url:
            redis = await stack.enter_async_context(embedded_redis(settings.state_dir / "redis"))
            url = redis.url
        store = RedisStore(
            StoreSettings(url=url, username=settings.redis_username, password=settings.redis_password),
            f"{settings.replica}/{time.time_ns():x}",
        )
        stack.push_async_callback(store.close)
        telemetry = metrics or Telemetry("fingerpost-mgmt", __version__)
        secrets = await stack.enter_async_context(open_secrets(settings, settings.admin_namespace, _MANAGER))
        authority = await open_authority(root_place(settings.ca_dir, settings.state_dir, secrets))
        server = Server(settings, folder, store, telemetry, secrets, authority)
        await stack.enter_async_context(server.running())
        yield server
