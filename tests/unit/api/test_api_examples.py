"""Every published example of a kind with a model decodes without a word, and passes the checks of single objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fingerpost.api.decode import decode
from fingerpost.objects import ObjectKey, canonical, type_of
from mgmt.translate.check import check_object

EXAMPLES = [
    (path.stem, document)
    for path in sorted((Path(__file__).parents[2] / "data" / "examples").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]


def test_there_are_examples_of_every_document() -> None:
    assert {source for source, _ in EXAMPLES} >= {"routing", "destinations", "workspaces", "policies-traffic", "relay"}


@pytest.mark.parametrize(
    "document", [d for _, d in EXAMPLES], ids=[f"{s}-{d['kind']}-{d['metadata']['name']}" for s, d in EXAMPLES]
)
def test_the_example_is_accepted(document: dict[str, Any]) -> None:
    metadata = document["metadata"]
    type_ = type_of(document["apiVersion"], document["kind"])
    key = ObjectKey(type_, "east-1", metadata.get("namespace", "default"), metadata["name"])
    obj, problems = decode(key, canonical(document))
    assert problems == ()
    assert check_object(key, obj) == ()
