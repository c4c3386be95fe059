"""Each alert of the chart, evaluated by Prometheus itself: where it must fire, and where it must not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.kube import tools
from tests.kube.charts import Rendered, values

KIND = {"workspace": "all", "gvk": "networking.gloo.solo.io/v2, Kind=RouteTable", "namespace": "shop"}
_DAY = 86400


def named(metric: str, **labels: str) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{inner}}}"


def slow(metric: str, minutes: int, least: str, most: str) -> dict[str, str]:
    """A histogram in which all of each minute's observations lie between two bounds; afterwards there are none."""
    begun = f"0+60x{minutes} {60 * minutes}x120"
    return {
        named(f"{metric}_bucket", le=least): "0x200",
        named(f"{metric}_bucket", le=most): begun,
        named(f"{metric}_bucket", le="+Inf"): begun,
    }


def certificate(kind: str, cluster: str, left: float, lifetime: float) -> dict[str, str]:
    """`left` at the beginning; all that is looked at is within two hours."""
    return {
        named("relay_certificate_expiry_seconds", kind=kind, cluster=cluster): f"{left}-60x120",
        named("relay_certificate_lifetime_seconds", kind=kind, cluster=cluster): f"{lifetime}x120",
    }


class Case(NamedTuple):
    """`series`: by name with labels, the values of each minute. `says`: by the labels of what fires, its summary."""

    alert: str
    about: str
    at: str
    series: dict[str, str]
    says: tuple[tuple[dict[str, str], str], ...] = ()


TRANSLATION, RECONCILING = "gloo_mesh_translation_time_sec", "gloo_mesh_reconciler_time_sec"
_AWAY = "The agent of cluster east is not connected, or has not told everything yet."
_HELD = "Changes wait for cluster east, whose agent has not reported."
_REDIS = "The management server cannot reach its Redis."
_REJECTED = "Cluster east has objects of t that are not taken (r)."
_WARMED = named("relay_push_clients_warmed", cluster="east", pod="a")
_WARMED_AT_B = named("relay_push_clients_warmed", cluster="east", pod="b")
_REFUSED = named("relay_rejected_objects", cluster="east", type="t", reason="r")


def _expires(kind: str, cluster: str) -> tuple[tuple[dict[str, str], str], ...]:
    said = f"The {kind} certificate of the relay in cluster {cluster} expires soon."
    return (({"kind": kind, "cluster": cluster}, said),)


CASES = [
    *(
        case
        for alert, metric, lower, upper, said in (
            ("TranslationLatencyIsHigh", TRANSLATION, "10.0", "30.0", "translations takes more than 10 s"),
            ("ReconscilerLatencyIsHigh", RECONCILING, "60.0", "120.0", "reconciliations takes more than 80 s"),
        )
        for case in (
            Case(alert, "slow for long", "25m", slow(metric, 60, lower, upper), (({}, f"One of a hundred {said}."),)),
            Case(alert, "slow for a while", "25m", slow(metric, 10, lower, upper)),
            Case(alert, "fast", "25m", slow(metric, 60, "0.005", "0.01")),
        )
    ),
    Case("AgentsAreDisconnected", "away", "6m", {_WARMED: "1 0x10"}, (({"cluster": "east"}, _AWAY),)),
    Case("AgentsAreDisconnected", "away for a moment", "6m", {_WARMED: "1 1 0 0 1x10"}),
    Case("AgentsAreDisconnected", "there", "6m", {_WARMED: "1x10"}),
    Case("AgentsAreDisconnected", "gone to another replica", "9m", {_WARMED: "1 0 stale", _WARMED_AT_B: "_ _ 1x10"}),
    Case("AgentsAreDisconnected", "deregistered", "9m", {_WARMED: "1 0 stale"}),
    *(
        case
        for alert, metric, said in (
            ("TranslationWarnings", "translation_warning_total", "Translation warns about"),
            ("TranslationErrors", "translation_error_total", "Translation fails for"),
            ("TranslationErrors", "translation_error", "Translation fails for"),
        )
        for text in (f"{said} {KIND['gvk']} in namespace shop.",)
        for case in (
            Case(alert, f"{metric}, one more", "7m", {named(metric, **KIND): "3x5 4x20"}, ((KIND, text),)),
            Case(alert, f"{metric}, the first", "7m", {named(metric, **KIND): "_x5 1x20"}, ((KIND, text),)),
            Case(alert, f"{metric}, long ago", "19m", {named(metric, **KIND): "_x5 1x20"}),
            Case(alert, f"{metric}, no more", "9m", {named(metric, **KIND): "3x20"}),
        )
    ),
    Case("RedisErrors", "one", "7m", {"gloo_mesh_redis_sync_err_total": "0x5 1x20"}, (({}, _REDIS),)),
    Case("RedisErrors", "long ago", "19m", {"gloo_mesh_redis_sync_err_total": "0x5 1x20"}),
    Case("RedisErrors", "none", "9m", {"gloo_mesh_redis_sync_err_total": "0x20"}),
    *(
        Case("CertificateExpiresSoon", f"{kind}, 29 days of ten years", "90m", series, _expires(kind, "mgmt"))
        for kind in ("root", "signing", "server")
        for series in (certificate(kind, "mgmt", 29 * _DAY, 3650 * _DAY),)
    ),
    *(
        Case("CertificateExpiresSoon", f"{kind}, {left} of {lifetime} days", "90m", series, _expires(kind, "a"))
        for kind, left, lifetime in (("client", 5.9, 30), ("client", 0.19, 1), ("server", 17, 90), ("client", 40, 365))
        for series in (certificate(kind, "a", left * _DAY, lifetime * _DAY),)
    ),
    *(
        Case("CertificateExpiresSoon", f"{kind}, {left} of {lifetime} days", "90m", series)
        for kind, left, lifetime in (("client", 6.2, 30), ("client", 0.8, 1), ("server", 60, 90), ("server", 31, 365))
        for series in (certificate(kind, "a", left * _DAY, lifetime * _DAY),)
    ),
    Case("CertificateExpiresSoon", "for less than an hour", "50m", certificate("client", "a", _DAY, 30 * _DAY)),
    Case(
        "TranslationHeld",
        "for long",
        "12m",
        {named("relay_translation_held", cluster="east"): "0 1x20"},
        (({"cluster": "east"}, _HELD),),
    ),
    Case("TranslationHeld", "for a while", "12m", {named("relay_translation_held", cluster="east"): "0 1x8 0x9"}),
    Case(
        "ObjectsRejected",
        "for long",
        "12m",
        {_REFUSED: "0 2x20"},
        (({"cluster": "east", "type": "t", "reason": "r"}, _REJECTED),),
    ),
    Case("ObjectsRejected", "mended", "12m", {_REFUSED: "0 2x8 stale"}),
    Case("ObjectsRejected", "none", "12m", {_REFUSED: "0x20"}),
]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The groups of the PrometheusRule, in the file that Prometheus' operator makes of them."""
    rule = Rendered(values("high-availability")).one("PrometheusRule", "gloo-platform-alerts")
    file = tmp_path_factory.mktemp("alerts") / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": rule["spec"]["groups"]}))
    return file


def promtool(*arguments: str) -> str:
    """What it says; "" when all is well."""
    done = subprocess.run([tools.binary("promtool"), *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.spec("M-75")
def test_prometheus_takes_the_rules(rules: Path) -> None:
    assert promtool("check", "rules", str(rules)) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.about}")
@pytest.mark.spec("M-75")
def test_an_alert_fires_when_it_must_and_only_then(rules: Path, tmp_path: Path, case: Case) -> None:
    expected = [
        {"exp_labels": {"severity": "warning", **labels}, "exp_annotations": {"summary": summary}}
        for labels, summary in case.says
    ]
    looked_at = {"eval_time": case.at, "alertname": f"GlooPlatform{case.alert}", "exp_alerts": expected}
    story = {
        "interval": "1m",
        "input_series": [{"series": name, "values": numbers} for name, numbers in case.series.items()],
        "alert_rule_test": [looked_at],
    }
    file = tmp_path / "story.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [story]}))
    assert promtool("test", "rules", str(file)) == ""


def test_every_alert_is_tried_both_ways(rules: Path) -> None:
    shipped = {rule["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}
    for fires in (True, False):
        assert {f"GlooPlatform{case.alert}" for case in CASES if bool(case.says) == fires} == shipped
