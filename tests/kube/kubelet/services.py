"""What kube-proxy does: whoever connects to a Service's address reaches a ready endpoint. TCP only.

A forwarder listens for each port as long as there is a ready endpoint, so that without one a connection is refused. It
listens on the cluster's address, on that of the load balancer, which is given here, and on the node port.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import httpx

from fingerpost.cluster.kubernetes.api import Api
from tests.kube.ground import Ground
from tests.kube.kube_client import KubeClient
from tests.kube.kubelet.watched import SERVICES, SLICES, Name, Object, Watched

_CHUNK = 65536
_PATIENCE = (0.5, 1.0, 2.0, 4.0)  # seconds for an endpoint to take a connection
_RETRY = 0.2
Place = tuple[str, int]


class Services:
    """`run` never returns; `objects` and `slices` are what is known."""

    def __init__(self, api: Api, client: KubeClient, ground: Ground, api_server: Place) -> None:
        self._client, self._ground, self._api_server = client, ground, api_server
        self._again = asyncio.Event()
        services, slices = Watched(api, SERVICES, self._touched), Watched(api, SLICES, self._touched)
        self.objects, self.slices = services.objects, slices.objects
        self._forwarders: dict[Place, _Forwarder] = {}
        self._balancers: dict[Name, str] = {}
        self.work = (services.run, slices.run, self._keep)

    def _touched(self, obj: Object, gone: bool) -> None:
        self._again.set()

    async def _keep(self) -> None:
        while True:
            await self._again.wait()
            self._again.clear()
            await self._give_addresses()
            wanted = dict(self._wanted())
            for place in self._forwarders.keys() - wanted.keys():
                self._forwarders.pop(place).close()
            for place, ends in wanted.items():
                if place not in self._forwarders:
                    self._forwarders[place] = await _Forwarder.listening(place)
                self._forwarders[place].ends = ends

    async def _give_addresses(self) -> None:
        for name, service in list(self.objects.items()):
            if service["spec"].get("type") != "LoadBalancer":
                continue
            if name not in self._balancers:
                self._balancers[name] = self._ground.balancer()
            status = {"loadBalancer": {"ingress": [{"ip": self._balancers[name], "ipMode": "VIP"}]}}
            if service.get("status") != status:
                try:
                    await self._client.http.patch(
                        f"/api/v1/namespaces/{name[0]}/services/{name[1]}/status",
                        headers={"Content-Type": "application/merge-patch+json"},
                        json={"status": status},
                    )
                except httpx.HTTPError:
                    asyncio.get_running_loop().call_later(_RETRY, self._again.set)

    def _wanted(self) -> Iterator[tuple[Place, list[Place]]]:
        yield (self._ground.api, 443), [self._api_server]
        for name, service in self.objects.items():
            spec = service["spec"]
            if name == ("default", "kubernetes"):
                continue
            for port in spec.get("ports") or ():
                ends = endpoints(name, port.get("name", ""), self.slices)
                if not ends or port.get("protocol", "TCP") != "TCP":
                    continue
                if spec.get("clusterIP", "None") not in ("None", ""):
                    yield (spec["clusterIP"], port["port"]), ends
                if name in self._balancers:
                    yield (self._balancers[name], port["port"]), ends
                if port.get("nodePort"):
                    yield (self._ground.node, port["nodePort"]), ends

    def close(self) -> None:
        for forwarder in self._forwarders.values():
            forwarder.close()


def endpoints(service: Name, port: str, slices: Mapping[Name, Object]) -> list[Place]:
    """The ready ones, sorted."""
    out = set()
    for (namespace, _), found in slices.items():
        if (namespace, found["metadata"].get("labels", {}).get("kubernetes.io/service-name")) != service:
            continue
        numbers = [p["port"] for p in found.get("ports") or () if (p.get("name") or "") == port]
        for endpoint in found.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True):
                out |= {(address, number) for address in endpoint["addresses"] for number in numbers}
    return sorted(out)


class _Link(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Forwarder:
    """Connections that are open stay with their endpoint when `ends` changes."""

    def __init__(self) -> None:
        self.ends: list[Place] = []
        self._turn = itertools.count()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @classmethod
    async def listening(cls, place: Place) -> _Forwarder:
        forwarder = cls()
        forwarder._server = await asyncio.start_server(forwarder._accept, *place)
        return forwarder

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            there = await self._connect()
            try:
                await asyncio.gather(_copy(reader, there.writer), _copy(there.reader, writer))
            finally:
                there.writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # the caller sees its connection end; asyncio would log a cancelled callback as a failure
        finally:
            writer.close()
            self._open.discard(task)

    async def _connect(self) -> _Link:
        """To the first that takes it: an address whose pod has just gone does not even refuse. Raises OSError."""
        for patience in _PATIENCE:
            end = self.ends[next(self._turn) % len(self.ends)]
            with contextlib.suppress(OSError):
                async with asyncio.timeout(patience):
                    return _Link(*await asyncio.open_connection(*end))
        raise ConnectionError("no endpoint takes connections")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
