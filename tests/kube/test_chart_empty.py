"""Values with nothing after the colon. Helm takes the default away then, so the chart sees no value at all."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.errors import HelmError

from tests.kube.charts import CRDS, NAMES, PLATFORM, Rendered, values

Path_ = tuple[str, ...]
Values = dict[str, Any]

# All that the chart can make in one release.
_ALL: Values = {
    "common": {"cluster": "mgmt"},
    "glooMgmtServer": {"enabled": True, "registerCluster": True},
    "networkPolicies": {"enabled": True},
    "monitoring": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
}
_ON = {  # what _ALL gives: without it something else is made, or refused
    ("common", "cluster"),
    ("glooMgmtServer", "enabled"),
    ("glooMgmtServer", "registerCluster"),
    ("networkPolicies", "enabled"),
    ("monitoring", "serviceMonitor", "enabled"),
    ("monitoring", "prometheusRule", "enabled"),
}


def _below(part: Values, at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    for name, value in part.items():
        yield (*at, name), value
        if isinstance(value, dict):
            yield from _below(value, (*at, name))


def defaults(chart: Path) -> list[tuple[Path_, Any]]:
    return list(_below(yaml.safe_load((chart / "values.yaml").read_text())))


def may_be_empty(path: Path_, default: Any) -> bool:
    """Where nothing is the default anyway, and what files for the reference leave without a value."""
    relay = "relay" in path and any(name.endswith("Secret") for name in path)
    also = path[0] in ("telemetryCollector", "installEnterpriseCrds") or path == ("redis", "deployment", "image", "tag")
    return not default or relay or also


def emptied(given: Values, path: Path_) -> Values:
    out = copy.deepcopy(given)
    part = out
    for step in path[:-1]:
        part = part.setdefault(step, {})
    part[path[-1]] = None
    return out


@cache
def usual(chart: Path) -> list[dict[str, Any]]:
    return Rendered(_ALL if chart == PLATFORM else {}, chart).objects


CASES = [(chart, path, default) for chart in (PLATFORM, CRDS) for path, default in defaults(chart) if path not in _ON]
_EACH = [pytest.param(*case, id=".".join(case[1])) for case in CASES if "resources" not in case[1]]
_RESOURCES = [pytest.param(path, id=".".join(path)) for chart, path, _ in CASES if "resources" in path]


@pytest.mark.parametrize(("chart", "path", "default"), _EACH)
@pytest.mark.spec("M-84")
def test_an_empty_value_is_the_default_or_refused_with_its_path(chart: Path, path: Path_, default: Any) -> None:
    given = emptied(_ALL if chart == PLATFORM else {}, path)
    if may_be_empty(path, default):
        assert Rendered(given, chart).objects == usual(chart)
        return
    with pytest.raises(HelmError) as refusal:
        Rendered(given, chart)
    above = "".join(f"/{name}" for name in path[:-1])
    by_schema = f"at '{above}': missing property '{path[-1]}'"
    by_words = f"these values cannot work:\n{'.'.join(path)} is empty: give "
    assert [said for said in (by_schema, by_words) if said in str(refusal.value)]


@pytest.mark.parametrize("path", _RESOURCES)
def test_resources_that_are_emptied_are_not_asked_for(path: Path_) -> None:
    found = Rendered(emptied(_ALL, path)).objects
    assert found != usual(PLATFORM)
    assert [_without(obj, "resources") for obj in found] == [_without(obj, "resources") for obj in usual(PLATFORM)]
    asked = [
        container["resources"]
        for obj in found
        if obj["kind"] == "Deployment"
        for container in obj["spec"]["template"]["spec"]["containers"]
    ]
    left = {"resources": None, "requests": {}, "cpu": {"memory"}, "memory": {"cpu"}}[path[-1]]
    assert [one for one in asked if (set((one or {}).get("requests", ())) or one) == left]


def _without(part: Any, name: str) -> Any:
    if isinstance(part, dict):
        return {key: _without(value, name) for key, value in part.items() if key != name}
    return [_without(one, name) for one in part] if isinstance(part, list) else part


@pytest.mark.parametrize("name", NAMES)
def test_whatever_may_be_empty_may_be_so_together(name: str) -> None:
    given = values(name)
    named = {path for path, _ in _below(given)}
    empty = copy.deepcopy(given)
    for path, default in defaults(PLATFORM):
        if may_be_empty(path, default) and not isinstance(default, dict) and path not in named:
            empty = emptied(empty, path)
    assert empty != given
    assert Rendered(empty).objects == Rendered(given).objects


@pytest.mark.parametrize("part", [("glooMgmtServer",), ("glooAgent",), ("redis", "deployment")], ids=lambda p: p[0])
def test_who_leaves_the_user_to_the_platform_needs_no_id(part: Path_) -> None:
    given = emptied(_ALL, (*part, "runAsUser"))
    below = given
    for step in part:
        below = below[step]
    below["floatingUserId"] = True
    assert Rendered(given).all("Deployment")


@pytest.mark.spec("M-2")
@pytest.mark.parametrize("name", NAMES)
def test_no_rule_of_a_network_policy_allows_everything(name: str) -> None:
    given = values(name)
    given.setdefault("networkPolicies", {})["enabled"] = True
    for policy in Rendered(given).all("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            assert rule.get("ports") or rule.get("to"), rule
