"""A story: edits and faults at moments that depend on the seed alone, in rounds that end with a quiet in which all has
to be right. Its log says what happened when; the same seed tells the same story.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.chaos.checker import Checker
from tests.chaos.edits import Edit, Users
from tests.chaos.faults import Fault, Kind, ServerKilled, kinds
from tests.chaos.fleet import Fleet, running_fleet
from tests.chaos.folders import Folders
from tests.chaos.manifests import Clusters
from tests.chaos.world import World
from tests.fleet.fleet_network import until

_ROUND = 40  # faults between two quiets
EVERY = 0.13  # seconds from one fault to the next, on average
_EDITS = 1.5  # for each fault
_PATIENCE = 45.0  # seconds in which a fleet must come to rest
_ABSENCE = 4  # every so many rounds
_TRIES = 20  # to find a fault that takes hold of nothing that another one holds


class Step(NamedTuple):
    """At `at` seconds of the round; `order` keeps equal moments apart."""

    at: float
    order: int
    kind: str  # edit | inject | heal
    fault: Fault | None


class Outcome(NamedTuple):
    seed: int
    faults: int
    edits: int
    false_deletes: int
    rollbacks: int
    lost_inputs: int
    leftovers: int
    converged: bool
    looks: int
    seconds: float
    kinds: dict[str, int]
    findings: tuple[str, ...]

    @property
    def good(self) -> bool:
        wrong = self.false_deletes + self.rollbacks + self.lost_inputs + self.leftovers
        return self.converged and not wrong


class Log:
    """One JSON line for each thing that happens."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w")
        self.began = time.monotonic()

    def write(self, what: str, **fields: object) -> None:
        line = {"at": round(time.monotonic() - self.began, 3), "what": what} | fields
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def schedule(fleet: Fleet, random: Random, chances: list[Kind], faults: int, every: float) -> Iterator[Step]:
    """The steps of one round in their order."""
    order, at = 0, 0.0
    steps: list[Step] = []
    free_at: dict[str, float] = {}
    for _ in range(faults):
        at += random.expovariate(1 / every)
        for _ in range(_TRIES):
            fault = random.choices(chances, [k.weight for k in chances])[0].make(fleet, random)
            if all(free_at.get(held, 0.0) <= at for held in fault.holds):
                break
            at += 0.05
        else:
            at = max(free_at.get(held, 0.0) for held in fault.holds)
        for held in fault.holds:
            free_at[held] = at + fault.lasts + 0.05
        order += 2
        heapq.heappush(steps, Step(at, order, "inject", fault))
        heapq.heappush(steps, Step(at + fault.lasts, order + 1, "heal", fault))
    for _ in range(int(faults * _EDITS)):
        order += 1
        heapq.heappush(steps, Step(random.uniform(0.0, at), 10**6 + order, "edit", None))
    while steps:
        yield heapq.heappop(steps)


class Story:
    def __init__(
        self,
        fleet: Fleet,
        checker: Checker,
        seed: int,
        log: Log,
        tell: Callable[[str], None],
        chances: Callable[[Fleet], list[Kind]],
        every: float,
    ) -> None:
        self._chances, self._every = chances(fleet), every
        self._fleet, self._checker, self._seed, self._log, self._tell = fleet, checker, seed, log, tell
        self._random = Random(seed)
        self._users = Users(fleet.world, fleet.manifests, Random(f"edits {seed}"))
        self._counts: Counter[str] = Counter()
        self.edits = 0
        self._told = 0

    async def begin(self) -> bool:
        for edit in self._users.first():
            self._write(edit)
        return await self._quiet("the beginning")

    async def run(self, faults: int) -> bool:
        """False as soon as a quiet was not quiet, or something was found."""
        done = 0
        while done < faults:
            count = min(_ROUND, faults - done)
            await self._round(schedule(self._fleet, self._random, self._chances, count, self._every))
            done += count
            if not await self._quiet(f"{done} faults"):
                return False
            self._fleet.keep_redis()
            if done // _ROUND % _ABSENCE == 1 and not await self._absence(
                self._random.choice(self._fleet.world.clusters)
            ):
                return False
        return True

    async def _absence(self, cluster: str) -> bool:
        """What an agent has told and the server has acknowledged as stored outlives the agent, all servers and Redis
        (M-43): the other gateways go on with it, and serve it after all that is forgotten but what was on disk.
        """
        fleet, others = self._fleet, tuple(c for c in self._fleet.world.clusters if c != cluster)
        self._write(self._users.told_by(cluster))
        if not await fleet.converged(_PATIENCE):
            return await self._quiet("an edit")
        told = time.monotonic()
        await until(lambda: fleet.lines.of[cluster].stored_until >= told, _PATIENCE, "Stored")
        killed = [fleet.agents[cluster], *fleet.servers, fleet.redis]
        self._log.write("absence", cluster=cluster)
        self._counts["Absence"] += 1
        for part in killed:
            part.kill()
        for part in killed[1:]:
            part.start()
        self._write(self._users.told_by(others[0]))
        return await self._quiet(f"{cluster} away, everything else restarted", others)

    async def _round(self, steps: Iterator[Step]) -> None:
        began = time.monotonic()
        for step in steps:
            await asyncio.sleep(max(0.0, step.at - (time.monotonic() - began)))
            if step.fault is None:
                self._edit()
                continue
            self._log.write(step.kind, fault=str(step.fault), due=round(step.at, 3))
            if step.kind == "inject":
                self._counts[type(step.fault).__name__] += 1
                if isinstance(step.fault, ServerKilled):
                    step.fault.edit = self._edit
                await step.fault.inject()
            else:
                await step.fault.heal()
            self._note()

    def _edit(self) -> None:
        self._write(self._users.edit())

    def _write(self, edit: Edit) -> None:
        self.edits += 1
        self._checker.edited()
        edit.write()
        self._log.write("edit", edit=edit.what)

    async def _quiet(self, after: str, only: tuple[str, ...] = ()) -> bool:
        """Whether everything comes to what it has to be; with `only`, at these gateways."""
        if not only:
            self._fleet.restart_all()
        began = time.monotonic()
        rested = await self._fleet.converged(_PATIENCE, only)
        self._note()
        if rested and not only:
            self._checker.rested()
        if not rested:
            self._checker.conclude(only)
            self._note()
            if words := self._fleet.died():
                self._tell(words)
            cut_off = [c for c, proxy in self._fleet.proxies.items() if not proxy.connected]
            self._tell(f"not at rest {_PATIENCE:g} s after {after}; proxies that are cut off: {cut_off or 'none'}")
            for cluster in self._checker.differences(only):
                self._log.write("excuse", cluster=cluster, told=await self._fleet.excuses(cluster))
        took = time.monotonic() - began
        protected = round(self._checker.protected(), 2)
        self._log.write("quiet", after=after, rested=rested, seconds=round(took, 2), protected=protected)
        self._tell(f"{after}, {self.edits} edits: at rest after {took:.1f} s, {len(self._checker.findings)} findings")
        return rested

    def _note(self) -> None:
        for finding in self._checker.findings[self._told :]:
            told = self._fleet.proxies[finding.cluster].told(self._log.began)
            self._log.write("finding", finding=str(finding), told=told)
            self._tell(f"FOUND {finding}")
        self._told = len(self._checker.findings)

    def outcome(self, rested: bool, seconds: float) -> Outcome:
        count = self._checker.count
        return Outcome(
            seed=self._seed,
            faults=self._counts.total(),
            edits=self.edits,
            false_deletes=count("false_delete"),
            rollbacks=count("rollback"),
            lost_inputs=count("lost_input"),
            leftovers=count("leftover"),
            converged=rested,
            looks=self._checker.looks,
            seconds=round(seconds, 1),
            kinds=dict(sorted(self._counts.items())),
            findings=tuple(str(f) for f in self._checker.findings),
        )


async def tell_story(
    root: Path,
    *,
    seed: int,
    faults: int,
    clusters: int = 10,
    servers: int = 1,
    agent: str = "agent",
    chances: Callable[[Fleet], list[Kind]] = kinds,
    every: float = EVERY,
    source: Clusters | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """`agent` is the module of the agents' processes; `source` where the clusters `names(clusters)` are, folders when
    it is absent.
    """
    began = time.monotonic()
    world = World(names(clusters))
    checker = Checker(world)
    source = source or Folders(root / "clusters")
    async with running_fleet(root, world, checker, source, servers, agent) as fleet:
        story = Story(fleet, checker, seed, Log(root / "story.jsonl"), tell, chances, every)
        rested = await story.begin() and await story.run(faults)
        return story.outcome(rested, time.monotonic() - began)


def names(clusters: int) -> tuple[str, ...]:
    return tuple(f"c{n}" for n in range(clusters))
