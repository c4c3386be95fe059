"""`python -m tests.chaos --faults 200 --seed 7`: what happens goes to stderr, the last line on stdout is JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.api_servers import ApiServers, api_kinds
from tests.chaos.faults import Kind, kinds
from tests.chaos.fleet import Fleet
from tests.chaos.story import EVERY, Outcome, names, tell_story
from tests.kube import inside

_INSIDE = "--inside"  # the network that API servers need is made


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="of a former run: tells the same story; absent: any")
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--servers", type=int, default=1, help="replicas of the management server on one Redis")
    parser.add_argument("--only", default="", help="names of faults with commas between them; absent: all")
    parser.add_argument("--every", type=float, default=EVERY, help="seconds from one fault to the next, on average")
    parser.add_argument("--api-servers", action="store_true", help="clusters are real API servers, not folders")
    parser.add_argument("--keep", action="store_true", help="keep folders, logs and the story, also when all was well")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.api_servers and not given.inside:
        if lacking := inside.missing():
            _tell(f"nothing was done: {lacking}")
            return 0
        return inside.run("tests.chaos", *arguments, _INSIDE)
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    _tell(f"seed {seed}, {given.faults} faults, {given.clusters} clusters, {given.servers} servers")
    outcome = asyncio.run(_told(root, seed, given))
    if outcome.good and not given.keep:
        shutil.rmtree(root)
    else:
        _tell(f"logs and story.jsonl are in {root}")
    line = outcome._asdict()
    line["findings"] = len(outcome.findings)
    print(json.dumps(line))
    return 0 if outcome.good else 1


async def _told(root: Path, seed: int, given: argparse.Namespace) -> Outcome:
    if told := asyncio.current_task():  # servers, agents and proxies end with this one
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.cancel)
    only = frozenset(filter(None, given.only.split(",")))
    source, more = None, []
    if given.api_servers:
        source = ApiServers(root / "servers", names(given.clusters))
        more = api_kinds(source, only)

    def chances(fleet: Fleet) -> list[Kind]:
        return kinds(fleet, only) + more

    return await tell_story(
        root,
        seed=seed,
        faults=given.faults,
        clusters=given.clusters,
        servers=given.servers,
        chances=chances,
        every=given.every,
        source=source,
        tell=_tell,
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.disable(logging.ERROR)  # of doors that close while somebody is in them
    sys.exit(main(sys.argv[1:]))
