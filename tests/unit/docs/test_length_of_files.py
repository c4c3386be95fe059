"""The central verb attracts everything: a file that grows beyond this is to be parted by concept."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("fingerpost", "mgmt", "agent", "ctl", "tests", "bench", "demo", "charts", "proto")
GENERATED = ROOT / "fingerpost" / "relay" / "v1"
LONGEST = 400


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_of_python_is_longer_than_it_should_be(folder: str) -> None:
    files = [file for file in (ROOT / folder).rglob("*.py") if GENERATED not in file.parents]
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
