"""Assembly of the server's half: one gRPC server with both streams of every agent. It owns sessions, and nothing they
carry.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

from fingerpost.http import CannotListen
from fingerpost.patience import patience
from fingerpost.relay.frames import parse
from fingerpost.relay.messages import goodbye, heartbeat
from fingerpost.relay.reasons import LinkLost, Reason, Refused
from fingerpost.relay.settings import PROTOCOL, RelaySettings
from fingerpost.relay.stream import Stream, check_size
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay import identity
from mgmt.relay.bootstrap import Bootstrap
from mgmt.relay.instances import Instances
from mgmt.relay.ports import Ingest, Metrics, NoMetrics, Publisher, ShownCertificate
from mgmt.relay.pull import PullSession
from mgmt.relay.push import PushSession
from mgmt.relay.scope_frames import Bodies

log = structlog.get_logger()

SERVICE = "fingerpost.relay.v1.Relay"
_BROKEN_OFF = "the peer broke the stream off"
_Context = Any  # grpc.aio.ServicerContext[bytes, bytes]; the stubs cover request and response types only in part


class RelayServer:
    """`port` is where it listens. Sessions end with Goodbye DRAINING when the server is left."""

    def __init__(
        self,
        ingest: Ingest,
        publisher: Publisher,
        settings: RelaySettings,
        metrics: Metrics,
        observe: Callable[[LinkLost, str, str], None],
        door: identity.Door,
        ended: Callable[[str, str, str], None] = lambda _cluster, _peer, _why: None,
    ) -> None:
        self._ended = ended
        self._ingest, self._publisher, self._settings, self._metrics = ingest, publisher, settings, metrics
        self._observe, self._door = observe, door
        self._streams: set[Stream] = set()
        self._shown: dict[Stream, ShownCertificate] = {}  # the certificates behind them
        self._idle = asyncio.Event()
        self._idle.set()
        self._pushes: dict[str, int] = {}
        self._pulls: dict[str, int] = {}
        self._instances = Instances()
        self.bodies = Bodies()
        self.port = 0

    def handlers(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        """Bytes in and out: frames are parsed here, and bodies that many agents share are serialized once."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Push": grpc.stream_stream_rpc_method_handler(self._push),
                "Pull": grpc.stream_stream_rpc_method_handler(self._pull),
            },
        )

    @property
    def queues(self) -> dict[str, int]:
        pushes, pulls = sum(self._pushes.values()), sum(self._pulls.values())
        return {"push": pushes, "pull": pulls, "streams": len(self._streams)} | self.bodies.sizes

    async def drain(self) -> None:
        """Goodbye to all; returns when the streams have ended or the grace is over."""
        for stream in list(self._streams):
            pause = random.uniform(0, self._settings.drain_spread)  # noqa: S311 - spreads agents, guards no secret
            stream.finish(Refused(Reason.DRAINING, "the server stops", pause))
        try:
            async with asyncio.timeout(self._settings.drain_grace):
                await self._idle.wait()
        except TimeoutError:
            return

    def expel(self, blocked: frozenset[str]) -> None:
        """End the streams of whoever shows one of these certificates."""
        for stream, shown in list(self._shown.items()):
            if shown.fingerprint in blocked:
                stream.finish(identity.Unproved("blocked", identity.blocked(shown.fingerprint)))

    async def _push(self, _requests: object, context: _Context) -> None:
        stream = self._stream(context, lambda kind: pb.PushResponse(**kind))
        await self._hold(context, stream, pb.PushRequest(), self._push_session)

    async def _pull(self, _requests: object, context: _Context) -> None:
        stream = self._stream(context, lambda kind: pb.PullResponse(**kind))
        await self._hold(context, stream, pb.PullRequest(), self._pull_session)

    async def _push_session(self, hello: pb.Hello, peer: str, stream: Stream) -> None:
        session = PushSession(hello, peer, stream, self._ingest, self._settings, self._metrics, self._shown.get(stream))
        self._pushing(hello.cluster, 1)
        why = ""
        try:
            await stream.run(session.receive, session.produce, session.start())
        except (Refused, LinkLost) as end:
            why = str(end)
            raise
        finally:
            self._pushing(hello.cluster, -1)
            self._count(stream, hello.cluster, "push")
            await session.ended()
            self._ended(hello.cluster, peer, why)

    async def _pull_session(self, hello: pb.Hello, peer: str, stream: Stream) -> None:
        session = PullSession(
            hello, stream, self._publisher, self.bodies, self._settings, self._metrics, self._instances
        )
        leave: list[Callable[[], None]] = []

        def end(reason: Reason, message: str) -> None:
            stream.finish(Refused(reason, message))

        async def begin() -> None:
            leave.append(await self._ingest.admit(hello.cluster, hello.cluster_uid, peer, end))
            await session.start()

        self._connected(hello.cluster, 1)
        try:
            await stream.run(session.receive, session.produce, begin())
        finally:
            for left in leave:
                left()
            session.close()
            self._connected(hello.cluster, -1)
            self._count(stream, hello.cluster, "pull")

    async def _hold(
        self,
        context: _Context,
        stream: Stream,
        request: Any,
        session: Callable[[pb.Hello, str, Stream], Awaitable[None]],
    ) -> None:
        """Read Hello, check who speaks, run the session to its end."""
        cluster, end = "", None
        self._streams.add(stream)
        self._idle.clear()
        try:
            hello = await self._hello(context, request, stream)
            cluster = hello.cluster
            await session(hello, context.peer(), stream)
        except Refused as refusal:
            end = LinkLost(refusal.message, reason=refusal.reason)
            if refusal.reason is Reason.UNAUTHENTICATED:
                kind = refusal.kind if isinstance(refusal, identity.Unproved) else "identity"
                self._metrics.add("relay_auth_failures_total", reason=kind)
            stream.finish(refusal)
            with contextlib.suppress(LinkLost):
                await stream.say(stream.last_word(refusal))
        except LinkLost as lost:
            end = lost
        except asyncio.CancelledError:  # by gRPC, when the call is over before anybody has read its end
            end = LinkLost(_BROKEN_OFF)
            raise
        finally:
            if end is not None:
                self._observe(end, cluster, context.peer())
            if (refused := stream.refusal) is not None and refused.reason is Reason.PROTOCOL:
                self._metrics.add("relay_protocol_errors_total", cluster=cluster)
                log.warning("relay.stream.refused", cluster=cluster, peer=context.peer(), reason=refused.message)
            self._streams.discard(stream)
            self._shown.pop(stream, None)
            if not self._streams:
                self._idle.set()

    async def _hello(self, context: _Context, request: Any, stream: Stream) -> pb.Hello:
        try:
            async with patience(self._settings.hello_timeout):
                frame = await context.read()
        except TimeoutError as error:
            raise Refused(Reason.PROTOCOL, "no Hello came") from error
        if not isinstance(frame, bytes):
            raise LinkLost("the agent closed the stream before Hello")
        stream.bytes_in += len(frame)
        check_size(frame, self._settings)
        message = parse(request, frame)
        if message.WhichOneof("body") != "hello":
            raise Refused(Reason.PROTOCOL, "the first message must be Hello")
        hello: pb.Hello = message.hello
        caller = identity.Caller(context.peer(), context.invocation_metadata() or (), context.auth_context())
        certificate = await self._door.admit(caller, hello.cluster)
        if certificate is not None:
            self._shown[stream] = identity.shown(certificate)
        if not hello.protocol_min <= PROTOCOL <= hello.protocol_max:
            raise Refused(
                Reason.PROTOCOL,
                f"the agent speaks protocol {hello.protocol_min} to {hello.protocol_max}, this server {PROTOCOL}",
            )
        return hello

    def _stream(self, context: _Context, wrap: Callable[[dict[str, Any]], Any]) -> Stream:
        async def read() -> bytes | None:
            frame = await context.read()
            return frame if isinstance(frame, bytes) else None

        async def write(frame: bytes) -> None:
            try:
                await context.write(frame)
            except grpc.aio.InternalError as error:  # the call is over, and nobody has read its end yet
                raise LinkLost(_BROKEN_OFF) from error

        return Stream(
            read,
            write,
            self._settings,
            heartbeat=lambda: bytes(wrap({"heartbeat": heartbeat()}).SerializeToString()),
            goodbye=lambda refusal: bytes(wrap({"goodbye": goodbye(refusal)}).SerializeToString()),
        )

    def _pushing(self, cluster: str, change: int) -> None:
        """An agent that changes its certificate has two for a moment."""
        self._pushes[cluster] = self._pushes.get(cluster, 0) + change
        self._metrics.set("relay_push_clients_connected", int(self._pushes[cluster] > 0), cluster=cluster)

    def _connected(self, cluster: str, change: int) -> None:
        self._pulls[cluster] = self._pulls.get(cluster, 0) + change
        self._metrics.set("relay_pull_clients_connected", self._pulls[cluster], cluster=cluster)

    def _count(self, stream: Stream, cluster: str, type_: str) -> None:
        self._metrics.add("relay_bytes_total", stream.bytes_in, cluster=cluster, direction="in", type=type_)
        self._metrics.add("relay_bytes_total", stream.bytes_out, cluster=cluster, direction="out", type=type_)


@asynccontextmanager
async def serve(
    ingest: Ingest,
    publisher: Publisher,
    *,
    address: str = "127.0.0.1:0",
    settings: RelaySettings | None = None,
    metrics: Metrics | None = None,
    observe: Callable[[LinkLost, str, str], None] = lambda _lost, _cluster, _peer: None,
    door: identity.Door | None = None,
    bootstrap: Bootstrap | None = None,
    ended: Callable[[str, str, str], None] = lambda _cluster, _peer, _why: None,
) -> AsyncIterator[RelayServer]:
    """Listen on `address`, without a door in plaintext. `observe(why, cluster, peer)` hears of every stream that ended,
    `ended(cluster, peer, why)` of those with facts, also of ones that were not let in.

    Raises CannotListen.
    """
    chosen = settings or RelaySettings()
    door = door or identity.Plaintext()
    relay = RelayServer(ingest, publisher, chosen, metrics or NoMetrics(), observe, door, ended)
    server = grpc.aio.server(options=[*chosen.channel_options(), ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((relay.handlers(), *([bootstrap.handlers()] if bootstrap else [])))
    credentials = door.credentials()
    try:
        relay.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise CannotListen("relay_address", address, "it is in use, or not of this machine") from error
    await server.start()
    try:
        yield relay
    finally:
        await relay.drain()
        await server.stop(0)
