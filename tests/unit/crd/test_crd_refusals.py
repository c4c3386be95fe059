"""Every rule has a manifest that it refuses; whether a real API server does, `tests/kube/test_crds.py` asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fingerpost.api.base import Duration
from fingerpost.crd.definition import definition, users_kinds
from tests.unit.crd.refusals import refusals, words_of


def test_every_rule_has_a_manifest_that_it_refuses() -> None:
    tried = {(case.manifest["kind"], case.message) for case in refusals()}
    missing = [
        (kind.kind, rule["message"])
        for kind in users_kinds()
        for rule in rules_in(definition(kind))
        if not any(rule["message"] == message and (kind.kind == of or is_shared(message)) for of, message in tried)
    ]
    assert missing == []


def is_shared(message: str) -> bool:
    """Rules of types and messages that several kinds are made of are tried on one of them."""
    return message == Duration.TOO_LONG or message.endswith("exclude each other; keep one of them")


def rules_in(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        yield from value.get("x-kubernetes-validations", ())
        for below in value.values():
            yield from rules_in(below)
    elif isinstance(value, list):
        for item in value:
            yield from rules_in(item)


def test_the_checks_refuse_what_the_api_server_refuses() -> None:
    """M-68: objects can be older than a rule, and folders of manifests have no API server."""
    assert [case for case in refusals() if len(words_of(case)) == 1] == []
