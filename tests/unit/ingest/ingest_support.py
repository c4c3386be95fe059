"""A replica without relay and translator: what comes in, what is published, and an agent that speaks to the port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from fingerpost.cluster.protocol import Batch, Change
from fingerpost.objects import ObjectKey, canonical, content_hash
from fingerpost.relay.reasons import Reason
from mgmt.ingest.ingest import Ingest, IngestSettings
from mgmt.ingest.kinds import KUBERNETES_CLUSTER, SESSION
from mgmt.ingest.running import running
from mgmt.ingest.values import InputChange
from mgmt.relay.ports import Fence, NoMetrics, SessionInfo, Upsert
from mgmt.store.errors import StoreUnavailable
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings
from mgmt.store.values import Attached

TABLE = "networking.gloo.solo.io/RouteTable"
SERVICE = "core/Service"


async def until(condition: Callable[[], object], patience: float = 15.0) -> None:
    """Wait for what another task, replica or process brings about."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - what is awaited happens elsewhere, in Redis or another replica
            await asyncio.sleep(0.002)


class Recorder:
    """A translator that only remembers; its world must always equal what it was told."""

    def __init__(self) -> None:
        self.world: dict[ObjectKey, bytes] = {}
        self.turns: list[list[InputChange]] = []
        self.published: list[int] = []
        self.on_translate: Callable[[], None] = lambda: None

    def translate(self, changes: Sequence[InputChange]) -> object:
        self.on_translate()
        self.turns.append(list(changes))
        for change in changes:
            if change.body is None:
                self.world.pop(change.key, None)
            else:
                self.world[change.key] = change.body
        return len(changes)

    def publish(self, results: Sequence[object], seq: int, stored_unix_nanos: int = 0) -> None:
        assert not self.published or seq >= self.published[-1], "config_version went back"
        self.published.append(seq)

    @property
    def removals(self) -> list[ObjectKey]:
        return [c.key for turn in self.turns for c in turn if c.body is None]

    def objects(self) -> dict[str, str]:
        """Without bookkeeping: "cluster/namespace/name" -> body."""
        return {
            f"{k.cluster}/{k.namespace}/{k.name}": body.decode()
            for k, body in sorted(self.world.items())
            if k.type not in (SESSION, KUBERNETES_CLUSTER)
        }


class Folder:
    """The management cluster by hand."""

    name, uid = "mgmt", "uid-mgmt"

    def __init__(self) -> None:
        self._queues: list[asyncio.Queue[Batch]] = []
        self.objects: dict[ObjectKey, bytes] = {}
        self.unread: frozenset[str] = frozenset()

    async def watch(self, types: Collection[str] | None = None) -> AsyncIterator[Batch]:
        queue: asyncio.Queue[Batch] = asyncio.Queue()
        self._queues.append(queue)
        yield Batch(tuple(Change(k, v) for k, v in self.objects.items()), True, (), 1)
        while True:
            yield await queue.get()

    async def relist(self) -> frozenset[str]:
        self._send(Batch(tuple(Change(k, v) for k, v in self.objects.items()), True, (), 1))
        return self.unread

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        raise AssertionError("ingest writes no status")

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None: ...

    def _send(self, batch: Batch) -> None:
        for queue in self._queues:
            queue.put_nowait(batch)

    def put(self, name: str, body: bytes | None, *, type_: str = TABLE, namespace: str = "shop") -> None:
        key = ObjectKey(type_, "mgmt", namespace, name)
        if body is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = body
        self._send(Batch((Change(key, body),), False, (), 7))

    def register(self, name: str, *, skip_warming: bool = False, annotations: Mapping[str, str] | None = None) -> None:
        body = {
            "apiVersion": "admin.gloo.solo.io/v2",
            "kind": "KubernetesCluster",
            "metadata": {"name": name, "namespace": "gloo-mesh", "annotations": dict(annotations or {})},
            "spec": {"skipWarming": skip_warming},
        }
        self.put(name, canonical(body), type_=KUBERNETES_CLUSTER, namespace="gloo-mesh")

    def deregister(self, name: str) -> None:
        self.put(name, None, type_=KUBERNETES_CLUSTER, namespace="gloo-mesh")


class Replica:
    """One ingest on one Redis, running."""

    def __init__(self, url: str, name: str, folder: Folder | None, *, retry: float = 0.01, **settings: Any) -> None:
        """`retry`: seconds to the second attempt after Redis was lost."""
        timing = {"block": 0.05, "write_timeout": 0.3, "read_timeout": 0.5, "dial_timeout": 0.5, **settings}
        self.store = RedisStore(StoreSettings(url=url, **timing), name)
        self.recorder = Recorder()
        self.ever: set[str] = set()
        self.asked: dict[str, bytes] = {}
        self.began_to_lead = 0
        self.ingest = Ingest(
            self.store,
            self.recorder,
            IngestSettings(lease=0.6, retry_first=retry, retry_ceiling=max(retry, 0.05)),
            NoMetrics(),
            on_leading=self._leads,
            ever_connected=self.ever.__contains__,
            asked=lambda cluster: self.asked.get(cluster, b""),
        )
        self._folder = folder
        self._stack = AsyncExitStack()

    async def start(self) -> Replica:
        await self._stack.enter_async_context(running(self.ingest, self._folder))
        return self

    def _leads(self) -> None:
        self.began_to_lead += 1

    def cut(self) -> Callable[[], None]:
        """It alone has lost Redis, until what is returned is called."""
        attach, gone = self.store.attach, True

        async def attempt(seq: int) -> Attached:
            if gone:
                raise StoreUnavailable("cut off")
            return await attach(seq)

        def heal() -> None:
            nonlocal gone
            gone = False
            self.ingest.ask_redis()

        self.store.attach = attempt  # type: ignore[method-assign]
        self.ingest._turns.lose(StoreUnavailable("cut off"))
        return heal

    async def tables(self) -> dict[str, str]:
        """What Redis holds: name -> body."""
        inputs = (await self.store.load()).inputs
        return {k.name: stored.body.decode() for k, stored in inputs.items() if k.type == TABLE}

    async def stop(self) -> None:
        await self._stack.aclose()
        await self.store.close()

    def state(self, cluster: str) -> str:
        found = self.ingest.states.clusters.get(cluster)
        return str(found.state) if found else ""

    def objects(self) -> dict[str, str]:
        """As the inputs in memory; must equal what the translator was told."""
        return {
            f"{k.cluster}/{k.namespace}/{k.name}": stored.body.decode()
            for k, stored in sorted(self.ingest.inputs.items())
            if k.type not in (SESSION, KUBERNETES_CLUSTER)
        }


class Agent:
    """One agent's Push session, without the wire."""

    def __init__(
        self, cluster: str, uid: str = "", types: tuple[str, ...] = (TABLE,), features: frozenset[str] = frozenset()
    ) -> None:
        self.cluster, self.types, self.features = cluster, types, features
        self.uid = uid or f"uid-{cluster}"
        self.goodbye: list[tuple[Reason, str]] = []
        self.stored: list[int] = []
        self.fence = Fence(0)
        self.replica: Replica | None = None

    def close(self, reason: Reason, message: str, retry_after: float = 0.0) -> None:
        self.goodbye.append((reason, message))

    def relist(self, types: Collection[str] = ()) -> None:
        raise AssertionError("nobody asks for a listing here")

    @property
    def info(self) -> SessionInfo:
        return SessionInfo(
            cluster=self.cluster,
            cluster_uid=self.uid,
            instance="i",
            version="1",
            role="leader",
            features=self.features,
            types=self.types,
            peer="127.0.0.1:1",
            control=self,
        )

    async def connect(self, replica: Replica) -> Agent:
        self.replica = replica
        accepted = replica.ingest.accepted_types(self.cluster)
        self.types = tuple(t for t in self.types if accepted is None or t in accepted)  # as the relay does it
        self.fence = await replica.ingest.open(self.cluster, self.info)
        return self

    def warm(self) -> Agent:
        assert self.replica is not None
        for type_ in self.types:
            self.replica.ingest.listed(self.cluster, self.fence, type_)
        return self

    def answer(self, interest: bytes) -> None:
        assert self.replica is not None
        self.replica.ingest.answered(self.cluster, self.fence, interest)

    def push(self, objects: Mapping[str, Any | None], type_: str = TABLE, namespace: str = "shop") -> int:
        """Returns how many answers there will be when this one is stored."""
        assert self.replica is not None
        there = {k: json.dumps(v).encode() for k, v in objects.items() if v is not None}
        self.replica.ingest.accept(
            self.cluster,
            self.fence,
            type_,
            [Upsert(namespace, k, content_hash(v), v) for k, v in there.items()],
            [(namespace, k) for k, v in objects.items() if v is None],
            5,
            "",
            self.stored.append,
        )
        self.pushed = getattr(self, "pushed", 0) + 1
        return self.pushed

    async def push_stored(self, objects: Mapping[str, Any | None], **more: Any) -> int:
        count = self.push(objects, **more)
        await until(lambda: len(self.stored) >= count)
        return self.stored[count - 1]

    async def leave(self) -> None:
        assert self.replica is not None
        await self.replica.ingest.close(self.cluster, self.fence)
