"""OutlierDetectionPolicy: which ports it selects, what it sets, what its status says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from fingerpost.api.base import decode_hook
from fingerpost.api.resilience.outlier_detection_policy import OutlierDetectionPolicy, OutlierDetectionPolicySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Reporter, Severity
from mgmt.translate.check.outlier_detection_policy import check
from mgmt.translate.ir import DestinationSettings, OutlierDetection
from mgmt.translate.policy import DESTINATION_POLICIES, outlier_detection_policy
from mgmt.translate.policy.destination_policies import (
    Applied,
    DestinationPolicy,
    apply_in_order,
    settle_destinations,
)
from mgmt.translate.policy.selectors import DestinationPort, Selectable
from mgmt.translate.routing.destination_views import EXTERNAL_SERVICE, SERVICE, VIRTUAL_DESTINATION, NamedPort

PORTS = (NamedPort(80, "http-80"), NamedPort(81, "http-81"))
CART = Selectable(
    key=ObjectKey(VIRTUAL_DESTINATION, "east", "shop", "cart"),
    workspace="shop",
    labels=(("failover", "true"),),
    ports=PORTS,
)
LEGACY = Selectable(
    key=ObjectKey(EXTERNAL_SERVICE, "east", "shop", "legacy"), workspace="shop", labels=(), ports=PORTS[:1]
)
IMPORTED = Selectable(
    key=ObjectKey(VIRTUAL_DESTINATION, "east", "data", "db"), workspace="data", labels=(), ports=PORTS[:1]
)
PLAIN = Selectable(key=ObjectKey(SERVICE, "east", "shop", "plain"), workspace="shop", labels=(), ports=PORTS[:1])
KIND = next(kind for kind in DESTINATION_POLICIES if kind.type == outlier_detection_policy.TYPE)
ALL = (CART, LEGACY, IMPORTED, PLAIN)


def spec(text: str) -> OutlierDetectionPolicySpec:
    return msgspec.convert(yaml.safe_load(text), OutlierDetectionPolicySpec, dec_hook=decode_hook)


def policy(text: str, name: str = "od", created: str = "2026-01-01T00:00:00Z") -> DestinationPolicy:
    return DestinationPolicy(
        ObjectKey(outlier_detection_policy.TYPE, "east", "shop", name), created, "shop", spec(text)
    )


def settled(*policies: DestinationPolicy) -> Applied:
    return settle_destinations(KIND, policies, lambda workspace: ALL)


def targets(text: str) -> set[tuple[str, int]]:
    return {(t.object.name, t.port) for t in settled(policy(text)).winners}


def outlier(text: str) -> OutlierDetection:
    found = outlier_detection_policy.apply(spec(text), DestinationSettings()).outlier_detection
    assert found is not None
    return found


@pytest.mark.spec("P-99")
@pytest.mark.parametrize("text", ["{}", "{config: {}}"])
def test_defaults(text: str) -> None:
    found = outlier(text)
    assert (found.consecutive_errors, found.interval_ms, found.base_ejection_ms) == (5, 10_000, 30_000)
    assert (found.max_ejection_percent, found.gateway_errors) == (100, 0)


@pytest.mark.spec("P-100")
def test_explicit_zero_percent_is_the_data_planes_default() -> None:
    assert outlier("{config: {maxEjectionPercent: 0}}").max_ejection_percent is None
    assert outlier("{config: {maxEjectionPercent: 7}}").max_ejection_percent == 7


def test_all_fields() -> None:
    text = "{config: {consecutiveErrors: 2, interval: 1500ms, baseEjectionTime: 1m, consecutiveGatewayErrors: 1}}"
    assert outlier(text) == OutlierDetection(
        consecutive_errors=2, gateway_errors=1, interval_ms=1500, base_ejection_ms=60_000
    )
    assert DestinationSettings(outlier_detection=outlier(text)).prefer_locality


@pytest.mark.spec("P-12", "P-30")
@pytest.mark.parametrize("text", ["{}", "{applyToDestinations: []}"])
def test_no_selector_is_every_supported_destination_of_the_workspace(text: str) -> None:
    assert targets(text) == {("cart", 80), ("cart", 81), ("legacy", 80)}


@pytest.mark.spec("P-8", "P-4")
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("kind: VIRTUAL_DESTINATION", {("cart", 80), ("cart", 81)}),
        ("kind: VIRTUAL_DESTINATION, port: {number: 81}", {("cart", 81)}),
        ("kind: VIRTUAL_DESTINATION, port: {name: http-80}", {("cart", 80)}),
        ("kind: VIRTUAL_DESTINATION, port: {name: nope}", set()),
        ("kind: VIRTUAL_DESTINATION, selector: {labels: {failover: 'true', other: x}}", set()),
        ("kind: EXTERNAL_SERVICE, selector: {name: legacy}", {("legacy", 80)}),
    ],
)
def test_selectors(entry: str, expected: set[tuple[str, int]]) -> None:
    assert targets(f"{{applyToDestinations: [{{{entry}}}]}}") == expected


@pytest.mark.spec("P-14", "P-101")
@pytest.mark.parametrize("entry", ["{}", "{kind: SERVICE}"])
def test_services_make_the_policy_invalid(entry: str) -> None:
    text = f"{{metadata: {{}}, spec: {{applyToDestinations: [{{kind: VIRTUAL_DESTINATION}}, {entry}]}}}}"
    report = Reporter(ObjectKey(outlier_detection_policy.TYPE, "east", "shop", "od"))
    check(msgspec.convert(yaml.safe_load(text), OutlierDetectionPolicy), report)
    (problem,) = report.problems
    assert problem.severity is Severity.INVALID
    assert problem.path == "spec.applyToDestinations[1].kind"
    assert "SERVICE" in problem.message


@pytest.mark.spec("P-42", "P-18")
def test_count_includes_what_was_lost() -> None:
    old = policy("{applyToDestinations: [{kind: VIRTUAL_DESTINATION, port: {number: 80}}]}", "old")
    new = policy("{}", "new", "2026-02-01T00:00:00Z")
    none = policy("{applyToDestinations: [{kind: VIRTUAL_DESTINATION, selector: {name: none}}]}", "none")
    applied = settled(new, none, old)
    assert {k.name: n for k, n in applied.selected.items()} == {"old": 1, "new": 3, "none": 0}
    assert applied.winners[DestinationPort(CART.key, 80)].name == "old"
    assert applied.winners[DestinationPort(CART.key, 81)].name == "new"
    assert {(p.ref.name, p.severity) for p in applied.problems} == {("new", Severity.WARNING), ("none", Severity.INFO)}


@pytest.mark.spec("P-30")
def test_a_policy_that_selects_only_imported_destinations_is_warned() -> None:
    only = policy("{applyToDestinations: [{kind: VIRTUAL_DESTINATION, selector: {name: db}}]}")
    applied = settled(only)
    assert applied.winners == {}
    assert applied.selected[only.key] == 0
    assert [p.severity for p in applied.problems] == [Severity.WARNING]


def test_settings_of_a_port_come_from_the_winners_alone() -> None:
    winning: dict[str, Any] = {outlier_detection_policy.TYPE: spec("{config: {consecutiveErrors: 2}}")}
    found = apply_in_order(DESTINATION_POLICIES, winning, DestinationSettings()).outlier_detection
    assert found is not None
    assert found.consecutive_errors == 2
    assert apply_in_order(DESTINATION_POLICIES, {}, DestinationSettings()) == DestinationSettings()


@pytest.mark.spec("P-104")
def test_outside_endpoints_are_a_warning() -> None:
    key = ObjectKey(outlier_detection_policy.TYPE, "east", "shop", "od")
    problem = outlier_detection_policy.outside_problem(key, LEGACY.key, ["8.8.8.8"])
    assert problem is not None
    assert problem.severity is Severity.WARNING
    assert "shop/legacy" in problem.message
    assert outlier_detection_policy.outside_problem(key, LEGACY.key, []) is None
