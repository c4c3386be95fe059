"""The agent's link to the server: one HTTP/2 connection that carries Push and Pull, held for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Never

import grpc
import msgspec
import structlog

from agent.relay.plaintext import Plaintext
from agent.relay.pull import Pull
from agent.relay.push import Push
from agent.relay.trust import Line, Trust
from fingerpost.relay.features import FEATURES
from fingerpost.relay.link import keep_linked
from fingerpost.relay.messages import goodbye, heartbeat
from fingerpost.relay.reasons import LinkLost
from fingerpost.relay.settings import PROTOCOL, RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb

log = structlog.get_logger()
_QUESTIONS = 1.0  # seconds
_PUSH, _PULL = "/fingerpost.relay.v1.Relay/Push", "/fingerpost.relay.v1.Relay/Pull"


# gRPC's errors of a broken stream: one thing to us, the link is lost.
_BROKEN = (grpc.RpcError, asyncio.InvalidStateError)


class AgentIdentity(msgspec.Struct, frozen=True, kw_only=True):
    cluster: str
    cluster_uid: str = ""
    instance: str = ""
    version: str = ""
    authority: str = "gloo-mesh-mgmt-server.gloo-mesh"


class _Heard:
    """That the server has answered a connection: each of its streams, where it has both."""

    def __init__(self) -> None:
        self.push, self.pull = asyncio.Event(), asyncio.Event()

    async def all(self) -> None:
        await self.push.wait()
        await self.pull.wait()


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
        trust: Trust | None = None,
    ) -> None:
        self._address, self._identity, self._push, self._pull = address, identity, push, pull
        self._settings, self._lost = settings or RelaySettings(), lost
        self._trust = trust or Plaintext()
        self._present: grpc.aio.Channel | None = None
        self.leads: Callable[[], bool] = lambda: True
        self._leading, self._demoted = True, asyncio.Event()
        self.connections = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._asked_at = 0.0

    @property
    def reached(self) -> bool:
        """There is a connection, whether the server answers on it or not."""
        return self._present is not None and self._present.get_state() is grpc.ChannelConnectivity.READY

    def waits(self) -> float:
        """Seconds for which a server that is reached has left the Hello without an answer: it lets agents wait whose
        cluster nobody has registered. 0 otherwise.
        """
        if not self.reached or self._pull.connected or not self._push.asks:
            return 0.0
        return asyncio.get_running_loop().time() - self._asked_at

    def role_changed(self) -> None:
        """Who leads now pushes over a second connection; who does no longer, ends the one it has."""
        if self.leads():
            self._trust.changed.set()
        else:
            self._demoted.set()

    async def run(self) -> Never:
        await keep_linked(self._connect, self._settings, self._lost)

    async def _connect(self) -> None:
        """To the end of the last of a row of connections; ends with LinkLost. Another one takes over from the present
        one when what it shows has changed: the server ends the former as soon as it has the Hello of the new one.
        """
        before = self.connections
        try:
            line = await self._trust.line()
            async with asyncio.TaskGroup() as group:
                heard, patience = _Heard(), self._settings.hello_timeout
                held = group.create_task(self._hold(self._channel(line), line, heard), name="relay.connection")
                while True:
                    await self._trust.changed.wait()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(patience):
                            await heard.all()  # else its Hello may come after that of the next one, and end that
                    if (fresh := await self._second()) is not None:
                        former, heard = held, _Heard()
                        held = group.create_task(self._hold(*fresh, heard), name="relay.connection")
                        await asyncio.wait([former], timeout=patience)
                        former.cancel()
        except BaseExceptionGroup as several:
            lost, bugs = several.split(LinkLost)
            if bugs is not None or lost is None:
                raise
            why = _first(lost)
            if self.connections == before and why.reason is None:
                why = await self._trust.explain(why)
            elif why.reason is not None:  # it spoke
                self._trust.finding = self._trust.away = None
            raise why from several

    async def _second(self) -> tuple[grpc.aio.Channel, Line] | None:
        """One that is through the handshake; None when it does not come about, and the present one goes on."""
        channel = None
        try:
            line = await self._trust.line()
            channel = self._channel(line)
            async with asyncio.timeout(self._settings.hello_timeout):
                await channel.channel_ready()
        except (LinkLost, TimeoutError) as wrong:
            if channel is not None:
                await channel.close(None)
            lost = wrong if isinstance(wrong, LinkLost) else await self._trust.explain(LinkLost("no handshake"))
            log.warning("relay.link.kept", reason=f"no second connection ({lost.message}); the first goes on")
            self._trust.changed.set()
            await asyncio.sleep(self._settings.retry_ceiling / 10)
            return None
        return channel, line

    def _channel(self, line: Line) -> grpc.aio.Channel:
        """A new channel resolves the server's name anew."""
        options = [
            *self._settings.channel_options(),
            ("grpc.default_authority", self._identity.authority),
            *line.options,
        ]
        if line.credentials is None:
            return grpc.aio.insecure_channel(self._address, options=options)
        return grpc.aio.secure_channel(self._address, line.credentials, options=options)

    async def _hold(self, channel: grpc.aio.Channel, line: Line, heard: _Heard) -> None:
        """One connection to its end."""
        self._present = channel
        self._pull.asked.clear()  # Push waits for what this connection asks, and may begin before Pull
        leads = self._leading = self.leads()
        self._demoted.clear()
        async with channel:
            try:
                async with asyncio.TaskGroup() as group:
                    if leads:
                        group.create_task(self._push_once(channel, line, heard.push), name="relay.push")
                        group.create_task(self._end_of_leading(), name="relay.role")
                    else:
                        heard.push.set()
                    group.create_task(self._pull_once(channel, line, heard.pull), name="relay.pull")
            except BaseExceptionGroup as several:
                lost, bugs = several.split(LinkLost)
                if bugs is not None or lost is None:
                    raise
                if self._present is channel:
                    raise _first(lost) from several

    async def _end_of_leading(self) -> Never:
        await self._demoted.wait()
        raise LinkLost("another agent of this cluster leads now")

    async def _push_once(self, channel: grpc.aio.Channel, line: Line, heard: asyncio.Event) -> None:
        await self._push.ready()
        await self._questions()
        if channel is not self._present:
            raise LinkLost("a newer connection has taken over")
        call, stream = self._open(channel, _PUSH, pb.PushRequest, line, heard)
        self._asked_at = asyncio.get_running_loop().time()
        try:
            await stream.say(self._push.begin(stream, self._hello()).SerializeToString())
            await stream.run(self._push.receive, self._push.produce)
        finally:
            self._push.end(stream)
            self._count(call, stream)

    async def _questions(self) -> None:
        """An agent tells nothing before it knows what it is asked about now: facts about those Services would be
        missing in what it announces, and the server would take them for gone. A server that lets it wait may not know
        of the cluster before it has heard of it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUESTIONS):
                await self._pull.asked.wait()

    async def _pull_once(self, channel: grpc.aio.Channel, line: Line, heard: asyncio.Event) -> None:
        call, stream = self._open(channel, _PULL, pb.PullRequest, line, heard)
        try:
            await stream.say(self._pull.begin(stream, self._hello()).SerializeToString())
            self.connections += 1
            self._trust.away = None  # it is reached, whatever was found before that
            await stream.run(self._pull.receive, self._pull.produce)
        finally:
            self._pull.end(stream)
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
            role="leader" if self._leading else "standby",
            features=FEATURES,
        )

    def _open(
        self, channel: grpc.aio.Channel, method: str, request: Any, line: Line, heard: asyncio.Event
    ) -> tuple[Any, Stream]:
        call: Any = channel.stream_stream(method, None, None)(
            None, metadata=(("x-cluster-id", self._identity.cluster), *line.metadata)
        )

        async def read() -> bytes | None:
            try:
                frame = await call.read()
            except _BROKEN as error:
                raise _lost(error) from error
            heard.set()
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


def _first(lost: BaseExceptionGroup[LinkLost]) -> LinkLost:
    first: BaseException = lost
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, LinkLost) else LinkLost(str(first))


def _lost(error: BaseException) -> LinkLost:
    if isinstance(error, asyncio.InvalidStateError):
        return LinkLost("the stream is over")
    details = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
    return LinkLost(details or type(error).__name__)
