"""docs/values.md says what the charts do: every value is described, or listed as being without effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from charts.values_page import PAGE, page, values
from tests.unit.docs.test_docs import ROOT

PLATFORM = ROOT / "charts" / "gloo-platform"
IGNORED = ("global", "licensing", "licenseKey")  # accepted by promise, whatever they hold


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run python -m charts.values_page"


def known(schema: dict[str, Any], part: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """What the schema lets pass, down to where it looks no further."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    if "properties" not in part:
        yield ".".join(path)
    for name, below in part.get("properties", {}).items():
        yield from known(schema, below, (*path, name))


def test_no_value_is_accepted_in_silence() -> None:
    schema = json.loads((PLATFORM / "values.schema.json").read_text())
    described = {value.path for value in values((PLATFORM / "values.yaml").read_text())}
    without = {entry["path"] for entry in yaml.safe_load((PLATFORM / "files" / "unsupported.yaml").read_text())}
    silent = []
    for path in known(schema, schema):
        above = {path.rsplit(".", n)[0] for n in range(path.count(".") + 1)}
        ignored = path in IGNORED or (path.startswith("gloo") and path.endswith("LicenseKey"))
        if not (above & (described | without) or ignored):
            silent.append(path)
    assert silent == []


def test_values_and_schema_have_the_same_keys() -> None:
    schema = json.loads((PLATFORM / "values.schema.json").read_text())
    accepted = set(known(schema, schema))
    described = {value.path for value in values((PLATFORM / "values.yaml").read_text())}
    assert {path for path in described if not any(path == a or path.startswith(f"{a}.") for a in accepted)} == set()
