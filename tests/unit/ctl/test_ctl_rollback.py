"""What `rollback release` says of what it has ended."""

from __future__ import annotations

import pytest

from ctl.commands import rollback
from ctl.server import Answers


def test_a_rollback_that_is_released_is_told_as_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    since = "2026-01-02T03:04:05Z"
    one = {"id": "r75", "scope": "cluster", "name": "east", "snapshot": 67, "since": since, "by": "ann"}
    monkeypatch.setattr(rollback, "post", lambda *_: Answers("demo", ({"released": [one]},), {}))
    assert rollback.release("r75") == 0
    assert capsys.readouterr().out == (
        f"released rollback r75: cluster east was at snapshot 67 since {since} by ann; "
        "what was written since is in force again\n"
    )
