"""What the page for those who come from `meshctl` says of each command, compared with the command line itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ctl import flags
from ctl.__main__ import app

PAGE = Path(__file__).resolve().parents[3] / "docs" / "meshctl.md"
ROOT = typer.main.get_command(app)
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.read_text().split("\n## ")[1:]}
# The commands of the reference (feature list, CLI-2 to CLI-30), groups by one of their commands.
REFERENCE = """
check, check server, check agent, cluster register, cluster deregister, cluster list, dashboard, debug report,
experimental dump-reports, experimental interop-check, experimental switch-active, experimental validate resources,
experimental validate resources clean, external-workload, generate graphql, install, license check, logs, migrate helm,
migrate helm-values, precheck, proxy, uninstall, version
"""

# The flags of `cluster register` in cli.md §3.2.
REGISTER = """
--remote-context --remote-kubeconfig --remote-namespace --mgmt-context --mgmt-kubeconfig --mgmt-namespace
--relay-server-address --relay-server-insecure --telemetry-server-address --cluster-domain --profiles --version --set
--gloo-mesh-agent-chart-file --gloo-mesh-agent-chart-values --root-ca-secret-name --client-cert-secret-name
--token-secret-name --token-secret-key --skip-checks --token-ttl
"""


def rows(section: str) -> Iterator[list[str]]:
    for line in SECTIONS[section].splitlines():
        if line.startswith("| ") and "---" not in line:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def quoted(cell: str, program: str) -> list[str]:
    return re.findall(rf"`{program} ([^`]+)`", cell)


def command(words: str) -> tuple[Any, list[str]]:
    """The command that the first words name, None: there is none; and the rest of the words."""
    found, rest = ROOT, words.split()
    while rest and hasattr(found, "commands"):
        if rest[0] not in found.commands:
            return None, rest
        found = found.commands[rest.pop(0)]
    return found, rest


def options(of: Any) -> set[str]:
    own = {name for parameter in of.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own | set(flags._WITH_VALUE) | set(flags._SWITCHES)


def test_what_works_as_it_is_takes_these_flags() -> None:
    found = list(rows("As they are"))[1:]
    assert len(found) > 5
    for commands, given in found:
        for words in quoted(commands, "meshctl"):
            known, _ = command(words)
            assert known is not None, words
            assert set(re.findall(r"`(--?[a-z][a-z-]*)`", given)) <= options(known), words


@pytest.mark.parametrize("section", ["Different", "Not in this version"])
def test_what_is_said_to_do_instead_exists(section: str) -> None:
    for _, *instead in list(rows(section))[1:]:
        for cell in instead:
            for words in quoted(cell, "fingerpost"):
                known, rest = command(words)
                assert known is not None, words
                assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= options(known), words


def test_what_is_said_to_be_missing_is_missing() -> None:
    for cell, *_ in list(rows("Not in this version"))[1:]:
        for words in quoted(cell, "meshctl"):
            assert command(words)[0] is None, words


def test_every_command_of_the_reference_is_told_of() -> None:
    told = {words for section in SECTIONS for row in rows(section) for words in quoted(row[0], "meshctl")}
    assert {" ".join(one.split()) for one in REFERENCE.split(",")} <= told


def test_every_flag_of_registration_is_told_of_and_taken_if_it_is_said_to_be() -> None:
    same, other = (
        {flag for cells in rows(section) if "cluster register" in cells[0] for cell in cells for flag in _flags(cell)}
        for section in ("As they are", "Different")
    )
    assert set(REGISTER.split()) <= same | other
    known, _ = command("cluster register")
    for cells in rows("Different"):
        for words in quoted(cells[0], "meshctl"):
            if words.startswith("cluster register "):
                assert _flags(words) & options(known) == set(), words


def _flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_the_alias_is_all_that_is_needed(tmp_path: Path) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    given = f"shopt -s expand_aliases\n{script}"
    done = subprocess.run(["bash"], input=given, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout.startswith("client  ")) == (0, True), done
