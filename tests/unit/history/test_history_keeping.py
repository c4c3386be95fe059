"""Rollbacks are kept besides Redis: who may write them there, and when what is kept there counts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
from history_support import body, table

from fingerpost.background import background
from fingerpost.objects import ObjectKey
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.secrets.protocol import Data
from mgmt.history.keeping import Keeping
from tests.unit.relay.support import until

Pins = Mapping[str, bytes]
FIRST = {"rollback/5": b"first"}
BOTH = {"rollback/5": b"first", "rollback/7": b"second"}


class Replica:
    """An ingest as keeping sees it."""

    def __init__(self, pins: Pins, *, leads: bool = True) -> None:
        self.inputs: dict[ObjectKey, bytes] = {}
        self.leads = leads
        self._pins = dict(pins)

    def pin(self, pins: Mapping[str, bytes | None]) -> None:
        for name, pinned in pins.items():
            if pinned is None:
                self._pins.pop(name, None)
            else:
                self._pins[name] = pinned

    def pins(self) -> Pins:
        return self._pins


class NotedSecrets(FolderSecrets):
    """Remembers what was written, in its order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.written: list[Data] = []

    async def put(self, name: str, data: Data) -> None:
        await super().put(name, data)
        self.written.append(data)


@pytest.fixture
def secrets(tmp_path: Path) -> NotedSecrets:
    return NotedSecrets(tmp_path / "secrets")


def keeping(secrets: NotedSecrets, *replicas: Replica) -> AbstractAsyncContextManager[None]:
    """Each replica keeps its rollbacks; the first one looks first."""
    return background({f"keeping {number}": Keeping(secrets, one, 0.001).run() for number, one in enumerate(replicas)})


async def kept(secrets: NotedSecrets, pins: Pins) -> None:
    async with keeping(secrets, Replica(pins)):
        await until(lambda: secrets.written)


@pytest.mark.parametrize("remembers", [False, True], ids=["nothing", "something"])
async def test_what_is_kept_counts_only_where_redis_remembered_nothing(secrets: NotedSecrets, remembers: bool) -> None:
    """A Redis that remembers anything knows also which rollbacks have been released since."""
    await kept(secrets, BOTH)
    started = Replica({})
    if remembers:
        started.inputs[table("www")] = body("1")
    assert await Keeping(secrets, started).restore() is not remembers
    assert started.pins() == ({} if remembers else BOTH)


@pytest.mark.spec("M-63")
async def test_only_the_replica_that_leads_writes(secrets: NotedSecrets) -> None:
    """The other one may be behind; when it leads in its turn, it does."""
    follower, leader = Replica(FIRST, leads=False), Replica(BOTH)
    async with keeping(secrets, follower, leader):
        await until(lambda: secrets.written)
        follower.leads = True
        await until(lambda: len(secrets.written) > 1)
    assert [msgspec.msgpack.decode(data["rollbacks"]) for data in secrets.written] == [BOTH, FIRST]


@pytest.mark.spec("M-63")
async def test_who_takes_the_lead_writes_whatever_it_had_read_at_its_start(secrets: NotedSecrets) -> None:
    """The former leader may have ended before it wrote its last release."""
    follower = Replica({}, leads=False)
    async with keeping(secrets, follower):
        await kept(secrets, FIRST)
        follower.leads = True
        await until(lambda: len(secrets.written) > 1)
    assert secrets.written[-1] == {"rollbacks": b""}
