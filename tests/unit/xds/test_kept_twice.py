"""The state of a gateway on the agent's disk and in its cluster: the newer one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Never

import msgspec
import pytest
from xds_support import GATEWAY, Rule, routes, table

from agent.apply.disk import Disk
from agent.apply.gateway import GatewayState, Key
from agent.apply.twice import KeptTwice
from agent.apply.xds_configs import XdsConfigs
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.objects import ObjectKey

pytestmark = pytest.mark.spec("M-9")


class _Objects(XdsConfigs):
    """Without an API server; `away` says why it cannot be read."""

    def __init__(self, *states: GatewayState, away: str = "") -> None:
        self.states, self.away = list(states), away
        self.told: list[GatewayState] = []

    async def read(self) -> list[GatewayState]:
        if self.away:
            raise ClusterFailed(self.away)
        return self.states

    def changed(self, state: GatewayState, touched: Collection[Key] | None = None) -> None:
        self.told.append(state)

    async def run(self) -> Never:
        raise AssertionError("not here")


def _state(version: int) -> GatewayState:
    state = GatewayState(GATEWAY)
    wanted = routes([Rule(table("a"), "cart", f"/{version}", host="a.example")])
    state.apply(version, {("routes", "http"): wanted}, {}, confirmed=True, now=version)
    return state


async def _disk(folder: Path, version: int) -> Disk:
    disk = Disk(folder)
    list(disk.load())
    disk.changed(_state(version))
    await disk.flush()
    return Disk(folder)


async def test_what_proxies_were_told_last_counts(tmp_path: Path) -> None:
    """Killed before it was written to the cluster."""
    objects = _Objects(_state(4))
    (found,) = await KeptTwice(await _disk(tmp_path, 5), objects).read()
    assert (found.version, found.wanted) == (5, _state(5).wanted)
    assert [state.version for state in objects.told] == [5]


async def test_a_disk_of_before_does_not_take_back_what_another_pod_has_told(tmp_path: Path) -> None:
    disk = await _disk(tmp_path, 5)
    (found,) = await KeptTwice(disk, _Objects(_state(7))).read()
    assert found.version == 7
    (kept,) = Disk(tmp_path).load()
    assert (kept.version, kept.wanted) == (7, _state(7).wanted)


async def test_a_new_pod_has_what_the_cluster_keeps(tmp_path: Path) -> None:
    disk, objects = Disk(tmp_path), _Objects(_state(7))
    (found,) = await KeptTwice(disk, objects).read()
    assert found.version == 7
    await disk.flush()
    (kept,) = Disk(tmp_path).load()
    assert kept.version == 7
    assert objects.told == []


async def test_without_the_api_server_the_disk_serves(tmp_path: Path) -> None:
    (found,) = await KeptTwice(await _disk(tmp_path, 5), _Objects(away="it is restarted")).read()
    assert found.version == 5
    with pytest.raises(ClusterFailed, match="it is restarted"):
        await KeptTwice(Disk(tmp_path / "new"), _Objects(away="it is restarted")).read()


class _SlowApi:
    """The first write never ends."""

    def __init__(self) -> None:
        self.asked, self.written = asyncio.Event(), 0

    async def own(self, type_: str) -> list[bytes]:
        return []

    async def apply(self, key: ObjectKey, obj: Mapping[str, Any], *, force: bool = True) -> bytes:
        if not self.asked.is_set():
            self.asked.set()
            await asyncio.Event().wait()
        self.written += 1
        return msgspec.json.encode(obj)

    async def remove(self, key: ObjectKey) -> None:
        raise AssertionError("nothing is to be removed")


async def test_an_end_in_the_middle_of_a_write_to_the_cluster_writes_again(tmp_path: Path) -> None:
    api = _SlowApi()
    kept = KeptTwice(Disk(tmp_path), XdsConfigs(api, "east", "gloo-mesh"))  # type: ignore[arg-type]  # the rest is not asked
    running = asyncio.create_task(kept.run())
    kept.changed(_state(1))
    await api.asked.wait()
    running.cancel()
    await asyncio.wait([running])
    assert api.written == 1
