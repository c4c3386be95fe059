"""What the pages say, as far as it can be compared: links, paths, commands, code and manifests."""

from __future__ import annotations

import re
import subprocess
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml
from settings_page import PAGE, page

from ctl.__main__ import app
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.validate import render, validate_path
from mgmt.validate.report import Level

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
FOLDERS = ("agent/", "ctl/", "docs/", "examples/", "fingerpost/", "mgmt/", "proto/", "tests/")
README, CONCEPTS = (ROOT / "README.md").read_text(), (ROOT / "docs" / "concepts.md").read_text()
SPECIFICATION = (ROOT / "docs" / "specification.md").read_text()

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in BLOCK.findall(page.read_text()):
        if language in languages:
            yield textwrap.dedent(text)


def words(page: Path) -> Iterator[str]:
    return (word for quoted in re.findall(r"`([^`\n]+)`", page.read_text()) for word in quoted.split())


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in t]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []


@each_page
def test_paths_exist(page: Path) -> None:
    paths = {w.rstrip(",;:") for w in words(page) if w.startswith(FOLDERS) and not re.search(r"[<>*{]", w)}
    assert [p for p in sorted(paths) if not (ROOT / p).exists()] == []


@each_page
def test_commands_exist(page: Path) -> None:
    """Also those that stand in prose: whatever follows `fingerpost` is a command, in a group a command of it."""
    text = page.read_text()
    root = typer.main.get_command(app)
    unknown = []
    for said in re.findall(r"(?:`|^ *(?:\$ )?|\$\()fingerpost ([a-z-]+(?: [a-z-]+)?)", text, re.MULTILINE):
        first, _, second = said.partition(" ")
        command = getattr(root, "commands", {}).get(first)
        if command is None or (second and first in ("cluster", "config", "proxy") and second not in command.commands):
            unknown.append(said)
    assert unknown == []


@each_page
def test_targets_of_make_exist(page: Path) -> None:
    told = re.findall(r"(?:`|^ *)make ((?:[a-z-]+ ?)+)", page.read_text(), re.MULTILINE)
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {one for targets in told for one in targets.split()} <= known


@each_page
def test_code_is_that_of_the_file_named_in_its_first_line(page: Path) -> None:
    for block in blocks(page, "python"):
        first, _, rest = block.partition("\n")
        source = (ROOT / first.removeprefix("# ")).read_text()
        assert textwrap.indent(rest.strip("\n"), "    ") in source or rest.strip("\n") in source, first


@each_page
def test_manifests_are_valid(page: Path, tmp_path: Path) -> None:
    for i, block in enumerate(blocks(page, "yaml")):
        if (
            "cert-manager.io/" in block
        ):  # of several clusters, for others to judge; tests/brought_certificates.py reads them
            continue
        if block.startswith("# docs/"):  # part of a file, which is judged with those beside it
            continue
        if all("kind" in one for one in yaml.safe_load_all(block)):
            (tmp_path / f"{i}.yaml").write_text(block)
    report = validate_path([str(tmp_path)])
    assert {f.level for f in report.findings} <= {Level.NOTE}, render(report)


def test_every_policy_has_a_page_an_example_and_goldens_and_is_listed() -> None:
    does = README.partition("## What this version does")[2]
    users_write = CONCEPTS.partition("Users write ")[2].partition("field for field")[0]
    for policy in DESTINATION_POLICIES:
        kind = policy.type.rpartition("/")[2]
        name = re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", kind).lower()
        assert f"# {kind}" in (ROOT / "docs" / "policies" / f"{name.replace('_', '-')}.md").read_text()
        assert any(f"kind: {kind}\n" in f.read_text() for f in (ROOT / "examples").rglob("*.yaml"))
        assert list((ROOT / "tests" / "golden" / name).glob("*/mgmt.in.yaml"))
        assert kind in does
        assert f"`{kind}`" in users_write
        assert f"policies/{name.replace('_', '-')}.md" in README


def test_the_page_of_the_settings_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page(), "run .venv/bin/python tests/unit/docs/settings_page.py"


def test_the_license_is_the_one_that_the_package_names() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Copyright [yyyy] [name of copyright owner]" in text, "the text as it is published"
    assert "Apache License Version 2.0, January 2004" in " ".join(text.split())


def sources() -> Iterator[str]:
    files = subprocess.run(["git", "ls-files", "*.py", "*.proto"], cwd=ROOT, capture_output=True, text=True, check=True)
    return ((ROOT / f).read_text() for f in files.stdout.split() if (ROOT / f).exists())


def test_messages_that_are_explained_are_printed() -> None:
    """What is quoted before the remedies; literals of the code are joined."""
    told = set()
    for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines():
        cells = line.split("|")[1:-2]
        told |= {said for cell in cells[:2] for said in re.findall(r"`([^`]+)`", cell)}
    code = [p.read_text() for part in ("agent", "mgmt", "fingerpost") for p in (ROOT / part).rglob("*.py")]
    printed = re.sub(r'"\s*\n?\s*f?"', "", "".join(code))
    assert len(told) > 25
    assert [said for said in sorted(told) if said not in printed] == []


def test_everything_that_the_code_cites_is_explained() -> None:
    chapters = {
        name: set(re.findall(r"(?:^|, )(\d+) ", chapters))
        for name, chapters in re.findall(r"^\| [A-Z] \| `(.+)\.md` \| (.+) \|$", SPECIFICATION, re.MULTILINE)
    }
    decisions = set(re.findall(r"^\| (D\d+) \|", SPECIFICATION, re.MULTILINE))
    missing = set()
    for text in sources():
        missing |= {one for one in re.findall(r"\bdesign (D\d+)", text) if one not in decisions}
        for name, chapter in re.findall(r"\b([a-z-]+)\.md §+(\d+)", text):
            missing |= {f"{name}.md §{chapter}"} - {f"{name}.md §{c}" for c in chapters.get(name, ())}
    assert missing == set()
