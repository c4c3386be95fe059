"""`python -m tests.kube`: the cluster tests. Without Go it says what was not run, and ends well.

Without arguments two files run at a time, each in a network of its own; what needs a machine for itself comes after
(marker `alone`).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

from tests.kube import inside


def main(arguments: list[str]) -> int:
    if lacking := inside.missing():
        print(f"the cluster tests were not run: {lacking}; {_count()} tests need it")
        return 0
    if arguments:
        return inside.run("pytest", *arguments)
    workers = f"2*popen//python={shlex.join(inside.interpreter())}"
    command = [sys.executable, "-m", "pytest", "tests/kube", "-m", "not alone", "--dist", "loadfile", "--tx", workers]
    sharing = subprocess.run(command, check=False).returncode
    return inside.run("pytest", "tests/kube", "-m", "alone") or sharing


def _count() -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/kube"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return str(sum(int(number) for number in re.findall(r": (\d+)$", said, re.MULTILINE)))


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main(sys.argv[1:]))
