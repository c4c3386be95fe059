"""What the chart asks of every container, those that users add included."""

from __future__ import annotations

import pytest

from tests.kube.charts import NAMES, Rendered, pods, values


@pytest.mark.parametrize("name", NAMES)
def test_why_a_container_ended_is_in_the_status_of_its_pod(name: str) -> None:
    containers = [c for pod in pods(Rendered(values(name)).objects) for c in pod["spec"]["containers"]]
    assert {c.get("terminationMessagePolicy") for c in containers} == {"FallbackToLogsOnError"}


def test_who_brings_a_sidecar_may_choose_what_is_said_of_its_end() -> None:
    given = values("high-availability")
    given["glooMgmtServer"]["sidecars"]["log-shipper"]["terminationMessagePolicy"] = "File"
    spec = Rendered(given).one("Deployment", "gloo-mesh-mgmt-server")["spec"]["template"]["spec"]
    assert [c["terminationMessagePolicy"] for c in spec["containers"]] == ["FallbackToLogsOnError", "File"]
