"""The road of each agent to the servers: a relay of its own that sees every message, in front of it a wire that can be
cut at any byte. Stands also for the Service that spreads agents over the servers.

Both see the relay in plaintext, and know its messages: they lose, forge and note what a fault asks for.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc

from fingerpost.relay.v1 import relay_pb2 as pb
from tests.fleet.fleet_network import listening

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs do not have it
_SERVICE = "fingerpost.relay.v1.Relay"
_MESSAGE_LIMIT = 8 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.so_reuseport", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
)


class Wire:
    """TCP to `target`. `cut_after`: so many bytes still pass, then both sides are reset."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self.cut_after: int | None = None
        self._blocked = False
        self._transports: set[asyncio.WriteTransport] = set()

    def block(self) -> None:
        """Nobody gets through until `open`."""
        self._blocked = True
        self.cut()

    def open(self) -> None:
        self._blocked = False

    def cut(self) -> None:
        self.cut_after = None
        for transport in list(self._transports):
            transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._blocked:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer.transport, far_writer.transport}
        self._transports |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, far_writer), name="wire.up")
                group.create_task(self._copy(far_reader, writer), name="wire.down")
        finally:
            self._transports -= ends

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if self.cut_after is not None:
                    data, self.cut_after = data[: self.cut_after], self.cut_after - len(data)
                writer.write(data)
                await writer.drain()
                if self.cut_after is not None and self.cut_after <= 0:
                    self.cut()
                    return
        writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Wire]:
        async with listening(self._join, self.cut) as self.port:
            yield self


class Line:
    """What happens to the messages of one agent."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.losing = 0  # so many of the next messages with facts or desired state are lost
        self.lost = 0
        self.stale = False  # the server seems to be of yesterday
        self.version = 0  # the highest that the agent was told
        self._sent: deque[tuple[int, float]] = deque()  # facts that the server has not said to be in Redis, and when
        self._owed: float | None = None  # the same of streams before this one: the earliest
        self._pulls: set[_Pull] = set()

    def forge(self, body: pb.ScopeDelta) -> None:
        """As if the server had said so, on the present streams."""
        for pull in list(self._pulls):
            pull.forged.append(body)

    def unforge(self) -> None:
        for pull in self._pulls:
            pull.forged.clear()

    def up(self, method: str, frame: bytes) -> bool:
        """False: it is lost."""
        if method != "Push":
            return True
        request = pb.PushRequest.FromString(frame)
        kind = request.WhichOneof("body")
        if kind == "hello" and self._sent:
            self._owed = min(self._sent[0][1], self._owed or self._sent[0][1])
            self._sent.clear()
        if kind != "delta":
            return True
        if self._loses():
            return False
        self._sent.append((request.delta.seq, time.monotonic()))
        return True

    @property
    def stored_until(self) -> float:
        """All facts that were sent before this moment are in Redis, by the server's own word."""
        return self._owed or (self._sent[0][1] if self._sent else time.monotonic())

    def down(self, method: str, frame: bytes, pull: _Pull) -> list[bytes]:
        if method == "Push":
            response = pb.PushResponse.FromString(frame)
            if response.WhichOneof("body") == "stored":
                self._stored(response.stored.seq)
            return [frame]
        message = pb.PullResponse.FromString(frame)
        kind = message.WhichOneof("body")
        if kind == "delta":
            self.version = max(self.version, message.delta.config_version)
            pull.between = message.delta.version_end
        if kind == "hello_ack" and self.stale:
            message.hello_ack.config_version = 1
            return [message.SerializeToString()]
        if kind == "hello_ack":
            self.version = max(self.version, message.hello_ack.config_version)
        if kind in ("delta", "pieces") and self._loses():
            return []
        out = [frame]
        if pull.between and message.seq:
            pull.seq = message.seq
            while pull.forged:
                pull.seq += 1
                out.append(pb.PullResponse(delta=pull.forged.pop(0), seq=pull.seq).SerializeToString())
        return out

    def _loses(self) -> bool:
        if not self.losing:
            return False
        self.losing -= 1
        self.lost += 1
        return True

    def _stored(self, seq: int) -> None:
        while self._sent and self._sent[0][0] <= seq:
            self._sent.popleft()
        if not self._sent:
            self._owed = None

    @asynccontextmanager
    async def pulling(self, pull: _Pull) -> AsyncIterator[None]:
        self._pulls.add(pull)
        try:
            yield
        finally:
            self._pulls.discard(pull)


class _Pull:
    """One stream: what is to be slipped in where a version has ended."""

    def __init__(self) -> None:
        self.between, self.seq = True, 0
        self.forged: list[pb.ScopeDelta] = []


class Lines:
    """`ports` are those of the servers; one that does not answer is passed over."""

    def __init__(self, clusters: tuple[str, ...], ports: list[int]) -> None:
        self.of = {cluster: Line(cluster) for cluster in clusters}
        self._ports = ports
        self._home: dict[str, int] = {c: i for i, c in enumerate(clusters)}
        self.port = 0

    def move(self, cluster: str) -> None:
        """The next connection of this agent goes to another server."""
        self._home[cluster] += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Lines]:
        server = grpc.aio.server(options=_OPTIONS)
        methods = {name: grpc.stream_stream_rpc_method_handler(self._handler(name)) for name in ("Push", "Pull")}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0)

    def _handler(self, method: str) -> Any:
        async def carry(_requests: object, context: Any) -> None:
            metadata = tuple((k, v) for k, v in context.invocation_metadata() if k == "x-cluster-id")
            line = self.of[str(metadata[0][1])]
            port = await self._answering(self._home[line.cluster])
            pull = _Pull()
            async with (
                line.pulling(pull),
                grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel,
            ):
                call: Any = channel.stream_stream(f"/{_SERVICE}/{method}", None, None)(None, metadata=metadata)
                with suppress(grpc.RpcError, asyncio.InvalidStateError):
                    await self._both(line, method, call, context, pull)
                call.cancel()

        return carry

    @staticmethod
    async def _both(line: Line, method: str, call: Any, context: Any, pull: _Pull) -> None:
        async def up() -> None:
            while (frame := await context.read()) is not _EOF:
                if line.up(method, frame):
                    await call.write(frame)
            await call.done_writing()

        task = asyncio.create_task(up(), name="line.up")
        try:
            while (frame := await call.read()) is not _EOF:
                for passed in line.down(method, frame, pull):
                    await context.write(passed)
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # the other half has the better reason

    async def _answering(self, first: int) -> int:
        for n in range(len(self._ports)):
            port = self._ports[(first + n) % len(self._ports)]
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.transport.abort()
                return port
        return self._ports[first % len(self._ports)]
