"""Servers, agents and Envoys as processes, for what a coroutine cannot suffer: SIGKILL and SIGSTOP. Each ends with its
owner.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fleet.fleet_network import until

ROOT = Path(__file__).parents[2]
ENVOY = str(Path((find_spec("envoy").submodule_search_locations or [""])[0]) / "_bin" / "envoy")  # type: ignore[union-attr]  # a test dependency


class Process:
    """One process and its log file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command, self.log = list(command), log
        with log.open("a") as out:
            self._from = out.tell()
            self._process = subprocess.Popen(self.command, stdout=out, stderr=out, cwd=ROOT)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def said(self) -> str:
        """Since this process began."""
        with self.log.open() as out:
            out.seek(self._from)
            return out.read()

    def signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()

    async def ended(self, timeout: float = 20) -> int:
        async with asyncio.timeout(timeout):
            return await asyncio.to_thread(self._process.wait, timeout)

    async def stop(self) -> None:
        """SIGTERM, also for one that is stopped; the patience is for what it has to write."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            await self.ended(15)
        except (TimeoutError, subprocess.TimeoutExpired):
            self.kill()

    async def ready(self, event: str) -> dict[str, Any]:
        """The fields of the log line that says so."""

        def line() -> dict[str, Any]:
            text = self.said()
            if self._process.poll() is not None:
                raise AssertionError(f"{self.command[2]} ended: {text[-2000:]}")
            found = [json.loads(row) for row in text.splitlines() if f'"{event}"' in row]
            return found[0] if found else {}

        found: dict[str, Any] = await until(line, 40, lambda: self.said()[-2000:])
        return found


def module(name: str, log: Path, **flags: object) -> Process:
    """`python -m name`; a flag `state_dir=…` becomes `--state-dir=…`."""
    given = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
    return Process([sys.executable, "-m", name, *given], log)


def envoy(folder: Path, name: str, bootstrap: dict[str, Any]) -> Process:
    config = folder / f"{name}.json"
    config.write_text(json.dumps(bootstrap))
    command = [ENVOY, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
    return Process(command, folder / f"{name}.log")


async def command(*arguments: str) -> tuple[int, str]:
    """Runs the command line to its end: exit code, and both outputs."""
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ctl",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await run.communicate()
    finally:
        if run.returncode is None:
            run.kill()
    return run.returncode or 0, said.decode()
