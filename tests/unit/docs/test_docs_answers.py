"""What docs/answers.md shows is what the commands print."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHOWN = re.findall(r"^```\n\$ (.+)\n((?:.|\n)*?)```$", (ROOT / "docs" / "answers.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_output_is_that_of_the_command(command: str, output: str, tmp_path: Path) -> None:
    """In a folder where the examples are."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "fingerpost").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ctl "$@"\n')
    (tmp_path / "fingerpost").chmod(0o755)
    where = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "FINGERPOST_CONFIG": "/none"}
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=where)
    told, _, code = output.partition("$ echo $?\n")
    assert done.stdout + done.stderr == told
    assert done.returncode == int(code or 0)
