"""Completion: in this process, and by a real bash that has sourced the script."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from admin_world import World

pytestmark = [pytest.mark.spec("C-46"), pytest.mark.timeout(90)]


@pytest.fixture
def complete(fingerpost: Any) -> Callable[..., list[str]]:
    def run(*words: str) -> list[str]:
        result = fingerpost("__complete", "--", *words)
        assert (result.code, result.err) == (0, "")
        return result.out.splitlines()

    return run


def test_commands_flags_and_fixed_words(complete: Any) -> None:
    assert complete("clu") == ["cluster"]
    assert {"list", "describe", "register", "deregister"} <= set(complete("cluster", ""))
    assert complete("cluster", "register", "east", "--print") == ["--print-manifests"]
    assert complete("check", "--section", "Cert") == ["Certificates"]
    assert complete("check", "--no-c") == ["--no-color"]
    assert complete("-o", "js") == ["json", "jsonpath="]
    assert complete("get", "routetab") == ["routetables"]
    assert complete("explain", "CHK04") == [f"CHK04{n}" for n in range(1, 10)]
    assert complete("completion", "") == ["bash", "fish", "powershell", "zsh"]
    assert complete("nonsense", "x") == []
    assert "CNF001" in complete("explain", "CNF00")
    assert complete("snapshot", "") == ["input", "output"]
    assert complete("snapshot", "output", "--type", "l") == ["listener"]
    assert complete("snapshot", "input", "--type", "routetab") == ["routetables"]
    assert complete("diff", "--prune", "n") == ["namespace"]


def test_names_inside_are_not_offered(complete: Any) -> None:
    assert complete("rollback", "") == ["release", "status"]
    assert complete("rollback", "67", "") == []
    assert complete("rollback", "--work") == ["--workspace"]
    assert complete("history", "show", "") == []
    assert {"diff", "routetables", "show"} <= set(complete("history", ""))
    assert "list" not in complete("history", "")
    assert complete("history", "rt", "--lim") == ["--limit"]


def test_names_of_clusters_namespaces_and_objects_are_live(complete: Any, servers: Any) -> None:
    servers(World())
    assert complete("cluster", "describe", "") == ["east", "west"]
    assert complete("release", "e") == ["east"]
    assert complete("whatif", "--without", "") == ["east", "west"]
    assert complete("rollback", "--cluster", "") == ["east", "west"]
    assert complete("rollback", "67", "--cluster", "w") == ["west"]
    assert complete("rollback", "--workspace", "") == ["all"]
    assert complete("explain", "route", "http://x", "--gateway", "e") == ["east/gw/ingress"]
    assert complete("proxy", "bootstrap", "--cluster", "east", "--gateway", "") == ["gw/ingress"]
    assert complete("get", "rt", "--cluster", "w") == ["west"]
    assert complete("describe", "routetable", "sh") == ["shop/www"]
    assert complete("-n", "shop", "get", "routetable", "") == ["www"]
    assert complete("get", "rt", "-n", "g") == ["gloo-mesh", "gw"]
    assert complete("--context", "d") == ["demo"]


def test_nothing_is_said_when_something_is_wrong(complete: Any, servers: Any, closed_port: str, tmp_path: Path) -> None:
    servers(silent=(closed_port,))
    assert complete("cluster", "describe", "") == []
    assert complete("get", "no-such-kind", "") == []
    assert complete("--timeout") == ["--timeout"]
    (tmp_path / "config.yaml").write_text("{ broken")
    assert complete("cluster", "describe", "") == []
    assert "cluster" in complete(), "words need no server and no contexts file"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_has_a_script(fingerpost: Any, shell: str) -> None:
    result = fingerpost("completion", shell)
    assert result.code == 0
    assert "fingerpost __complete --" in result.out
    program = shutil.which("pwsh" if shell == "powershell" else shell)
    if program is None:
        pytest.skip(f"no {shell} here: its script is printed, but was not run")
    if shell in ("bash", "zsh", "fish"):
        checked = subprocess.run([program, "-n"], input=result.out, text=True, capture_output=True, timeout=30)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_refused(fingerpost: Any) -> None:
    result = fingerpost("completion", "tcsh")
    assert (result.code, "write one of bash, zsh, fish, powershell" in result.err) == (2, True)


def test_a_real_bash_completes(fingerpost: Any, servers: Any, environment: dict[str, str], tmp_path: Path) -> None:
    servers(World())
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "fingerpost"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ctl "$@"\n')
    program.chmod(0o755)
    script = f"""{fingerpost("completion", "bash").out}
COMP_WORDS=(fingerpost cluster describe "")
COMP_CWORD=3
_fingerpost
printf '%s,' "${{COMPREPLY[@]}}"
"""
    path = f"{programs}:{environment['PATH']}"
    done = subprocess.run(
        ["bash"], input=script, text=True, capture_output=True, env={**environment, "PATH": path}, timeout=30
    )
    assert (done.stdout, done.stderr) == ("east,west,", "")
