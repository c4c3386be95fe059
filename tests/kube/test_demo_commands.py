"""What the demo on Kubernetes shows of a command that does not end."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ctl.commands.register import PATIENCE
from demo.kube import plane


def test_what_an_endless_command_has_printed_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def endless(command: list[str], *, timeout: float, **_: Any) -> None:
        assert timeout > PATIENCE, "the command gives its own reason before it is given up"
        raise subprocess.TimeoutExpired(command, timeout, output=b"waiting for the agent\n")

    monkeypatch.setattr(subprocess, "run", endless)
    with asyncio.Runner() as runner:
        ran = plane.Plane(runner.get_loop(), {}, tmp_path, {}).run("cluster", "register", "east")
    assert (ran.code, ran.output) == (-1, "waiting for the agent\nno end within 150 s")
