"""The generated definitions on a real API server: they are taken, and it says what `fingerpost validate` says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fingerpost.api.kinds import Kind, find
from fingerpost.crd.definition import users_kinds
from mgmt.validate import Level, Report, validate_path
from tests.fleet.fleet_network import until
from tests.kube.api_server import running_api_server
from tests.kube.corpus import corpus, examples
from tests.kube.manifests_api import ManifestsApi
from tests.unit.crd.refusals import NET, RESILIENCE, Refusal, accepted, manifest, refusals

DEFINITIONS = Path(__file__).parents[2] / "charts" / "gloo-platform-crds" / "definitions"
KINDS = users_kinds()
REFUSALS = refusals()

# What `validate` finds and an API server cannot or must not refuse, by code and path.
LATER = {
    "Frozen": (".*", "what was accepted before is served, and no rule of a schema knows it (routing.md §13)"),
    "NotReachable": (".*", "needs other objects"),
    "Misplaced": (".*", "the place of an object is no rule of its schema (relay.md §10)"),
    "NoEndpoints": (".*", "needs other objects"),
    "RefNotFound": (".*", "needs other objects"),
    "RouteMisconfigured": (".*", "costs the route only, the others are served (routing.md §13)"),
    "TlsModeUnfit": (".*", "costs the listener only (R-22)"),
    "InvalidHost": (
        r"spec\.(listeners|options\.eastWestGateways)\[.*",
        "costs the entry of the listener only (routing.md §3.6); below two lists a rule costs too much",
    ),
    "OutOfRange": (r"spec\.listeners\[.*\.maximumProtocolVersion", "costs the listener only (routing.md §3.5)"),
}
# What the API server cannot say within its limits for the cost of a rule, or counts otherwise.
BEYOND_CEL = {
    "keys of route labels": manifest(
        NET, "RouteTable", {"hosts": ["a.b"], "http": [{"labels": {"a b": "c"}, "directResponse": {"status": 200}}]}
    ),
    "bytes of a body, not characters": manifest(
        NET,
        "RouteTable",
        {"hosts": ["a.b"], "http": [{"directResponse": {"status": 200, "body": "é" * 524_289}}]},
    ),
    "a name that another port has by default": manifest(
        NET,
        "ExternalService",
        {
            "hosts": ["a.b"],
            "ports": [{"number": 80, "protocol": "HTTP"}, {"number": 81, "protocol": "HTTP", "name": "http-80"}],
        },
    ),
}
# Forms of a duration whose parts are whole milliseconds only together.
BEYOND_US = {
    "half milliseconds": manifest(RESILIENCE, "OutlierDetectionPolicy", {"config": {"interval": "0.5ms0.5ms"}}),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManifestsApi]:
    """With all definitions established."""
    with asyncio.Runner() as runner:
        server = running_api_server("one", tmp_path_factory.mktemp("kube") / "one")
        with ManifestsApi(runner.run(server.__aenter__())) as made:
            try:
                taken = [made.define(yaml.safe_load(file.read_text())) for file in sorted(DEFINITIONS.iterdir())]
                assert [one for one in taken if one.status != 201] == []
                runner.run(until(lambda: all(made.serves(kind) for kind in KINDS), 60, made.conditions))
                yield made
            finally:
                runner.run(server.__aexit__(None, None, None))


def test_all_definitions_are_established(api: ManifestsApi) -> None:
    found = api.conditions()
    assert len(found) == 70
    assert {name for name, conditions in found.items() if not conditions >= {"Established", "NamesAccepted"}} == set()


def test_none_has_a_schema_that_is_not_structural(api: ManifestsApi) -> None:
    """Otherwise the API server would prune nothing and say so in a condition."""
    assert {name for name, conditions in api.conditions().items() if "NonStructuralSchema" in conditions} == set()


@pytest.mark.spec("R-185")
@pytest.mark.parametrize("example", examples(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_example_is_accepted_and_kept_whole(api: ManifestsApi, example: dict[str, Any]) -> None:
    verdict = api.try_out(example)
    assert (verdict.status, verdict.unknown) == (201, ()), verdict.message
    assert verdict.stored.get("spec") == example.get("spec")
    assert verdict.stored["metadata"].get("labels") == example["metadata"].get("labels")


@pytest.mark.spec("M-69")
@pytest.mark.parametrize("kind", [one for one in KINDS if one.model is None], ids=lambda kind: kind.kind)
def test_a_kind_without_a_model_takes_anything(api: ManifestsApi, kind: Kind) -> None:
    spec = {"a": {"b": [1, "two", {"c": True}]}}
    one = manifest(kind.api_version, kind.kind, spec)
    assert api.try_out(one).stored["spec"] == spec
    report = validated(one)
    assert not refused(report)
    said = f"the object has no effect: {kind.kind} is not implemented in this version"
    assert [found.message for found in report.findings if found.level is Level.WARNING] == [said]


@pytest.mark.spec("R-183", "R-184", "R-160", "R-34", "R-83", "R-108", "M-23", "D-31", "D-66", "P-101", "W-7")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda one: f"{one.manifest['kind']}-{one.path}-{one.message[:60]}")
def test_what_breaks_a_rule_is_refused_with_field_and_reason(api: ManifestsApi, case: Refusal) -> None:
    verdict = api.try_out(case.manifest)
    assert verdict.status == 422
    assert case.path in verdict.message
    messages = [message for path, message in verdict.causes if path == case.path]
    assert messages, verdict.causes
    assert [message for message in messages if message.endswith(case.message)], messages
    assert refused(validated(case.manifest)), "the API server refuses what validate accepts"


@pytest.mark.spec("R-183")
@pytest.mark.parametrize("good", accepted(), ids=lambda one: one["kind"])
def test_what_keeps_the_rule_is_accepted(api: ManifestsApi, good: dict[str, Any]) -> None:
    verdict = api.try_out(good)
    assert verdict.status == 201, verdict.message
    assert not refused(validated(good))


@pytest.mark.spec("M-67")
def test_negative_attempts_are_refused_although_no_server_of_ours_runs(api: ManifestsApi) -> None:
    spec = {"config": {"retries": {"attempts": -1}}}
    verdict = api.try_out(manifest(RESILIENCE, "RetryTimeoutPolicy", spec))
    assert verdict.status == 422
    assert "spec.config.retries.attempts" in verdict.message
    spec["config"]["retries"]["attempts"] = 0
    assert api.try_out(manifest(RESILIENCE, "RetryTimeoutPolicy", spec)).status == 201


def test_unknown_fields_are_dropped_with_a_warning_except_below_http(api: ManifestsApi) -> None:
    listener = {"http": {"later": {"a": 1}}, "port": {"number": 80}, "later": 1}
    verdict = api.try_out(manifest(NET, "VirtualGateway", {"listeners": [listener]}))
    assert verdict.unknown == ("spec.listeners[0].later",)
    assert verdict.stored["spec"]["listeners"] == [{"http": {"later": {"a": 1}}, "port": {"number": 80}}]


@pytest.mark.spec("M-69", "C-28")
def test_api_server_and_validate_agree_on_a_corpus(api: ManifestsApi) -> None:
    differ: list[tuple[str, str, object]] = []
    refusals_seen = warned = 0
    specimens = corpus(250)
    for name, one in specimens:
        verdict, report = api.try_out(one), validated(one)
        refusals_seen += verdict.refused
        if verdict.refused != refused(report):
            differ.append((name, verdict.message, errors(report)))
        elif not verdict.refused:
            unknown = {found.path for found in report.findings if found.code == "UnknownField"}
            warned += bool(unknown)
            if unknown != set(verdict.unknown):
                differ.append((name, str(verdict.unknown), sorted(unknown)))
    assert differ == []
    assert len(specimens) >= 500
    assert len(specimens) * 0.3 < refusals_seen < len(specimens) * 0.7, "one-sided"
    assert warned > 20


@pytest.mark.spec("M-69")
@pytest.mark.parametrize("why", BEYOND_CEL)
def test_what_only_validate_refuses(api: ManifestsApi, why: str) -> None:
    assert api.try_out(BEYOND_CEL[why]).status == 201
    assert refused(validated(BEYOND_CEL[why]))


@pytest.mark.spec("M-69")
@pytest.mark.parametrize("why", BEYOND_US)
def test_what_only_the_api_server_refuses(api: ManifestsApi, why: str) -> None:
    assert api.try_out(BEYOND_US[why]).status == 422
    assert not refused(validated(BEYOND_US[why]))


def validated(one: dict[str, Any]) -> Report:
    return validate_path(["-"], stdin=json.dumps(one).encode())


def refused(report: Report) -> bool:
    """By the object alone: what costs only a part of it, or needs others to be seen, comes later."""
    return any(not is_later(code, path) for code, path, _ in errors(report))


def is_later(code: str, path: str) -> bool:
    pattern, _ = LATER.get(code, ("", ""))
    return bool(pattern) and re.fullmatch(pattern, path) is not None


def errors(report: Report) -> list[tuple[str, str, str]]:
    return [(found.code, found.path, found.message) for found in report.findings if found.level is Level.ERROR]


def test_the_columns_show_what_users_ask_for_first(api: ManifestsApi) -> None:
    assert api.columns(find("RouteTable")) == ["Name", "State", "Gateways", "Age", "Message"]
    assert api.columns(find("Workspace")) == ["Name", "State", "Age", "Message"]
    assert api.columns(find("XdsConfig")) == ["Name", "Age"], "it has no status"
