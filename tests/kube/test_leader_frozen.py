"""The leader of two servers is stopped for a while (relay.md §9.1): a real Lease, real processes, real time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from mgmt.leading import NAME
from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

_FROZEN = 60.0
_WRITES = ("PATCH", "POST", "PUT", "DELETE")


async def _holder(fleet: KubeFleet) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{m.ADMIN_NAMESPACE}/leases/{NAME}"
    answer = await fleet.kubes["mgmt"].http.get(path)
    return str(answer.json()["spec"]["holderIdentity"]) if answer.is_success else ""


async def _generation_said(fleet: KubeFleet) -> int:
    found = (await fleet.kubes["mgmt"].get(fleet.www(""))).get("status", {})
    return int(found.get("common", {}).get("State", {}).get("observedGeneration", 0))


@pytest.mark.timeout(200)
@pytest.mark.spec("M-63")
async def test_a_frozen_leader_is_replaced_and_makes_no_write_of_a_leader_when_it_wakes(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_kube_fleet(tmp_path, "east", limit=180) as fleet:
        await fleet.apply_world()
        door = await fleet.stand_before("mgmt")  # the way of the one that will be frozen
        config = {"directory": None, "kubeconfig": door.kubeconfig(), "redis_url": redis.url}
        frozen = fleet.start_server_process(replica="frozen", state_dir=tmp_path / "frozen", **config)
        await frozen.ready("mgmt.server.ready")
        await until(lambda: _said(fleet, 1), 20, "the leader writes statuses")
        assert await _holder(fleet) == "frozen"
        del fleet.doors["mgmt"]
        other = await fleet.start_server(redis_url=redis.url, replica="other", state_dir=tmp_path / "other")
        assert not other.leads

        frozen.signal(signal.SIGSTOP)
        began = time.monotonic()
        await fleet.apply("mgmt", fleet.www("/basket"))
        await until(lambda: other.leads, 20, "another one leads")
        assert await _holder(fleet) == "other"
        await until(lambda: _said(fleet, 2), 20, "and writes statuses")
        asked = len(door.asked)
        await until(lambda: time.monotonic() - began > _FROZEN, _FROZEN + 5)
        await fleet.apply("mgmt", fleet.www("/trolley"))  # something to write for both
        frozen.signal(signal.SIGCONT)
        await until(lambda: _said(fleet, 3), 20, "the status goes on")
        # it has woken: its watches end and begin anew, or it looks at the Lease
        await until(lambda: any(a.path.endswith(NAME) for a in door.asked[asked:]), 20, "it looks at the Lease")
        lost = len(door.asked)
        await until(lambda: sum(a.path.endswith(NAME) for a in door.asked[lost:]) >= 3, 20, "and again")
        assert [a for a in door.asked[asked:] if a.method in _WRITES and not a.path.endswith(NAME)] == []
        assert await _holder(fleet) == "other"


async def _said(fleet: KubeFleet, generation: int) -> bool:
    return await _generation_said(fleet) >= generation
