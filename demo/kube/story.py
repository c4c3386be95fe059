"""Tells the story on Kubernetes, inside the network that the cluster tests have; ends with 0 only if all was as
expected. What it starts ends with it, since it is the first process of its namespace.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
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
from demo.telling import Chapter, tell
from demo.waiting import NotInTime

_STORY: tuple[Chapter[Plane], ...] = (
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
    where = state.relative_to(ROOT)
    return paper.verdict(f"{where}/*/*.log, of pods {where}/*/pods/*/*.log")


async def _tell(state: Path, paper: Paper) -> None:
    paper.say("Fingerpost on Kubernetes: API servers mgmt, east and west; their pods are processes of this machine")
    paper.note(f"state: {state.relative_to(ROOT)}")
    async with running_world(state) as world:
        try:
            await _begin(world, paper)
            await asyncio.to_thread(tell, _STORY, world.plane, paper, first=2)
        except (NotInTime, NoAnswer, AssertionError) as failed:
            paper.check("the demo", "goes on", str(failed))


async def _begin(world: World, paper: Paper) -> None:
    """These chapters must end well, or there is nothing to go on with."""
    paper.chapter(1, "Helm installs the management cluster, the command line registers the others")
    await install(world, paper)
    await asyncio.to_thread(register, world.plane, paper)
    await apply(world, paper)
    await asyncio.to_thread(first_answers, world.plane, paper)


if __name__ == "__main__":
    sys.exit(main())
