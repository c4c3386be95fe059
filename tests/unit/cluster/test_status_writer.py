"""A writer of statuses asks before each write whether it still speaks for the cluster."""

from __future__ import annotations

import asyncio
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
