"""Tells the story on Kubernetes, inside the network that the cluster tests have; ends with 0 only if all was as
expected. What it starts ends with it, since it is the first process of its namespace.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from demo.chapters.traffic import requests, weights
from demo.client import NoAnswer
from demo.ground import ROOT, STATES, lock_of
from demo.kube.chapters.changes import broken, edit
from demo.kube.chapters.commands import commands
from demo.kube.chapters.failover import failover
from demo.kube.chapters.installation import apply, first_answers, install, register
from demo.kube.chapters.outage import outage
from demo.kube.plane import Plane
from demo.kube.world import World, running_world
from demo.paper import Paper
from demo.waiting import NotInTime

_Chapter = Callable[[Plane, Paper], None]
_STORY: tuple[tuple[str, _Chapter], ...] = (
    ("Requests to the gateways of three clusters", requests),
    ("A weight split", weights),
    ("The nearest first; all carts of east gone, and back", failover),
    ("An edit, from the API server to the first right answer", edit),
    ("Broken objects", broken),
    ("The server's pod is killed, and comes back", outage),
    ("What a person asks", commands),
)


def main() -> int:
    state = STATES / "demo-kube"
    lock = lock_of(state)
    if lock is None:
        sys.exit(f"demo-kube: another one is running, in {state.relative_to(ROOT)}; wait for it")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    logging.disable(logging.WARNING)  # of libraries; the story speaks for itself
    paper = Paper()
    try:
        asyncio.run(_tell(state, paper))
    except KeyboardInterrupt:
        paper.say("\nstopped")
        return 130
    finally:
        os.close(lock)
    return _verdict(state, paper)


async def _tell(state: Path, paper: Paper) -> None:
    paper.say("Fingerpost on Kubernetes: API servers mgmt, east and west; their pods are processes of this machine")
    paper.note(f"state: {state.relative_to(ROOT)}")
    async with running_world(state) as world:
        try:
            await _begin(world, paper)
            await asyncio.to_thread(_chapters, world.plane, paper)
        except (NotInTime, NoAnswer, AssertionError) as failed:
            paper.check("the demo", "goes on", str(failed))


async def _begin(world: World, paper: Paper) -> None:
    """These chapters must end well, or there is nothing to go on with."""
    paper.chapter(1, "Helm installs the management cluster, the command line registers the others")
    await install(world, paper)
    await asyncio.to_thread(register, world.plane, paper)
    await apply(world, paper)
    await asyncio.to_thread(first_answers, world.plane, paper)


def _chapters(plane: Plane, paper: Paper) -> None:
    for number, (title, chapter) in enumerate(_STORY, 2):
        paper.chapter(number, title)
        try:
            chapter(plane, paper)
        except (NotInTime, NoAnswer) as late:
            paper.check(title, "in time", str(late))


def _verdict(state: Path, paper: Paper) -> int:
    paper.say("")
    if not paper.wrong:
        paper.say(f"All {paper.checked} checks were as expected.")
        return 0
    paper.say(f"{len(paper.wrong)} of {paper.checked} checks were not as expected:")
    for line in paper.wrong:
        paper.note(line)
    paper.say(f"Logs: {state.relative_to(ROOT)}/*/*.log, of pods {state.relative_to(ROOT)}/*/pods/*/*.log")
    return 1


if __name__ == "__main__":
    sys.exit(main())
