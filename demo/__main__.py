"""`python -m demo`: tells the story; ends with 0 only if all was as expected, and leaves nothing running behind."""

from __future__ import annotations

import argparse
import signal
import sys

from demo.chapters.changes import broken, edit
from demo.chapters.commands import commands
from demo.chapters.outage import outage
from demo.chapters.traffic import arrived, failover, requests, weights
from demo.client import NoAnswer
from demo.ground import ROOT, NoGround, take_ground
from demo.keeping import keep, stop_all_kept
from demo.paper import Paper
from demo.plane import CannotStart, Plane
from demo.processes import Died
from demo.telling import Chapter, tell
from demo.waiting import NotInTime

_Story = tuple[Chapter[Plane], ...]
_STORY: _Story = (
    ("Requests to the gateways of three clusters", requests),
    ("A weight split", weights),
    ("The nearest first; all carts of east gone, and back", failover),
    ("An edit, from the file to the first right answer", edit),
    ("A broken file", broken),
    ("The server is killed, and comes back", outage),
    ("What a person asks", commands),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Fingerpost on one machine, as a story.")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--quick", action="store_true", help="only the first chapter")
    parser.add_argument("--stop", action="store_true", help="stop what --keep left running")
    given = parser.parse_args()
    if given.stop:
        return stop_all_kept()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        ground = take_ground()
    except NoGround as none:
        sys.exit(f"demo: {none}")
    paper, plane = Paper(), Plane(ground)
    kept = False
    try:
        _tell(plane, paper, _STORY[:1] if given.quick else _STORY)
        kept = given.keep
        if kept:
            keep(plane, paper)
    except KeyboardInterrupt:
        paper.say("\nstopped; cleaning up")
        return 130
    finally:
        if not kept:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half of them running
            plane.processes.stop()
    return paper.verdict(f"{(ground.state / 'logs').relative_to(ROOT)}/*.log")


def _tell(plane: Plane, paper: Paper, story: _Story) -> None:
    paper.say("Fingerpost: one server with Redis; clusters mgmt, east and west, each with an agent and an Envoy")
    paper.note(f"state: {plane.ground.state.relative_to(ROOT)}")
    try:
        plane.start()
        arrived(plane)
        tell(story, plane, paper, after=plane.processes.alive)
    except (NotInTime, NoAnswer, Died, CannotStart) as failed:
        paper.check("the demo", "goes on", str(failed))


if __name__ == "__main__":
    sys.exit(main())
