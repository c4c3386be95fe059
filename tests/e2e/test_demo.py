"""The demo, run as users run it, and the examples that it applies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mgmt.validate import render, validate_path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
@pytest.mark.timeout(180)
@pytest.mark.spec("D-15", "D-27", "D-56", "R-15", "R-32", "R-79")
def test_the_demo_ends_with_all_as_expected() -> None:
    done = subprocess.run([sys.executable, "-m", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checks were as expected" in done.stdout


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
@pytest.mark.timeout(180)
def test_a_demo_that_is_left_up_answers_commands_without_an_address_until_it_is_stopped(tmp_path: Path) -> None:
    environment = {**os.environ, "FINGERPOST_CONFIG": str(tmp_path / "config.yaml")}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170)

    try:
        kept = run(sys.executable, "-m", "demo", "--keep", "--quick")
        assert kept.returncode == 0, kept.stdout + kept.stderr
        fingerpost = str(Path(sys.executable).with_name("fingerpost"))
        shown = run(fingerpost, "get", "routetables", "-o", "json")
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert '"www"' in shown.stdout
    finally:
        stopped = run(sys.executable, "-m", "demo", "--stop")
    assert "processes stopped" in stopped.stdout
    assert not (tmp_path / "config.yaml").exists()


def test_the_examples_are_valid() -> None:
    report = validate_path([str(EXAMPLES)])
    assert report.checked > 50
    assert not report.findings, render(report)


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda f: str(f.relative_to(EXAMPLES)))
def test_an_example_says_what_it_shows_and_holds_no_secret(file: Path) -> None:
    text = file.read_text()
    documents = [one for one in yaml.safe_load_all(text) if one]
    assert documents
    assert not [one for one in documents if one["kind"] == "Secret"]
    assert text.startswith(("# ", "apiVersion: v1\nkind: Namespace"))
