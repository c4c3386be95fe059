"""`python -m tests.kube`: builds the tools where they are missing, runs the cluster tests in a network of their own.

A real API server refuses loopback addresses in EndpointSlices, so the tests have a network namespace with addresses of
their own (`ground`); nothing in it can reach anything else. Without Go it says what was not run, and ends well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

from tests.kube import ground, tools

_INSIDE = "--inside"
# What runs the tests is the first process of its own namespace: what they leave ends with it.
_ALONE = ("--map-root-user", "--net", "--mount-proc", "--pid", "--fork", "--kill-child")


def main(arguments: list[str]) -> int:
    if arguments[:1] == [_INSIDE]:
        _network()
        return _pytest(arguments[1:])
    try:
        tools.build()
    except tools.ToolsMissing as missing:
        print(f"the cluster tests were not run: {missing}; {_count()} tests need it")
        return 0
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            print(f"the cluster tests were not run: {program} ({package}) is not installed; {_count()} tests need it")
            return 0
    inside = [sys.executable, "-m", "tests.kube", _INSIDE, *arguments]
    return subprocess.run(["unshare", *_ALONE, *inside], check=False).returncode


def _network() -> None:
    subprocess.run(["ip", "-batch", "-"], input=ground.COMMANDS, text=True, check=True)


def _pytest(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *(arguments or ["tests/kube"])], check=False).returncode


def _count() -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/kube"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return str(sum(int(number) for number in re.findall(r": (\d+)$", said, re.MULTILINE)))


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main(sys.argv[1:]))
