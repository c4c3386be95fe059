"""The agent's link to the server: one HTTP/2 connection that carries Push and Pull, held for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Never

import grpc
import msgspec

from agent.relay.pull import Pull
from agent.relay.push import Push
from fingerpost.relay.link import keep_linked
from fingerpost.relay.messages import goodbye, heartbeat
from fingerpost.relay.reasons import LinkLost
from fingerpost.relay.settings import FEATURES, PROTOCOL, RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb

_PUSH, _PULL = "/fingerpost.relay.v1.Relay/Push", "/fingerpost.relay.v1.Relay/Pull"


# gRPC's errors of a broken stream: one thing to us, the link is lost.
_BROKEN = (grpc.RpcError, asyncio.InvalidStateError)


class AgentIdentity(msgspec.Struct, frozen=True, kw_only=True):
    cluster: str
    cluster_uid: str = ""
    instance: str = ""
    version: str = ""
    role: str = "leader"
    authority: str = "gloo-mesh-mgmt-server.gloo-mesh"


class AgentLink:
    """`run` never returns. `lost(why, pause)` hears of every loss."""

    def __init__(
        self,
        address: str,
        identity: AgentIdentity,
        push: Push,
        pull: Pull,
        settings: RelaySettings | None = None,
        lost: Callable[[LinkLost, float], None] = lambda _why, _pause: None,
    ) -> None:
        self._address, self._identity, self._push, self._pull = address, identity, push, pull
        self._settings, self._lost = settings or RelaySettings(), lost
        self.connections = 0
        self.bytes_in = 0
        self.bytes_out = 0

    async def run(self) -> Never:
        await keep_linked(self._connect, self._settings, self._lost)

    async def _connect(self) -> None:
        """One connection to its end; ends with LinkLost. A new channel resolves the server's name anew."""
        options = [*self._settings.channel_options(), ("grpc.default_authority", self._identity.authority)]
        async with grpc.aio.insecure_channel(self._address, options=options) as channel:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._push_once(channel), name="relay.push")
                    group.create_task(self._pull_once(channel), name="relay.pull")
            except BaseExceptionGroup as several:
                lost, bugs = several.split(LinkLost)
                if bugs is not None or lost is None:
                    raise
                raise lost.exceptions[0] from several

    async def _push_once(self, channel: grpc.aio.Channel) -> None:
        await self._push.ready()
        call, stream = self._open(channel, _PUSH, pb.PushRequest)
        try:
            await stream.say(self._push.begin(stream, self._hello()).SerializeToString())
            await stream.run(self._push.receive, self._push.produce)
        finally:
            self._push.end()
            self._count(call, stream)

    async def _pull_once(self, channel: grpc.aio.Channel) -> None:
        call, stream = self._open(channel, _PULL, pb.PullRequest)
        try:
            await stream.say(self._pull.begin(stream, self._hello()).SerializeToString())
            self.connections += 1
            await stream.run(self._pull.receive, self._pull.produce)
        finally:
            self._pull.end()
            self._count(call, stream)

    def _hello(self) -> pb.Hello:
        who = self._identity
        return pb.Hello(
            protocol_min=PROTOCOL,
            protocol_max=PROTOCOL,
            cluster=who.cluster,
            cluster_uid=who.cluster_uid,
            instance=who.instance,
            version=who.version,
            role=who.role,
            features=FEATURES,
        )

    def _open(self, channel: grpc.aio.Channel, method: str, request: Any) -> tuple[Any, Stream]:
        call: Any = channel.stream_stream(method, None, None)(
            None, metadata=(("x-cluster-id", self._identity.cluster),)
        )

        async def read() -> bytes | None:
            try:
                frame = await call.read()
            except _BROKEN as error:
                raise _lost(error) from error
            return frame if isinstance(frame, bytes) else None

        async def write(frame: bytes) -> None:
            try:
                await call.write(frame)
            except _BROKEN as error:
                raise _lost(error) from error

        async def half_close() -> None:
            try:
                await call.done_writing()
            except _BROKEN as error:
                raise _lost(error) from error

        stream = Stream(
            read,
            write,
            self._settings,
            heartbeat=lambda: bytes(request(heartbeat=heartbeat()).SerializeToString()),
            goodbye=lambda refusal: bytes(request(goodbye=goodbye(refusal)).SerializeToString()),
            half_close=half_close,
        )
        return call, stream

    def _count(self, call: Any, stream: Stream) -> None:
        call.cancel()
        self.bytes_in += stream.bytes_in
        self.bytes_out += stream.bytes_out


def _lost(error: BaseException) -> LinkLost:
    if isinstance(error, asyncio.InvalidStateError):
        return LinkLost("the stream is over")
    details = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
    return LinkLost(details or type(error).__name__)
