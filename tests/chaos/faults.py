"""What goes wrong: each fault is begun and, some time later, ended. It says what it takes hold of, so that no two of
them pull at one thing.

A fault decides nothing by chance but through the random source that it is made with, and that before it begins: what
happens in a story depends on its seed alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import grpc

from fingerpost.relay.digest import SetDigest
from fingerpost.relay.v1 import relay_pb2 as pb
from tests.chaos.fleet import Fleet
from tests.chaos.manifests import GATEWAY
from tests.chaos.proxies import CDS, EDS, LDS, RDS

_RELAY = "/fingerpost.relay.v1.Relay"
_KINDS = {CDS: "cluster", EDS: "endpoints", LDS: "listener", RDS: "routes"}
_REDIS, _LINE, _AGENT, _SERVER, _ALL = "redis", "line", "agent", "server", "all"


class Fault:
    """`holds`: what no other fault may touch meanwhile; `lasts` seconds."""

    def __init__(self, fleet: Fleet, holds: frozenset[str], lasts: float, told: str) -> None:
        self.fleet, self.holds, self.lasts, self.told = fleet, holds, lasts, told

    async def inject(self) -> None:
        raise NotImplementedError

    async def heal(self) -> None:
        """Nothing to do where a fault is over at once."""

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.told}".strip()


# ---------------------------------------------------------------- on the road


class Cut(Fault):
    """The connection is cut at any byte of what moves next (M-20)."""

    def __init__(self, fleet: Fleet, cluster: str, after: int) -> None:
        super().__init__(fleet, frozenset({f"{_LINE} {cluster}"}), 0.3, f"{cluster} after {after} bytes")
        self._wire, self._after = cluster, after

    async def inject(self) -> None:
        wire = self.fleet.wires[self._wire]
        if self._after:
            wire.cut_after = self._after
        else:
            wire.cut()

    async def heal(self) -> None:
        if self.fleet.wires[self._wire].cut_after is not None:
            self.fleet.wires[self._wire].cut()


class Lose(Fault):
    """Messages are lost on purpose (M-13). What no later message brings to light comes to light at the next Hello."""

    def __init__(self, fleet: Fleet, cluster: str, count: int) -> None:
        super().__init__(fleet, frozenset({f"{_LINE} {cluster}"}), 1.0, f"{cluster} {count}")
        self._cluster, self._count = cluster, count

    async def inject(self) -> None:
        self.fleet.lines.of[self._cluster].losing = self._count

    async def heal(self) -> None:
        self.fleet.lines.of[self._cluster].losing = 0
        self.fleet.wires[self._cluster].cut()


class EmptySnapshot(Fault):
    """A server that has lost its wits says that nothing is wanted any more (M-50)."""

    def __init__(self, fleet: Fleet, cluster: str, gone: bool) -> None:
        told = f"{cluster}, {'gateway gone' if gone else 'all removed'}"
        super().__init__(fleet, frozenset({f"{_LINE} {cluster}"}), 0.7, told)
        self._cluster, self._gone = cluster, gone

    async def inject(self) -> None:
        line, proxy = self.fleet.lines.of[self._cluster], self.fleet.proxies[self._cluster]
        empty = pb.ScopeDelta(scope=GATEWAY, config_version=line.version + 1, version_end=True)
        if self._gone:
            empty.gone = True
        else:
            empty.after, empty.set_keep = SetDigest().total, True
            for type_url, kind in _KINDS.items():
                empty.remove.extend(pb.ResourceDigest(type=kind, name=name) for name in proxy.held[type_url])
        line.forge(empty)

    async def heal(self) -> None:
        self.fleet.lines.of[self._cluster].unforge()
        self.fleet.wires[self._cluster].cut()


class Stale(Fault):
    """A server of yesterday answers: it says less than what the agent has seen (M-17)."""

    def __init__(self, fleet: Fleet, cluster: str) -> None:
        super().__init__(fleet, frozenset({f"{_LINE} {cluster}"}), 0.6, cluster)
        self._cluster = cluster

    async def inject(self) -> None:
        self.fleet.lines.of[self._cluster].stale = True
        self.fleet.wires[self._cluster].cut()

    async def heal(self) -> None:
        self.fleet.lines.of[self._cluster].stale = False
        self.fleet.wires[self._cluster].cut()


class Flood(Fault):
    """Somebody sends as fast as it goes: streams of strangers, facts before Hello, and bytes that are no HTTP/2."""

    def __init__(self, fleet: Fleet, server: int, streams: int) -> None:
        super().__init__(fleet, frozenset({"flood"}), 1.0, f"server {server}, {streams} streams")
        self._port, self._streams = fleet.ports[server], streams
        self._work: list[asyncio.Task[None]] = []

    async def inject(self) -> None:
        for n in range(self._streams):
            work = self._noise() if n % 4 == 3 else self._stream("Pull" if n % 4 == 2 else "Push", n)
            self._work.append(asyncio.create_task(work, name="flood"))

    async def heal(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.wait(self._work)

    async def _stream(self, method: str, number: int) -> None:
        who = f"stranger{number}"
        request: Any = pb.PushRequest if method == "Push" else pb.PullRequest
        hello = pb.Hello(protocol_min=1, protocol_max=1, cluster=who, cluster_uid=who, instance=who, role="leader")
        delta = pb.PushRequest(delta=pb.Delta(seq=1, type="v1/Service", last=True)).SerializeToString()
        while True:
            with suppress(grpc.RpcError, asyncio.InvalidStateError):
                async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options=_APART) as channel:
                    call: Any = channel.stream_stream(f"{_RELAY}/{method}", None, None)(
                        None, metadata=(("x-cluster-id", who),)
                    )
                    if number % 2 == 0:
                        await call.write(request(hello=hello).SerializeToString())
                    for _ in range(200):
                        await call.write(delta)
            await asyncio.sleep(0.01)

    async def _noise(self) -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
                await writer.drain()
                writer.transport.abort()
            await asyncio.sleep(0.01)


_APART = (("grpc.use_local_subchannel_pool", 1),)


# ---------------------------------------------------------------- agents


class AgentKilled(Fault):
    """SIGKILL, and started again; with `alone` it finds no server for a while (M-9)."""

    def __init__(self, fleet: Fleet, cluster: str, alone: bool) -> None:
        holds = frozenset({f"{_AGENT} {cluster}", f"{_LINE} {cluster}"})
        super().__init__(fleet, holds, 2.5 if alone else 0.3, f"{cluster}{' with no server' if alone else ''}")
        self._cluster, self._alone = cluster, alone

    async def inject(self) -> None:
        agent = self.fleet.agents[self._cluster]
        agent.kill()
        if self._alone:
            self.fleet.wires[self._cluster].block()
            agent.start()

    async def heal(self) -> None:
        self.fleet.wires[self._cluster].open()
        self.fleet.agents[self._cluster].start()


class AgentFrozen(Fault):
    """It stops reading (M-14), for longer or shorter than its heartbeats are missed."""

    def __init__(self, fleet: Fleet, cluster: str, lasts: float) -> None:
        holds = frozenset({f"{_AGENT} {cluster}", f"{_LINE} {cluster}"})
        super().__init__(fleet, holds, lasts, f"{cluster} for {lasts:.1f} s")
        self._cluster = cluster

    async def inject(self) -> None:
        self.fleet.agents[self._cluster].freeze()

    async def heal(self) -> None:
        self.fleet.agents[self._cluster].thaw()


# ---------------------------------------------------------------- servers


class ServerKilled(Fault):
    """SIGKILL within milliseconds after an edit: in the middle of a translation, or of a write to Redis."""

    def __init__(self, fleet: Fleet, server: int, after: float) -> None:
        super().__init__(
            fleet, frozenset({f"{_SERVER} {server}"}), 0.3, f"{server}, {after * 1000:.0f} ms after an edit"
        )
        self._server, self._after = server, after
        self.edit: Callable[[], None] = lambda: None

    async def inject(self) -> None:
        self.edit()
        await asyncio.sleep(self._after)
        self.fleet.servers[self._server].kill()

    async def heal(self) -> None:
        self.fleet.servers[self._server].start()


class ServerFrozen(Fault):
    def __init__(self, fleet: Fleet, server: int, lasts: float) -> None:
        super().__init__(fleet, frozenset({f"{_SERVER} {server}"}), lasts, f"{server} for {lasts:.1f} s")
        self._server = server

    async def inject(self) -> None:
        self.fleet.servers[self._server].freeze()

    async def heal(self) -> None:
        self.fleet.servers[self._server].thaw()


# ---------------------------------------------------------------- Redis


class RedisKilled(Fault):
    """And back with all it had (M-43), with nothing, or as it was some time ago."""

    def __init__(self, fleet: Fleet, back: str, lasts: float) -> None:
        super().__init__(fleet, frozenset({_REDIS}), lasts, f"and back {back}")
        self._back = back

    async def inject(self) -> None:
        self.fleet.redis.kill()

    async def heal(self) -> None:
        if self._back == "empty":
            self.fleet.empty_redis()
        elif self._back == "old":
            self.fleet.age_redis()
            self.fleet.checker.forget()
        self.fleet.redis.start()


class RedisForgets(Fault):
    """FLUSHALL (M-39)."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet, frozenset({_REDIS}), 0.1, "")

    async def inject(self) -> None:
        await self.fleet.tell_redis("FLUSHALL")


class RedisFull(Fault):
    def __init__(self, fleet: Fleet, lasts: float) -> None:
        super().__init__(fleet, frozenset({_REDIS}), lasts, f"for {lasts:.1f} s")

    async def inject(self) -> None:
        await self.fleet.tell_redis("CONFIG", "SET", "maxmemory", 1)

    async def heal(self) -> None:
        await self.fleet.tell_redis("CONFIG", "SET", "maxmemory", 0)


class BothKilled(Fault):
    """Server and Redis at once (M-41), Redis back full or empty."""

    def __init__(self, fleet: Fleet, server: int, back: str) -> None:
        super().__init__(fleet, frozenset({_REDIS, f"{_SERVER} {server}"}), 0.4, f"server {server}, back {back}")
        self._server, self._back = server, back

    async def inject(self) -> None:
        self.fleet.servers[self._server].kill()
        self.fleet.redis.kill()

    async def heal(self) -> None:
        if self._back == "empty":
            self.fleet.empty_redis()
        self.fleet.redis.start()
        self.fleet.servers[self._server].start()


# ---------------------------------------------------------------- which, and how often


class Kind(NamedTuple):
    weight: int
    name: str
    make: Callable[[Fleet, Random], Fault]


def kinds(fleet: Fleet, only: Collection[str] = ()) -> list[Kind]:
    """Those that cost a start of a process are rarer. `only`: names of classes; none: all."""
    clusters, servers = fleet.world.clusters, range(len(fleet.servers))

    def bytes_(r: Random) -> int:
        return r.choice((0, r.randrange(1, 300), r.randrange(1, 20000)))

    def moment(r: Random) -> float:
        return r.choice((0.0, r.random() * 0.03))

    every = [
        Kind(30, "Cut", lambda f, r: Cut(f, r.choice(clusters), bytes_(r))),
        Kind(18, "Lose", lambda f, r: Lose(f, r.choice(clusters), r.randint(1, 4))),
        Kind(10, "EmptySnapshot", lambda f, r: EmptySnapshot(f, r.choice(clusters), r.random() < 0.5)),
        Kind(10, "Stale", lambda f, r: Stale(f, r.choice(clusters))),
        Kind(4, "Flood", lambda f, r: Flood(f, r.choice(servers), r.randint(4, 12))),
        Kind(4, "AgentKilled", lambda f, r: AgentKilled(f, r.choice(clusters), r.random() < 0.4)),
        Kind(6, "AgentFrozen", lambda f, r: AgentFrozen(f, r.choice(clusters), r.choice((0.5, 1.5, 4.0)))),
        Kind(3, "ServerKilled", lambda f, r: ServerKilled(f, r.choice(servers), moment(r))),
        Kind(3, "ServerFrozen", lambda f, r: ServerFrozen(f, r.choice(servers), r.choice((0.3, 1.0, 4.0)))),
        Kind(5, "RedisKilled", lambda f, r: RedisKilled(f, r.choice(("full", "empty", "old")), r.choice((0.1, 1.0)))),
        Kind(5, "RedisForgets", lambda f, _: RedisForgets(f)),
        Kind(4, "RedisFull", lambda f, r: RedisFull(f, r.choice((0.3, 1.5)))),
        Kind(2, "BothKilled", lambda f, r: BothKilled(f, r.choice(servers), r.choice(("full", "empty")))),
    ]
    return [kind for kind in every if not only or kind.name in only]
