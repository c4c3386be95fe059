"""A peer that says whatever it likes: bytes on real streams of the relay, and on bare connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from fingerpost.relay.reasons import Reason
from fingerpost.relay.settings import PROTOCOL
from fingerpost.relay.v1 import relay_pb2 as pb
from tests.unit.relay.support import FAST

PUSH, PULL = "/fingerpost.relay.v1.Relay/Push", "/fingerpost.relay.v1.Relay/Pull"


class RawPeer:
    """The agent's end of streams, frame by frame."""

    def __init__(self, channel: grpc.aio.Channel, cluster: str) -> None:
        self._channel, self._cluster = channel, cluster

    def hello(self, digests: Sequence[pb.TypeDigest] = ()) -> pb.Hello:
        return pb.Hello(protocol_min=PROTOCOL, protocol_max=PROTOCOL, cluster=self._cluster, digests=digests)

    def open(self, method: str) -> Any:
        return self._channel.stream_stream(method, None, None)(metadata=(("x-cluster-id", self._cluster),))

    async def greeted(self, method: str, digests: Sequence[pb.TypeDigest] = ()) -> Any:
        """An open stream on which both Hellos are said."""
        call = self.open(method)
        request, response = _messages(method)
        await call.write(request(hello=self.hello(digests)).SerializeToString())
        assert response.FromString(await call.read()).WhichOneof("body") == "hello_ack"
        return call

    async def sent(self, method: str, *frames: bytes) -> pb.Goodbye | grpc.StatusCode:
        """What a server says to these frames after a Hello: its Goodbye, or how it broke the stream off."""
        call = await self.greeted(method)
        return await last_word(call, method, frames)


async def last_word(call: Any, method: str, frames: Sequence[bytes]) -> pb.Goodbye | grpc.StatusCode:
    _, response = _messages(method)

    async def write() -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it has ended meanwhile
            for frame in frames:
                await call.write(frame)

    writing = asyncio.create_task(write())
    try:
        async with asyncio.timeout(20):
            while (frame := await call.read()) is not grpc.aio.EOF:
                message = response.FromString(frame)
                if message.WhichOneof("body") == "goodbye":
                    goodbye: pb.Goodbye = message.goodbye
                    return goodbye
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # how it ended is asked below
    finally:
        call.cancel()
        await asyncio.wait([writing])  # a write that is under way then ends as a cancelled one
    code: grpc.StatusCode = await call.code()
    return code


def is_refusal(said: pb.Goodbye | grpc.StatusCode, *words: str) -> bool:
    return (
        isinstance(said, pb.Goodbye)
        and said.reason == Reason.PROTOCOL
        and all(word in said.message for word in words)
        and said.message.isprintable()
        and len(said.message) <= 1000
    )


def _messages(method: str) -> tuple[Any, Any]:
    return (pb.PushRequest, pb.PushResponse) if method == PUSH else (pb.PullRequest, pb.PullResponse)


@asynccontextmanager
async def raw_peer(port: int, cluster: str = "east") -> AsyncIterator[RawPeer]:
    options = list((dict(FAST.channel_options()) | {"grpc.max_send_message_length": -1}).items())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield RawPeer(channel, cluster)
