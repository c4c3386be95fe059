"""Agents reduced to their relay: facts up, desired state down and put together, nothing served. What a server costs and
how fast it is with many agents can then be measured on few cores.

They tell what `AgentGroup` tells, and on demand what has moved since the last time they were asked.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Never

import msgspec
import yaml

from agent.discovery.kinds import SERVICE
from agent.discovery.world import Derived, World
from agent.relay.desired import DesiredState, Key
from agent.relay.facts import Fact
from agent.relay.link import AgentIdentity, AgentLink
from agent.relay.pull import Pull
from agent.relay.push import Push
from bench import world
from bench.offline import brought
from bench.processes import obey
from fingerpost import __version__
from fingerpost.cluster.protocol import Change
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.interest import Interest
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.reasons import LinkLost
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.v1 import relay_pb2 as pb

_TOLD_AFTER = 0.05
_LOOK = 0.01
_SERVICE_FACTS = "fingerpost.dev/ServiceFacts"


class Moved(msgspec.Struct):
    """What went over the relay: facts with their bodies, removed facts, pieces with their bodies, and removed
    resources.
    """

    facts: int = 0
    facts_removed: int = 0
    pieces: int = 0
    resources_removed: int = 0
    contributions: set[str] = msgspec.field(default_factory=set)

    def add(self, other: Moved) -> None:
        self.facts += other.facts
        self.facts_removed += other.facts_removed
        self.pieces += other.pieces
        self.resources_removed += other.resources_removed
        self.contributions |= other.contributions


class _CountedPush(Push):
    moved = Moved()

    def produce(self) -> bytes | None:
        frame = super().produce()
        if frame is not None:
            delta = pb.PushRequest.FromString(frame).delta
            self.moved.facts += len(delta.upsert)
            self.moved.facts_removed += len(delta.remove)
        return frame


class _CountedPull(Pull):
    moved = Moved()

    def receive(self, frame: bytes) -> None:
        message = pb.PullResponse.FromString(frame)
        for piece in (*message.delta.pieces, *message.pieces.pieces):
            self.moved.pieces += 1
            self.moved.contributions.add(piece.contribution)
        super().receive(frame)


class _Agent:
    """`offered(cluster, version)` hears of every version that is complete here."""

    def __init__(self, root: Path, cluster: str, port: int, offered: Callable[[str, int], None]) -> None:
        self.cluster, self._root, self._offered = cluster, root, offered
        self.go = asyncio.Event()
        self.moved = Moved()
        self.in_step_at = 0  # unix nanoseconds; 0: not now, it is looked for
        settings = RelaySettings()
        self._world = World(cluster, b"k" * 32)
        self._desired = DesiredState(self._on_version)
        self.pull = _CountedPull(self._desired, self._on_interest)
        self.push = _CountedPush(settings, self._relist)
        self.pull.moved = self.push.moved = self.moved
        identity = AgentIdentity(cluster=cluster, cluster_uid=f"uid-{cluster}", instance=cluster, version=__version__)
        self.link = AgentLink(f"127.0.0.1:{port}", identity, self.push, self.pull, settings, self._lost)

    def list(self) -> None:
        """All of the cluster's folder, anew."""
        changes = [
            Change(*brought(self.cluster, obj))
            for file in sorted((self._root / self.cluster).glob("*.yaml"))
            for obj in _objects(file.read_text())
        ]
        spaces = {change.key.namespace for change in changes}
        changes += [Change(*brought(self.cluster, world.namespace(name))) for name in sorted(spaces)]
        self._tell(self._world.apply(changes, listed=True))
        self.push.complete({SERVICE, _SERVICE_FACTS, *(key.type for key in self._world.facts)})

    def _lost(self, _why: LinkLost, _pause: float) -> None:
        self.in_step_at = 0

    def look(self) -> None:
        """Note the moment from which on both sides agree: until the link is lost, or something moves."""
        if self.in_step_at:
            return
        agreed = self.pull.connected and self.push.in_step and not self._desired.wants
        agreed = agreed and not any(s.work or s.waiting or s.resyncing for s in self._desired.scopes.values())
        if agreed:
            self.in_step_at = time.time_ns()

    async def _relist(self, types: tuple[str, ...]) -> None:
        self.list()

    def _tell(self, derived: Derived) -> None:
        self.in_step_at = 0
        self.push.update(Fact(key.type, key.namespace, key.name, body) for key, body in derived.facts)

    def _on_interest(self, interest: Interest, digest: bytes) -> None:
        self._tell(self._world.set_interest(interest.secrets, interest.label_keys, interest.services))
        self.push.answered(digest)

    def _on_version(
        self,
        scope: str,
        version: int,
        changed: Mapping[Key, PieceList | None],
        keep: Mapping[str, str],
        confirmed: bool,
        seen_unix_nanos: int,
    ) -> None:
        self.moved.resources_removed += sum(1 for pieces in changed.values() if pieces is None)
        self.in_step_at = 0
        self.pull.report(ScopeApplied(scope=scope, watermark=version))
        if scope:
            self._offered(self.cluster, version)


def bare_agents(root: Path, clusters: list[str], relay_port: int, pipe: Connection) -> None:
    """The main of an `AgentGroup`'s process. They connect when the pipe says ("go", clusters)."""
    import uvloop

    uvloop.run(_run(root, clusters, relay_port, pipe))


async def _run(root: Path, clusters: list[str], relay_port: int, pipe: Connection) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    told_later: list[tuple[str, str, int, int]] = []

    def tell() -> None:
        pipe.send(told_later[:])
        told_later.clear()

    def offered(cluster: str, version: int) -> None:
        if not told_later:
            loop.call_later(_TOLD_AFTER, tell)
        told_later.append(("offered", cluster, version, time.time_ns()))

    agents = [_Agent(root, cluster, relay_port, offered) for cluster in clusters]
    for agent in agents:
        agent.list()
    pipe.send(dict.fromkeys(clusters, (0, 0)))
    loop.add_reader(pipe.fileno(), lambda: _obey(pipe, agents, stop))
    os.set_blocking(pipe.fileno(), True)  # an answer may be larger than the pipe
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_when(agent.go, agent.link.run), name="bench.link") for agent in agents]
        tasks.append(group.create_task(_look(agents), name="bench.look"))
        await stop.wait()
        loop.remove_reader(pipe.fileno())
        for task in tasks:
            task.cancel()


def _obey(pipe: Connection, agents: Sequence[_Agent], stop: asyncio.Event) -> None:
    match word := pipe.recv():
        case ("go", clusters):
            for agent in agents:
                if agent.cluster in clusters:
                    agent.go.set()
        case "list":
            for agent in agents:
                agent.list()
        case "state":
            pipe.send(("state", {a.cluster: a.in_step_at for a in agents}, _taken(agents)))
        case _:
            obey(word, pipe, agents, stop)


@lru_cache
def _objects(text: str) -> tuple[dict[str, object], ...]:
    """Read once where many clusters have the same. Nobody changes them."""
    return tuple(yaml.load_all(text, Loader=yaml.CSafeLoader))


async def _when(go: asyncio.Event, run: Callable[[], Awaitable[Never]]) -> None:
    await go.wait()
    await run()


async def _look(agents: Sequence[_Agent]) -> Never:
    while True:
        for agent in agents:
            agent.look()
        await asyncio.sleep(_LOOK)


def _taken(agents: Sequence[_Agent]) -> Moved:
    total = Moved()
    for agent in agents:
        total.add(agent.moved)
        agent.moved = agent.pull.moved = agent.push.moved = Moved()
    return total
