"""`validate` of files that hold nothing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_standard_input_may_be_called_by_its_path_whatever_it_is(environment: dict[str, str]) -> None:
    """A socket, as some runners of pipelines have it, cannot be opened by a path."""
    root = Path(__file__).parents[3]
    for order in (["validate"], ["diff", "--fleet", str(root / "examples")]):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall((root / "examples/mgmt/route-www.yaml").read_bytes())
            ours.shutdown(socket.SHUT_WR)
            command = [sys.executable, "-m", "ctl", *order, "-f", "/dev/stdin", "-o", "json"]
            done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, env=environment, timeout=60)
        spec = json.loads(done.stdout)["spec"]
        assert spec.get("checked") == 1 or spec["empty"], done


@pytest.mark.parametrize("text", ["", "# nothing\n---\n"])
def test_a_file_without_a_document_is_called_empty(fingerpost: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text(text)
    named = fingerpost("validate", "-f", str(file))
    assert (named.code, named.err) == (0, f"warning: {file} is empty: it holds no document\n")
    piped = fingerpost("validate", "-f", "-", stdin=text)
    assert (piped.code, piped.err) == (0, "warning: standard input is empty: it holds no document\n")


def test_a_folder_without_files_is_told_how_their_names_end(fingerpost: Run, tmp_path: Path) -> None:
    done = fingerpost("validate", "-f", str(tmp_path))
    assert done.err == f"warning: no manifest is in {tmp_path}; files with manifests end in .yaml or .yml\n"
