"""Clusters that are real API servers, and what goes wrong with these. Needs what the cluster tests need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx

from tests.chaos.faults import Fault, Kind
from tests.chaos.fleet import Fleet
from tests.chaos.manifests import TEAMS
from tests.chaos.world import MGMT
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube import faulty_api
from tests.kube.api_server import ApiServer
from tests.kube.faulty_api import FaultyApi
from tests.kube.kube_client import KubeClient
from tests.kube.kube_fleet import NAMESPACES, begin

_PATIENCE = 60.0  # seconds in which an API server must take what users write


class _Put(NamedTuple):
    name: str
    objects: tuple[m.Object, ...]  # none: what was put under the name goes


class ApiServers:
    """Servers and agents come through the doors, users do not. What users write while an API server is away they write
    again until it is taken, one after the other.
    """

    def __init__(self, root: Path, clusters: tuple[str, ...]) -> None:
        self._root, self.names = root, (MGMT, *clusters)
        self.servers = {name: ApiServer(name, root / name) for name in self.names}
        self.doors: dict[str, FaultyApi] = {}
        self._kubes: dict[str, KubeClient] = {}
        self._there: dict[tuple[str, str], tuple[m.Object, ...]] = {}
        self._refused = ""
        self._waiting: dict[str, asyncio.Queue[_Put]] = {name: asyncio.Queue() for name in self.names}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in self.names:
                await self._start(name, stack)
            async with asyncio.TaskGroup() as users:
                work = [users.create_task(self._write(name), name=f"users of {name}") for name in self.names]
                try:
                    yield
                finally:
                    for task in work:
                        task.cancel()

    async def _start(self, name: str, stack: AsyncExitStack) -> None:
        server = self.servers[name]
        self._kubes[name] = await begin(server, stack, (*NAMESPACES, *TEAMS))
        self.doors[name] = await stack.enter_async_context(faulty_api.faulty_api(server))

    def flags(self, cluster: str) -> dict[str, object]:
        """Secrets are in a folder, with the tokens that the gateways' proxies show."""
        return {"kubeconfig": self.doors[cluster].kubeconfig(), "secrets_dir": self._root / "secrets" / cluster}

    def put(self, cluster: str, name: str, *objects: m.Object) -> None:
        self._waiting[cluster].put_nowait(_Put(name, objects))

    def remove(self, cluster: str, name: str) -> None:
        self._waiting[cluster].put_nowait(_Put(name, ()))

    async def _write(self, cluster: str) -> None:
        while True:
            written = partial(self._is_written, cluster, await self._waiting[cluster].get())
            await until(written, _PATIENCE, lambda: self._refused)

    async def _is_written(self, cluster: str, put: _Put) -> bool:
        kube, before = self._kubes[cluster], self._there.get((cluster, put.name), ())
        kept = {_key(obj) for obj in put.objects}
        try:
            await kube.apply(*put.objects)
            await kube.delete(*(obj for obj in reversed(before) if _key(obj) not in kept))
        except (httpx.HTTPError, AssertionError) as refused:  # one that has just been started refuses, too
            self._refused = f"{cluster} does not take {put.name}: {refused!r}"
            return False
        self._there[cluster, put.name] = put.objects
        return True


def _key(obj: m.Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


# ---------------------------------------------------------------- faults


class _ApiFault(Fault):
    def __init__(self, fleet: Fleet, api: ApiServers, cluster: str, lasts: float, told: str) -> None:
        super().__init__(fleet, frozenset({f"api {cluster}"}), lasts, f"{cluster} {told}")
        self.server, self.door = api.servers[cluster], api.doors[cluster]


class ApiServerKilled(_ApiFault):
    """SIGKILL, and started again; with `forgetful` no watch from before can go on (410)."""

    def __init__(self, fleet: Fleet, api: ApiServers, cluster: str, forgetful: bool) -> None:
        super().__init__(fleet, api, cluster, 0.5, "and the past forgotten" if forgetful else "")
        self._forgetful = forgetful

    async def inject(self) -> None:
        await self.server.stop()

    async def heal(self) -> None:
        if self._forgetful:
            await self.server.forget_the_past()
        self.server.launch()


class ApiServerFrozen(_ApiFault):
    def __init__(self, fleet: Fleet, api: ApiServers, cluster: str, lasts: float) -> None:
        super().__init__(fleet, api, cluster, lasts, f"for {lasts:.1f} s")

    async def inject(self) -> None:
        self.server.freeze()

    async def heal(self) -> None:
        self.server.freeze(frozen=False)


class ApiServerSlow(_ApiFault):
    """Seconds before each answer."""

    def __init__(self, fleet: Fleet, api: ApiServers, cluster: str, latency: float) -> None:
        super().__init__(fleet, api, cluster, 2.0, f"by {latency:.1f} s")
        self._latency = latency

    async def inject(self) -> None:
        self.door.latency = self._latency

    async def heal(self) -> None:
        self.door.latency = 0.0


class ApiServerRefuses(_ApiFault):
    """Whatever is asked; `status` 429: too much, 500: it is broken, 403: they have lost their rights."""

    def __init__(self, fleet: Fleet, api: ApiServers, cluster: str, status: int) -> None:
        super().__init__(fleet, api, cluster, 1.0, f"with {status}")
        self._status = status

    async def inject(self) -> None:
        self.door.fault = lambda _method, _path: faulty_api.Fault(self._status, 1 if self._status == 429 else 0)

    async def heal(self) -> None:
        self.door.fault = lambda _method, _path: None


def api_kinds(api: ApiServers, only: Collection[str] = ()) -> list[Kind]:
    """As `faults.kinds`."""

    def latency(r: Random) -> float:
        return r.choice((0.1, 0.5))

    def some(r: Random) -> str:
        return r.choice(api.names)

    every = [
        Kind(4, "ApiServerKilled", lambda f, r: ApiServerKilled(f, api, some(r), r.random() < 0.5)),
        Kind(4, "ApiServerFrozen", lambda f, r: ApiServerFrozen(f, api, some(r), r.choice((0.3, 1.0, 4.0)))),
        Kind(4, "ApiServerSlow", lambda f, r: ApiServerSlow(f, api, some(r), latency(r))),
        Kind(6, "ApiServerRefuses", lambda f, r: ApiServerRefuses(f, api, some(r), r.choice((403, 429, 500)))),
    ]
    return [kind for kind in every if not only or kind.name in only]
