"""How far a change has come, in the status of the object at the API server (design D9)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import settled, until
from tests.kube.faulty_api import FaultyApi
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

_TABLES = "/apis/networking.gloo.solo.io/v2/namespaces/shop/routetables"


async def _status(fleet: KubeFleet) -> dict[str, Any]:
    found: dict[str, Any] = (await fleet.kubes["mgmt"].get(fleet.www(""))).get("status", {})
    return found


async def _arrived(fleet: KubeFleet, generation: int, gateways: str) -> None:
    found: dict[str, Any] = {}

    async def so() -> bool:
        found.update((await _status(fleet)).get("arrival", {}))
        return found.get("generation") == generation and found.get("gateways") == gateways

    await until(so, 25, lambda: f"generation {generation} at {gateways}: {found}")


async def _row(fleet: KubeFleet, cluster: str = "mgmt", name: str = "www") -> dict[str, str]:
    """As `kubectl get` shows it."""
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await fleet.kubes[cluster].http.get(f"{_TABLES}/{name}", headers=accept)).json()
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


@pytest.mark.spec("M-57", "M-60", "R-171", "R-172", "R-173")
async def test_the_status_tells_where_a_change_is_and_costs_few_writes(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path) as fleet, AsyncExitStack() as stack:
        await fleet.apply_world()
        door = await fleet.stand_before("mgmt")
        server = await fleet.start_server()
        await fleet.start_agent("east", server.relay.port)
        await stack.enter_async_context(fleet.agent("west", server.relay.port))
        await _arrived(fleet, 1, "2/2")
        row = await _row(fleet)
        assert (row["State"], row["Gateways"], row["Message"]) == ("ACCEPTED", "2/2", "")

        await fleet.apply("east", m.table("own", [m.says("/own", "in east")]))
        await until(lambda: _told_by_its_agent(fleet), 25, "its agent writes it where it is")

        await settled(lambda: _patches(door), 2)
        door.asked.clear()
        await fleet.apply("mgmt", fleet.www("/basket"))
        await _arrived(fleet, 2, "2/2")
        await settled(lambda: _patches(door), 3)
        assert (await _status(fleet))["common"]["State"]["observedGeneration"] == 2
        assert 1 <= door.count("PATCH", "/routetables/www") <= 2
        assert _patches(door) <= 3, "and nobody else's status is written anew"

        await stack.aclose()
        await fleet.apply("mgmt", fleet.www("/trolley"))
        await _arrived(fleet, 3, "1/2")
        missing = (await _status(fleet))["arrival"]["missing"]
        assert missing == [{"gateway": "west/gw/ingress", "reason": "its agent is not connected"}]
        await fleet.start_agent("west", server.relay.port)
        await _arrived(fleet, 3, "2/2")

        said = await until(lambda: _said(fleet, "west", 3), why="Events tell of the agent that went and came")
        assert [(e["type"], e["reason"]) for e in said] == [
            ("Normal", "Connected"),
            ("Warning", "Disconnected"),
            ("Normal", "Connected"),
        ]

        await fleet.apply("mgmt", fleet.www("/trolley") | {"spec": {"hosts": [m.HOST], "http": [_nowhere()]}})
        await until(lambda: _invalid(fleet), why="the message says what is wrong")
        row = await _row(fleet)
        assert row["State"] in ("INVALID", "WARNING")
        assert "nowhere" in row["Message"]


async def _told_by_its_agent(fleet: KubeFleet) -> bool:
    row = await _row(fleet, "east", "own")
    return (row["State"], row["Gateways"]) == ("ACCEPTED", "2/2")


def _patches(door: FaultyApi) -> int:
    """Apart from renewals of the Lease."""
    return door.count("PATCH") - door.count("PATCH", "/leases/")


def _nowhere() -> m.Object:
    return m.to("/x", {"ref": {"name": "nowhere", "namespace": "shop"}, "port": {"number": 80}})


async def _invalid(fleet: KubeFleet) -> bool:
    return "nowhere" in (await _status(fleet))["common"]["State"]["message"]


async def _said(fleet: KubeFleet, cluster: str, count: int) -> list[dict[str, Any]]:
    path = f"/apis/events.k8s.io/v1/namespaces/{m.ADMIN_NAMESPACE}/events"
    items = (await fleet.kubes["mgmt"].http.get(path)).json()["items"]
    found = sorted((e for e in items if e["regarding"]["name"] == cluster), key=lambda e: str(e["eventTime"]))
    return found if len(found) >= count else []
