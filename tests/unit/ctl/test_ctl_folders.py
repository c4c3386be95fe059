"""Files and folders that cannot be read, or have no end: words, and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost.api.limits import LARGEST_FILE

ROOT = Path(__file__).parents[3]
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: without them, not even root may read what has no mode.
POWERLESS = (
    "import ctypes, os, sys; [ctypes.CDLL(None).prctl(24, c) for c in (1, 2)]; os.execv(sys.argv[1], sys.argv[1:])"
)
Run = Callable[..., Any]


@pytest.fixture
def powerless(environment: dict[str, str]) -> Run:
    def run(*arguments: str) -> Any:
        command = [sys.executable, "-c", POWERLESS, sys.executable, "-m", "ctl", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    return run


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "fleet")
    return tmp_path / "fleet"


@pytest.fixture
def shut(fleet: Path) -> Iterator[Callable[[Path, int], None]]:
    changed: list[Path] = []

    def shut(path: Path, mode: int) -> None:
        path.chmod(mode)
        changed.append(path)

    yield shut
    for path in changed:
        path.chmod(0o755)


@pytest.mark.spec("C-3")
@pytest.mark.parametrize("place", [".", "mgmt", "mgmt/deep", "mgmt/route-www.yaml"])
@pytest.mark.parametrize("mode", [0o000, 0o444], ids=["closed", "listed"])
def test_what_may_not_be_read_is_named(
    powerless: Run, fleet: Path, tmp_path: Path, shut: Callable[[Path, int], None], place: str, mode: int
) -> None:
    (fleet / "mgmt" / "deep").mkdir()
    (fleet / "mgmt" / "deep" / "a.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: a}}")
    if place.endswith(".yaml") and mode:
        pytest.skip("a file that can be read")
    shut(fleet / place, mode)
    shutil.copytree(ROOT / "examples", tmp_path / "other")
    for arguments in (
        ("validate", "-f", str(fleet)),
        ("diff", "-f", str(fleet), "--fleet", str(tmp_path / "other")),
        ("translate", "-f", str(fleet), "-o", str(tmp_path / "out")),
        ("conflicts", "--fleet", str(fleet)),
    ):
        done = powerless(*arguments)
        assert done.returncode == 2, done
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        assert str(fleet / place) in said
        assert "Permission denied" in said, said
        assert ("hint: " in said) or "check its permissions" in said or "check the path" in said
        told = powerless("-o", "json", *arguments)
        assert json.loads(told.stdout)["findings"], told
    assert not (tmp_path / "out").exists()


def test_what_has_no_end_is_not_read(fingerpost: Run, fleet: Path) -> None:
    """Nor is a pipe within a folder, for which nobody writes."""
    for arguments in (("diff", "--fleet", str(fleet), "-f"), ("validate", "-f")):
        done = fingerpost(*arguments, "/dev/zero")
        assert (done.code, "it is no regular file" in done.err + done.out) == (2, True), done
    os.mkfifo(fleet / "mgmt" / "pipe.yaml")
    done = fingerpost("conflicts", "--fleet", str(fleet))
    assert (done.code, "pipe.yaml: it is no regular file" in done.err) == (2, True), done


def test_what_is_too_large_is_not_read(environment: dict[str, str], fleet: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    for name, stdin in ((str(large), Path(os.devnull)), ("-", Path("/dev/zero"))):
        with stdin.open("rb") as given:
            command = [sys.executable, "-m", "ctl", "diff", "--fleet", str(fleet), "-f", name]
            done = subprocess.run(command, stdin=given, capture_output=True, text=True, env=environment, timeout=60)
        assert (done.returncode, "(32 MiB) that are read; split it" in done.stderr) == (2, True), done


def test_a_pipe_may_be_named(environment: dict[str, str], fleet: Path) -> None:
    script = f'"{sys.executable}" -m ctl diff --fleet "{fleet}" -f <(cat "{fleet}/mgmt/route-www.yaml")'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout) == (0, "no difference\n"), done


def test_a_folder_that_does_not_exist_is_not_said_to_lack_a_cluster(fingerpost: Run, tmp_path: Path) -> None:
    for arguments in (("translate", "-o", str(tmp_path / "out"), "-f"), ("conflicts", "--fleet")):
        done = fingerpost(*arguments, "/nope")
        assert (done.code, "is /nope, which does not exist" in done.err) == (2, True), done
