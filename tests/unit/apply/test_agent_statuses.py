"""The status that an agent writes: what is found in an object and how far it has come, whichever is known first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from agent.statuses import Statuses
from fingerpost.objects import ObjectKey, canonical
from fingerpost.relay.objects import STATUS, name_of
from fingerpost.relay.pieces import PieceList, Role, piece
from tests.unit.relay.support import until

pytestmark = pytest.mark.spec("M-57")
KEY = ObjectKey("networking.gloo.solo.io/RouteTable", "east", "shop", "www")
NAME = name_of(KEY)
FOUND = {"common": {"State": {"approval": "ACCEPTED"}}}
EARLIER = {"generation": 1, "gateways": "1/1"}
NOW = {"generation": 2, "gateways": "1/2"}


class _Cluster:
    outputs = None

    def __init__(self, *there: Mapping[str, Any]) -> None:
        self.there: dict[ObjectKey, Any] = dict.fromkeys([KEY] * bool(there), there and there[0])
        self.written: list[Mapping[str, Any]] = []

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        if self.there.get(key) == status:
            return False
        self.there[key] = status
        self.written.append(status)
        return True

    def status(self, key: ObjectKey) -> Any:
        return self.there.get(key)

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None: ...


def _found(status: Mapping[str, Any]) -> dict[tuple[str, str], PieceList | None]:
    return {(STATUS, NAME): PieceList([piece(Role.TOP, KEY.contribution, canonical(status))])}


@contextmanager
def _writing(cluster: _Cluster) -> Iterator[Statuses]:
    statuses = Statuses("east", cluster, lambda: True)  # type: ignore[arg-type]  # what is asked of a cluster here
    task = asyncio.create_task(statuses.run())
    yield statuses
    task.cancel()


async def test_both_are_written_whichever_comes_first() -> None:
    for first in ("found", "arrived"):
        cluster = _Cluster()
        with _writing(cluster) as statuses:
            if first == "found":
                statuses.take(_found(FOUND))
                await until(lambda cluster=cluster: cluster.written == [FOUND])  # type: ignore[misc]  # bound now
                statuses.arrived([(NAME, canonical(NOW))])
            else:
                statuses.arrived([(NAME, canonical(NOW))])
                statuses.take(_found(FOUND))
            await until(lambda cluster=cluster: cluster.written[-1:] == [FOUND | {"arrival": NOW}])  # type: ignore[misc]
            assert len(cluster.written) == (2 if first == "found" else 1)


async def test_a_start_leaves_the_arrival_that_stands_until_it_is_told_another() -> None:
    there = FOUND | {"arrival": EARLIER}
    cluster = _Cluster(there)
    with _writing(cluster) as statuses:
        statuses.take(_found(FOUND))
        statuses.arrived([(NAME, canonical(EARLIER))])
        worse = {"common": {"State": {"approval": "INVALID"}}}
        statuses.take(_found(worse))
        await until(lambda: cluster.written)
        assert cluster.written == [worse | {"arrival": EARLIER}]
        statuses.arrived([(NAME, b"")])
        await until(lambda: len(cluster.written) == 2)
        assert cluster.written[1] == worse


async def test_nothing_is_written_of_an_object_that_went() -> None:
    cluster = _Cluster()
    with _writing(cluster) as statuses:
        statuses.take(_found(FOUND))
        await until(lambda: cluster.written)
        statuses.take({(STATUS, NAME): None})
        statuses.arrived([(NAME, canonical(NOW))])
        other = KEY._replace(name="other")
        pieces = PieceList([piece(Role.TOP, other.contribution, canonical(FOUND))])
        statuses.take({(STATUS, name_of(other)): pieces})
        await until(lambda: other in cluster.there)
        assert cluster.written == [FOUND, FOUND]


@pytest.mark.parametrize("there", [[], "x", {"arrival": []}, {"arrival": "x"}, {"arrival": None}])
async def test_what_is_no_arrival_does_not_stay(there: Any) -> None:
    cluster = _Cluster()
    cluster.there[KEY] = there
    with _writing(cluster) as statuses:
        statuses.take(_found(FOUND))
        await until(lambda: cluster.written == [FOUND])
