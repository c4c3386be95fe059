"""The demo, run as users run it, and the examples that it applies."""

from __future__ import annotations

import os
import re
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
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = demo.communicate(timeout=150)
    except BaseException:
        demo.terminate()  # not SIGKILL: it ends what it has started
        print(demo.communicate(timeout=25)[0])
        raise
    assert demo.returncode == 0, said
    assert "checks were as expected" in said


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


def test_the_manifests_of_the_first_steps_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "first-steps.md").read_text()
    found = re.findall(r"cat > first/(\S+) <<'EOF'\n(.*?)EOF\n", text, re.DOTALL)
    assert len(found) == 2
    for name, manifest in found:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(manifest)
    report = validate_path([str(tmp_path)])
    assert report.checked > 0
    assert render(report).splitlines()[-1] in text
