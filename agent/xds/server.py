"""ADS on port 9977: proves who a proxy is, then carries bytes between its stream and its session (design D15, D16).

Decides nothing about content or order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Never

import grpc
import structlog
from envoy.config.core.v3 import base_pb2

from agent.discovery.locality import Locality
from agent.xds.bootstrap import BIND, GATEWAY
from agent.xds.callers import Caller, Callers
from agent.xds.gateways import Gateways
from agent.xds.session import Session
from agent.xds.wire import Delta, Request, StateOfTheWorld, Wire
from fingerpost.http import CannotListen

log = structlog.get_logger()

PORT = 9977
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_MESSAGE_LIMIT = 256 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
Context = grpc.aio.ServicerContext[Any, Any]


class AdsServer:
    def __init__(self, gateways: Gateways, callers: Callers) -> None:
        self._gateways = gateways
        self._callers = callers

    @asynccontextmanager
    async def serve(self, address: str) -> AsyncIterator[int]:
        """`address` as in 127.0.0.1:9977; yields the port that was bound."""
        server = grpc.aio.server(options=_OPTIONS)
        methods = {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._world),
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._delta),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        try:
            port = server.add_insecure_port(address)
        except RuntimeError as failed:
            raise CannotListen("xds_address", address, "it is in use, or not of this machine") from failed
        await server.start()
        try:
            yield port
        finally:
            await server.stop(grace=0.2)

    async def _world(self, requests: AsyncIterator[bytes], context: Context) -> None:
        await self._stream(StateOfTheWorld(), requests, context)

    async def _delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        await self._stream(Delta(), requests, context)

    async def _stream(self, wire: Wire, requests: AsyncIterator[bytes], context: Context) -> None:
        caller = await self._authenticate(context)
        async for data in requests:
            first = wire.read(data)
            break
        else:
            return
        gateway_name, session = await self._open(wire, first, caller, context)
        gateway = self._gateways.get(gateway_name)
        gateway.attach(session)
        log.info("xds.proxy.connected", proxy=session.proxy, delta=wire.incremental)
        try:
            session.receive(first)
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(_write(session, context), name=f"xds to {session.proxy}")
                async for data in requests:
                    session.receive(wire.read(data))
                writer.cancel()
        except* grpc.aio.AbortError:
            log.info("xds.stream.aborted", proxy=session.proxy)
        finally:
            session.close()
            gateway.detach(session)
            log.info("xds.proxy.disconnected", proxy=session.proxy)

    async def _authenticate(self, context: Context) -> Caller:
        metadata = {key: value for key, value in context.invocation_metadata() or ()}
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        caller = await self._callers.who(token) if scheme.lower() == "bearer" and token else None
        if caller is None:
            log.warning("xds.proxy.refused", peer=context.peer(), reason="no valid token")
            return await _abort(
                context,
                grpc.StatusCode.UNAUTHENTICATED,
                "a valid gateway token is needed; run `fingerpost proxy bootstrap`",
            )
        return caller

    async def _open(self, wire: Wire, first: Request, caller: Caller, context: Context) -> tuple[str, Session]:
        node = first.node or base_pb2.Node()
        parts = node.id.split("/")
        gateway = "/".join(parts[:2])
        claimed = node.metadata.fields[GATEWAY].string_value if GATEWAY in node.metadata.fields else gateway
        if claimed != gateway or len(parts) != 3 or not caller.may(gateway):
            reason = f"the token is that of {caller.name}, the proxy says that it is {node.id!r} of gateway {claimed}"
            log.warning("xds.proxy.refused", peer=context.peer(), reason=reason)
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, reason)
        bind = node.metadata.fields[BIND].string_value if BIND in node.metadata.fields else ""
        said = Locality(node.locality.region, node.locality.zone, node.locality.sub_zone)
        localities, (namespace, service, instance) = self._gateways.localities, parts

        def place() -> Locality:
            """Looked up anew each time: a proxy may be here before the nodes were listed."""
            if said.region:
                return said
            found = localities.locality_of_proxy(namespace, instance)
            return localities.locality_of_gateway(namespace, service) if found is None else found

        return gateway, Session(self._gateways.get(gateway), wire, node.id, bind, place)


async def _write(session: Session, context: Context) -> Never:
    while True:
        await session.wake.wait()
        session.wake.clear()
        for body in session.advance():
            await context.write(body)
        session.written()


async def _abort(context: Context, code: grpc.StatusCode, message: str) -> Never:
    await context.abort(code, message)
    raise AssertionError("abort raises")
