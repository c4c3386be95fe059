"""Expressions, flags and names that used to be answered with something else than what was asked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from admin_world import healthy

ROOT = Path(__file__).parents[3]
EXAMPLES = str(ROOT / "examples")


@pytest.mark.spec("C-3")
@pytest.mark.parametrize("expression", ["{", "}", "", "{}", "{.items[}", "{.items[*}", "a{.spec}{"])
def test_a_broken_expression_is_words_on_stderr(fingerpost: Any, expression: str) -> None:
    done = fingerpost("license", "check", "-o", f"jsonpath={expression}")
    assert (done.code, done.out) == (2, ""), done
    assert "error: -o jsonpath=" in done.err
    assert "hint: write fields, [n] or [*]" in done.err


def test_one_cluster_goes_at_a_time(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    done = fingerpost("whatif", "--without", "east", "--without", "west")
    assert (done.code, "--without names east, west" in done.err) == (2, True), done
    assert "without east, by" in fingerpost("whatif", "--without", "east").out


def test_the_summary_of_whatif_counts_what_the_tables_show(fingerpost: Any) -> None:
    out = fingerpost("whatif", "--without", "west", "--fleet", EXAMPLES, "-o", "wide").out
    rows = sum(" | " in line and not line.startswith("Request") for line in out.splitlines())
    counts = [int(n) for n in re.findall(r"(\d+)", out.splitlines()[-1])[:4]]
    assert sum(counts) == rows > 8, out


def test_a_file_without_an_object_is_told(fingerpost: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    for name in ("empty", "empty.yaml"):
        done = fingerpost("diff", "-f", str(tmp_path / name), "--fleet", EXAMPLES)
        assert (done.code, f"warning: no object in {tmp_path / name}" in done.err) == (0, True), done


def test_an_empty_name_of_a_folder_is_not_the_current_one(fingerpost: Any, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "in")
    done = fingerpost("translate", "-f", str(tmp_path / "in"), "-o", "")
    assert (done.code, "-o is empty" in done.err) == (2, True), done
