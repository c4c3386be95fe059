"""The memory of who was ever connected: a status that has not been read yet is not a no."""

from __future__ import annotations

from typing import Any

import pytest

from mgmt.status.clusters import EverConnected


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
