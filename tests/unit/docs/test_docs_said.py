"""Sentences of the pages that can be checked against what they speak of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def said(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def run(*words: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", "ctl", *words]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("group", "level"), [("networking.gloo.solo.com", "WARN"), ("networking.glo.solo.io", "ERROR")]
)
def test_a_group_that_is_near_is_what_the_page_says(group: str, level: str) -> None:
    (row,) = [line for line in said("cli.md").splitlines() if line.startswith("| `validate ")]
    warns, _, fails = row.partition("such an object has no effect.")
    assert f"`{group}`" in (warns if level == "WARN" else fails)
    text = f"{{apiVersion: {group}/v2, kind: RouteTable, metadata: {{name: a, namespace: b}}}}"
    assert f"RouteTable b/a  {level}" in run("validate", "-f", "-", stdin=text)


def test_the_script_of_the_completion_is_the_one_that_is_printed() -> None:
    (shown,) = re.findall(r"\$ fingerpost completion bash\n(.*?)```", said("meshctl.md"), re.DOTALL)
    assert run("completion", "bash") == shown


def test_what_an_agent_reads_at_large_is_named() -> None:
    """All that stays in its ClusterRole when namespaces are given."""
    rules = (ROOT / "charts/gloo-platform/templates/agent/rbac.yaml").read_text().partition("$rules := ")[0]
    (paragraph,) = [line for line in said("install.md").splitlines() if "`glooAgent.watchNamespaces` shrinks" in line]
    for resource in re.findall(r"resources: \[(\w+)\]", rules):
        assert resource in paragraph.lower(), resource
