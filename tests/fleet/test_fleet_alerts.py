"""Every metric that an alert of the chart asks for is there, with the labels that it asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from mgmt.translate.check.regex import regex_problem
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import until

_ALERTS = Path(__file__).parents[2] / "charts" / "gloo-platform" / "files" / "alerts.yaml"
_WORD = re.compile(r'__name__=~"([^"]+)"|\b((?:gloo_mesh|relay|translation)_\w+)')
_BROKEN = "/broken/(unclosed"  # what Envoy refuses, once our own check is blind to it
_DAY = 86400.0


def asked_for() -> dict[str, set[str]]:
    """By alert: patterns of the names of metrics."""
    alerts = yaml.safe_load(_ALERTS.read_text())
    return {a["alert"]: {pattern or name for pattern, name in _WORD.findall(a["expr"])} for a in alerts}


async def series(fleet: Fleet, admin: int) -> dict[str, list[dict[str, str]]]:
    text = await fleet.client.text(admin, "/metrics")
    out: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            out.setdefault(sample.name, []).append(sample.labels | {"": str(sample.value)})
    return out


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
@pytest.mark.spec("M-75")
async def test_what_the_alerts_ask_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = "mgmt.translate.routing.matchers.regex_problem"
    monkeypatch.setattr(blind, lambda text: None if text == _BROKEN else regex_problem(text))
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        fleet.start_envoy(await fleet.start_agent("east", server.relay.port))
        fleet.write("mgmt", "fine.yaml", m.table("fine", [m.says("/fine", "fine")]))
        await fleet.answers("east", "/fine", "fine", host="fine.example")
        fleet.write("mgmt", "odd.yaml", m.table("odd", [m.says("/", "x") | {"retryy": 3}]))
        wrong = [m.says("/", "x") | {"matchers": [{"uri": {"regex": "/a(b"}}]}]
        fleet.write("mgmt", "wrong.yaml", m.table("wrong", wrong))
        refused = [m.says("/", "x") | {"matchers": [{"uri": {"regex": _BROKEN}}]}]
        fleet.write("mgmt", "refused.yaml", m.table("refused", refused))
        missing: set[str] = set()
        found: dict[str, list[dict[str, str]]] = {}

        async def all_there() -> bool:
            found.clear()
            found.update(await series(fleet, server.admin_port))
            wanted = {pattern for patterns in asked_for().values() for pattern in patterns}
            missing.clear()
            missing.update(p for p in wanted if not any(re.fullmatch(p, name) for name in found))
            return not missing

        assert len(asked_for()) == 9, "each alert names a metric"
        assert all(asked_for().values())
        await until(all_there, why=lambda: f"missing: {missing}")
        about = {"workspace": "all", "gvk": "networking.gloo.solo.io/v2, Kind=RouteTable", "namespace": "shop"}
        for name in ("translation_warning_total", "translation_error_total"):
            assert any(about.items() <= labels.items() for labels in found[name]), (name, found[name])
        (rejected,) = found["relay_rejected_objects"]
        assert (rejected["cluster"], rejected["type"]) == ("east", "networking.gloo.solo.io/RouteTable")
        left = {(s["kind"], s["cluster"]): float(s[""]) for s in found["relay_certificate_expiry_seconds"]}
        assert left.keys() == {("root", "mgmt"), ("server", "mgmt"), ("signing", "mgmt"), ("client", "east")}
        assert 29 * _DAY < left["client", "east"] < 30 * _DAY < left["server", "mgmt"] < left["root", "mgmt"]
        fleet.write("mgmt", "refused.yaml", m.table("refused", [m.says("/", "mended")]))
        await fleet.answers("east", "/", "mended", host="refused.example")

        async def taken() -> bool:
            return "relay_rejected_objects" not in await series(fleet, server.admin_port)

        await until(taken, why="what is taken again is counted no longer")
