"""A network and processes of their own for what needs a real API server: it refuses loopback addresses in
EndpointSlices, so there are addresses of our own (`ground`), and nothing inside can reach anything else.

`python -m tests.kube.inside ...` runs Python there that is already inside; `run` goes in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.kube import ground, tools

# What is run is the first process of its own namespace: what it leaves ends with it.
_ALONE = ("--map-root-user", "--net", "--mount-proc", "--pid", "--fork", "--kill-child")


def missing() -> str:
    """Builds the tools where they are missing. What this machine lacks, in words for a person; "" when nothing."""
    try:
        tools.build()
    except tools.ToolsMissing as lacking:
        return str(lacking)
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            return f"{program} ({package}) is not installed"
    return ""


def run(module: str, *arguments: str) -> int:
    """The exit code of `python -m module ...` in there."""
    return subprocess.run([*interpreter(), "-m", module, *arguments], check=False).returncode


def interpreter() -> list[str]:
    """What is to be called instead of `python` to be in there; every call has a network of its own."""
    return ["unshare", *_ALONE, sys.executable, "-m", "tests.kube.inside"]


if __name__ == "__main__":
    subprocess.run(["ip", "-batch", "-"], input=ground.COMMANDS, text=True, check=True)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
