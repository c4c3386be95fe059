"""What an Envoy alone needs: a bare ADS loop hands it the same edits, from the write to its ACK."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2

from bench import world
from bench.processes import envoy
from fingerpost.objects import ObjectKey, canonical, trim, type_of
from fingerpost.relay.pieces import join
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import Translator

CDS, EDS, LDS, RDS = (
    f"type.googleapis.com/envoy.config.{name}"
    for name in (
        "cluster.v3.Cluster",
        "endpoint.v3.ClusterLoadAssignment",
        "listener.v3.Listener",
        "route.v3.RouteConfiguration",
    )
)


class _Loop(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]
    """State of the world, one listener and one RouteConfiguration, no cluster."""

    def __init__(self, listener: bytes, routes: bytes) -> None:
        self._resources = {LDS: listener, RDS: routes}
        self.acked: asyncio.Queue[int] = asyncio.Queue()
        self.edits: asyncio.Queue[bytes] = asyncio.Queue()

    async def StreamAggregatedResources(self, requests: Any, context: Any) -> None:  # noqa: N802  generated name
        sent: dict[str, str] = {}
        version = 0
        edits: asyncio.Task[None] | None = None

        async def send(type_url: str) -> None:
            nonlocal version
            version += 1
            body = self._resources.get(type_url)
            resources = [any_pb2.Any(type_url=type_url, value=body)] if body is not None else []
            sent[type_url] = str(version)
            await context.write(
                discovery_pb2.DiscoveryResponse(
                    version_info=str(version), nonce=str(version), type_url=type_url, resources=resources
                )
            )

        async def follow() -> None:
            while True:
                self._resources[RDS] = await self.edits.get()
                await send(RDS)

        async for request in requests:
            if request.error_detail.message:
                raise RuntimeError(request.error_detail.message)
            if not request.response_nonce:
                await send(request.type_url)
            elif request.type_url == RDS and request.response_nonce == sent[RDS]:
                await self.acked.put(time.time_ns())
                edits = edits or asyncio.create_task(follow(), name="bench.floor.edits")


def _resources(tables: int) -> tuple[Translator, bytes, bytes]:
    from bench.offline import objects

    translator = Translator(Place(cluster="mgmt", admin_namespace=world.NAMESPACE))
    translator.feed(objects(tables).items())
    turn = translator.turn()
    changes = next(iter(turn.classes.values()))
    listener = next(join(v) for k, v in changes.items() if k[0] == "listener" and v is not None)
    routes = next(join(v) for k, v in changes.items() if k[0] == "routes" and v is not None)
    return translator, listener, routes


def _edited(translator: Translator, number: int, edit: int) -> bytes:
    obj = world.table(number, edit)
    type_ = type_of(obj["apiVersion"], obj["kind"])
    key = ObjectKey(type_, "mgmt", obj["metadata"]["namespace"], obj["metadata"]["name"])
    translator.feed([(key, canonical(trim(type_, obj)))])
    changes = next(iter(translator.turn().classes.values()))
    return next(join(v) for k, v in changes.items() if k[0] == "routes" and v is not None)


async def _measure(root: Path, tables: int, edits: int) -> list[float]:
    translator, listener, routes = _resources(tables)
    loop = _Loop(_on_loopback(listener), routes)
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(loop, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    from agent.xds.bootstrap import bootstrap

    settings = bootstrap(f"127.0.0.1:{port}", "gw/ingress", "c0", "floor", delta=False)
    times = []
    with envoy(root, "floor", settings):
        await asyncio.wait_for(loop.acked.get(), 60)
        for edit in range(1, edits + 1):
            body = _edited(translator, edit * 37 % tables, edit)
            began = time.time_ns()
            await loop.edits.put(body)
            times.append((await asyncio.wait_for(loop.acked.get(), 60) - began) / 1e6)
    await server.stop(0)
    return times


def _on_loopback(listener: bytes) -> bytes:
    message = listener_pb2.Listener.FromString(listener)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = 0
    return bytes(message.SerializeToString())


def floor(root: Path, tables: int, edits: int) -> list[float]:
    """Milliseconds from the write to the ACK, one per edit."""
    return asyncio.run(_measure(root, tables, edits))


__all__ = ["floor", "route_pb2"]
