"""The memory of who was ever connected: a status that has not been read yet is not a no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mgmt.status.ever import EverConnected


@pytest.mark.spec("M-25")
def test_a_status_that_is_read_later_counts() -> None:
    statuses: dict[str, Any] = {}
    ever = EverConnected(statuses.get)
    assert not ever("east"), "nothing has been listed yet"
    statuses["east"] = {"conditions": [{"type": "EverConnected", "status": "True"}]}
    assert ever("east")
    statuses.clear()
    assert ever("east"), "a yes is for good"


def test_who_is_seen_here_was_connected() -> None:
    ever = EverConnected(lambda _: None)
    ever.saw("east")
    assert (ever("east"), ever("west")) == (True, False)


@pytest.mark.spec("M-25")
def test_it_is_remembered_where_no_status_was_written(tmp_path: Path) -> None:
    file = tmp_path / "ever-connected"
    ever = EverConnected(lambda _: None, file)
    for name in ("east", "west", "east"):
        ever.saw(name)
    assert file.read_text() == "east\nwest\n"
    again = EverConnected(lambda _: None, file)
    assert (again("east"), again("west"), again("north")) == (True, True, False)
    again.forget("east")
    again.forget("nobody")
    assert not again("east"), "the next of that name is another"
    once_more = EverConnected(lambda _: None, file)
    assert (once_more("east"), once_more("west")) == (False, True)


def test_a_file_that_cannot_be_used_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "ever-connected").mkdir()
    ever = EverConnected(lambda _: None, tmp_path / "ever-connected")
    ever.saw("east")
    assert ever("east")
    ever.forget("east")
    assert not ever("east")
