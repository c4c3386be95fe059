"""Events about users' objects on a real API server: what went wrong, once, and that it is mended."""

from __future__ import annotations

from typing import Any

from fingerpost.cluster.announcements import of_status
from tests.fleet.fleet_network import settled, until
from tests.kube.api_server import ApiServer
from tests.kube.kube_client import KubeClient, namespace, route_table
from tests.kube.test_statuses import key, reads, says, writing


def _wrong(message: str, **more: Any) -> dict[str, Any]:
    return {"common": {"State": {"approval": "INVALID", "message": message, "observedGeneration": 1}}, **more}


async def _events(kube: KubeClient, where: str) -> list[dict[str, Any]]:
    answer = await kube.http.get(f"/apis/events.k8s.io/v1/namespaces/{where}/events")
    return sorted(answer.json()["items"], key=lambda event: str(event["eventTime"]))


async def _reasons(kube: KubeClient, where: str, *expected: str) -> list[dict[str, Any]]:
    async def there() -> bool:
        return [e["reason"] for e in await _events(kube, where)] == list(expected)

    await until(there, why=f"Events {expected}")
    return await _events(kube, where)


async def test_what_is_wrong_is_said_once_and_that_it_is_mended(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("said"), route_table("said", "www", "a.example"))
    for _ in range(2):  # the second process finds it said
        async with writing(shared_server.kubeconfig()) as (cluster, writer):
            await until(lambda cluster=cluster: cluster.held(key("said")), why="listed")
            writer.put(key("said"), _wrong("no host"))
            await reads(kube, "said", _wrong("no host"))
            (event,) = await _reasons(kube, "said", "Invalid")
    uid = (await kube.get(route_table("said", "www", "")))["metadata"]["uid"]
    assert (event["type"], event["note"]) == ("Warning", "no host")
    assert event["regarding"]["uid"] == uid
    assert event["reportingController"].startswith("fingerpost.dev/")
    async with writing(shared_server.kubeconfig()) as (cluster, writer):
        await until(lambda: cluster.held(key("said")), why="listed")
        refused = {"gateways": "0/1", "missing": [{"gateway": "east/gw/ingress", "reason": "Refused: bad regex"}]}
        waits = {"gateways": "0/1", "missing": [{"gateway": "east/gw/ingress", "reason": "on its way"}]}
        for arrival in (waits, refused, waits, refused):  # said already within ten minutes
            await kube.get(route_table("said", "www", ""))
            writer.put(key("said"), says("ACCEPTED") | {"arrival": arrival})
            await reads(kube, "said", says("ACCEPTED") | {"arrival": arrival})
        found = await _reasons(kube, "said", "Invalid", "Accepted", "Refused")
        assert found[-1]["note"] == "east/gw/ingress: bad regex"
        count = len(await _events(kube, "said"))
        await settled(lambda: writer._announcer and writer._announcer._due.qsize(), 0.5)
        assert len(await _events(kube, "said")) == count


def test_a_second_cluster_of_a_name_is_announced_once() -> None:
    def status(connected: str, conflict: str, message: str) -> dict[str, Any]:
        kinds = {"Connected": (connected, ""), "Conflict": (conflict, message)}
        return {"conditions": [{"type": t, "status": s, "message": m} for t, (s, m) in kinds.items()]}

    first, again = status("True", "True", "two clusters at :1"), status("True", "True", "two clusters at :2")
    assert [(a.reason, a.note) for a in of_status(None, first)][1:] == [("Conflict", "two clusters at :1")]
    assert list(of_status(first, again)) == []
    assert [a.reason for a in of_status(again, status("False", "False", ""))] == ["Disconnected"]
