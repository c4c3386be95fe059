"""What a folder remembers is written beside the work; leaving the folder meanwhile neither tears that nor loses it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fingerpost.cluster.directory.manifest import ManifestObject
from fingerpost.cluster.directory.records import FileRecord, Noted, Records
from tests.unit.cluster.folder_world import Place, table

_PATIENCE = 30


class _Slow(tuple[ManifestObject, ...]):
    """Holds who writes it in the middle of the write."""

    begun = threading.Event()
    goes_on = threading.Event()

    def __iter__(self) -> Iterator[ManifestObject]:
        self.begun.set()
        assert self.goes_on.wait(_PATIENCE)
        return super().__iter__()


def test_a_database_is_not_closed_under_the_one_that_writes(tmp_path: Path) -> None:
    records = Records(tmp_path, "c1", keep_secrets=False)
    records.open("uid")
    slow = _Slow()
    with ThreadPoolExecutor() as threads:
        writing = threads.submit(records.write, Noted({"a.yaml": FileRecord(slow, held=False)}, {}))
        assert slow.begun.wait(_PATIENCE)
        closing = threads.submit(records.close)
        with pytest.raises(TimeoutError):
            closing.result(0.2)
        slow.goes_on.set()
        writing.result(_PATIENCE)
        closing.result(_PATIENCE)
    again = Records(tmp_path, "c1", keep_secrets=False)
    assert list(again.open("other").files) == ["a.yaml"]
    again.close()


async def test_what_was_on_its_way_when_the_folder_is_left_is_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    write = Records.write

    def stuck_at_first(records: Records, noted: Noted) -> None:
        if not begun.is_set():
            loop.call_soon_threadsafe(begun.set)
            ended.wait(_PATIENCE)
        else:
            write(records, noted)

    monkeypatch.setattr(Records, "write", stuck_at_first)
    place.write("a.yaml", table("a"))
    async with place.cluster(), asyncio.timeout(_PATIENCE):
        await begun.wait()
    ended.set()
    with contextlib.closing(sqlite3.connect(place.state / "folder.sqlite")) as db:
        assert db.execute("select path from file").fetchall() == [("a.yaml",)]
