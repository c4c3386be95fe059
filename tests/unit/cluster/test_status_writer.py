"""A writer of statuses asks before each write whether it still speaks for the cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fingerpost.cluster.status_writer import StatusWriter
from fingerpost.objects import ObjectKey
from tests.fleet.fleet_network import until

_COUNT = 15  # less than a round may write


class _Sink:
    """Loses the lead with its first write, as a process that is stopped in the middle of a round."""

    outputs = None

    def __init__(self) -> None:
        self.leads, self.asked = True, 0
        self.written: list[str] = []

    def mine(self) -> bool:
        self.asked += 1
        return self.leads

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        if not self.written:
            self.leads, self.asked = False, 0
        self.written.append(key.name)
        return True

    def status(self, key: ObjectKey) -> Any:
        return None

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None:
        return None


class _Store:
    """A cluster that takes what is another one, as clusters do, and counts."""

    outputs = None

    def __init__(self) -> None:
        self.held: dict[ObjectKey, Mapping[str, Any]] = {}
        self.written: Counter[ObjectKey] = Counter()
        self.heard: Callable[[ObjectKey], None] = lambda _key: None

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        self.held[key] = status
        self.written[key] += 1
        return True

    def status(self, key: ObjectKey) -> Any:
        return self.held.get(key)

    def state(self, key: ObjectKey) -> str:
        return str(self.held.get(key, {}).get("common", {}).get("State", {}).get("approval"))

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None:
        self.heard = heard


@pytest.mark.spec("P-43", "R-173")
async def test_a_status_is_written_when_its_content_is_another_and_only_then() -> None:
    sink = _Store()
    writer = StatusWriter(sink)
    policy = ObjectKey("resilience.policy.gloo.solo.io/OutlierDetectionPolicy", "mgmt", "shop", "od")
    others = [policy._replace(name=f"other-{number}") for number in range(3)]
    running = asyncio.create_task(writer.run())
    try:
        for state in ("PENDING", "ACCEPTED", "ACCEPTED", "ACCEPTED", "INVALID"):
            for key in (policy, *others):
                writer.put(key, {"common": {"State": {"approval": state if key == policy else "ACCEPTED"}}})
            await until(lambda state=state: sink.state(policy) == state and sink.held.keys() >= {*others})
            sink.heard(policy)  # as its own write comes back with the next listing
        assert sink.written[policy] == 3
        assert [sink.written[key] for key in others] == [1, 1, 1]
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.spec("M-63")
async def test_who_leads_no_longer_ends_in_the_middle_of_a_round_and_goes_on_when_it_leads_again() -> None:
    sink = _Sink()
    writer = StatusWriter(sink, sink.mine)
    names = [f"t{number}" for number in range(_COUNT)]
    for name in names:
        writer.put(ObjectKey("networking.gloo.solo.io/RouteTable", "mgmt", "shop", name), {"a": 1})
    running = asyncio.create_task(writer.run())
    try:
        await until(lambda: not sink.leads and sink.asked >= 2, why="it has asked again")
        assert len(sink.written) == 1
        sink.leads = True
        await until(lambda: sorted(sink.written) == sorted(names), why="nothing is lost")
    finally:
        running.cancel()
        await asyncio.wait([running])
