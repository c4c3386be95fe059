"""`status.arrival` follows what agents answer, and gateways that come and go, whenever that is (D9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from mgmt.publish.arrival import Arrivals, ArrivalView
from mgmt.status import arrival
from mgmt.status.arrival import ArrivalStatuses
from mgmt.translate.status import ApprovalState, Status
from tests.unit.relay.support import until

TABLE = ObjectKey("networking.gloo.solo.io/RouteTable", "mgmt", "shop", "www")
EAST, WEST = ("east", "gw/ingress"), ("west", "gw/ingress")
SEQ = 5


class World:
    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.written: dict[ObjectKey, Mapping[str, Any] | None] = {}
        self.looks = 0
        self.statuses = ArrivalStatuses(
            [TABLE.type],
            self.arrivals,
            lambda key, _status, arrival: self.written.__setitem__(key, arrival),
            self.written.get,
            self._look,
            lambda _: False,
            lambda: self.arrivals.gateways,
        )

    def _look(self) -> Any:
        self.looks += 1
        return self._view

    def _view(self, key: ObjectKey) -> ArrivalView:
        return self.arrivals.of(key.contribution, SEQ, self.arrivals.gateways, ("east", "west"))

    @property
    def told(self) -> Any:
        return (self.written.get(TABLE) or {}).get("gateways", "")

    def answer(self, cluster: str, watermark: int) -> None:
        self.arrivals.applied(cluster, watermark, [ScopeApplied(scope="gw/ingress", watermark=watermark, proxies=1)])


@asynccontextmanager
async def _running(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.statuses.run())
    yield
    assert not task.done()
    task.cancel()


@pytest.mark.spec("M-57")
async def test_a_gateway_that_comes_right_after_an_answer_is_told_of() -> None:
    world = World()
    world.statuses.put(TABLE, Status(approval=ApprovalState.ACCEPTED, observed_generation=1))
    async with _running(world):
        await until(lambda: world.looks > 0)
        world.arrivals.changed.ring()  # compared at once, then there is a pause
        await asyncio.sleep(0)
        world.arrivals.expect(EAST)
        world.answer("east", SEQ)
        await until(lambda: world.told == "1/1")


@pytest.mark.spec("M-57")
async def test_a_gateway_that_never_answered_counts_and_one_that_went_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "_PARTLY", 0.1)
    world = World()
    world.arrivals.expect(EAST)
    world.answer("east", SEQ)
    world.statuses.put(TABLE, Status(approval=ApprovalState.ACCEPTED, observed_generation=1))
    async with _running(world):
        await until(lambda: world.told == "1/1")
        world.arrivals.expect(WEST)
        await until(lambda: world.told == "1/2")
        world.arrivals.forget(WEST)
        await until(lambda: world.told == "1/1")
