"""The commands of a page, run as they stand there."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.fleet.fleet_processes import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_BEGUN = "set -euo pipefail\n"


class Said(NamedTuple):
    code: int
    text: str


def commands(page: str, heading: str) -> Iterator[str]:
    """The blocks below a heading of a page of docs/, up to the next one of any depth."""
    text = (ROOT / "docs" / page).read_text()
    (below,) = re.findall(rf"^{re.escape(heading)}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    return iter(_BLOCK.findall(below))


class Shell:
    """`environment` names a kubeconfig with all contexts. kubectl is that of the machine, or what stands in for it."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        programs = folder / "programs"
        programs.mkdir()
        (programs / "fingerpost").symlink_to(Path(sys.executable).with_name("fingerpost"))
        if shutil.which("kubectl") is None:
            stand_in = programs / "kubectl"
            stand_in.write_text(
                f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.kube.kubectl_stand_in "$@"\n'
            )
            stand_in.chmod(0o755)
        self._environment["PATH"] = f"{programs}:{self._environment['PATH']}"

    async def __call__(self, block: str, folder: Path = ROOT) -> Said:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", _BEGUN + block),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            cwd=folder,
        )
        try:
            text, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return Said(process.returncode or 0, text.decode())
