"""`make fuzz SECONDS=60`: every target for that long, guided by coverage (atheris), without it at random.

What raises is kept as a file in `.state/fuzz/TARGET`, and `python -m tests.fuzz TARGET FILE` runs it again.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

FOLDER = Path(".state/fuzz")
NAMES = ("decoder", "manifest", "yaml", "relay", "mutants", "translator")


class Bytes:
    """The choices of a target, read from what the fuzzer made up; 0 when that is used up."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def randint(self, low: int, high: int, /) -> int:
        if (span := high - low) <= 0:
            return low
        size = (span.bit_length() + 7) // 8
        taken = self._data[self._at : self._at + size]
        self._at += size
        return low + int.from_bytes(taken, "little") % (span + 1)


def _target(name: str) -> Callable[[bytes], None]:
    from tests.fuzz import targets

    chosen: Any = getattr(targets, name)

    def run(data: bytes) -> None:
        if name == "yaml":
            chosen(data)
            return
        work = chosen(Bytes(data))
        if name == "relay":
            asyncio.run(work)

    return run


def _guided(name: str, seconds: int) -> None:
    """Does not return."""
    import atheris  # type: ignore[import-not-found]  # installed by `make fuzz`

    with atheris.instrument_imports(include=["fingerpost", "mgmt.translate", "mgmt.relay", "agent.relay"]):
        run = _target(name)
    corpus = FOLDER / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-max_len=8192", "-len_control=0", f"-artifact_prefix={FOLDER / name}/"]
    atheris.Setup([name, *options, "-print_final_stats=1", "-verbosity=0", "-rss_limit_mb=2048", str(corpus)], run)
    atheris.Fuzz()


def _at_random(name: str, seconds: int) -> None:
    run, ends, count = _target(name), time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        data = Random(count).randbytes(4096)
        try:
            run(data)
        except BaseException:
            (FOLDER / name).mkdir(parents=True, exist_ok=True)
            (FOLDER / name / f"crash-{count}").write_bytes(data)
            raise
        count += 1
    print(f"{name}: {count} runs, at random", flush=True)


def _all(seconds: int) -> int:
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        print("atheris is not installed: values are made at random, not guided by coverage")
    failed = []
    for name in NAMES:
        run = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--seconds", str(seconds), name], stderr=subprocess.PIPE, text=True
        )
        figures = [line for line in run.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"{name}: {'failed' if run.returncode else 'passed'} {' '.join(figures)}", flush=True)
        if run.returncode:
            failed.append(name)
            print(run.stderr[-4000:])
    return int(bool(failed))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("target", nargs="?", choices=NAMES)
    parser.add_argument("file", nargs="?", type=Path)
    given = parser.parse_args(arguments)
    if given.target is None:
        return _all(given.seconds)
    if given.file is not None:
        _target(given.target)(given.file.read_bytes())
    elif importlib.util.find_spec("atheris") is not None:
        _guided(given.target, given.seconds)
    else:
        _at_random(given.target, given.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
