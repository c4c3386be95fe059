"""Facts about Services are told for as long as anybody needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import app
from agent.app import Agent
from fingerpost.relay.interest import Interest
from mgmt.ingest.values import State
from tests.fleet.fleet_harness import running_fleet, state_of
from tests.fleet.fleet_network import until

pytestmark = [pytest.mark.fleet, pytest.mark.redis]


def _told(agent: Agent) -> set[str]:
    return {key.name for key in agent.world.facts if key.type == "fingerpost.dev/ServiceFacts"}


@pytest.mark.spec("M-50")
async def test_what_went_and_came_again_while_an_agent_stood_still_is_told_throughout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears of all questions at once when it wakes up, the old ones first."""
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        # then it asks no more
        await until(lambda: state_of(server, "east") is State.WARM and _told(agent) and agent.push.in_step)
        await server.ingest.settled()
        asked, told, pushed = agent._asked, _told(agent), agent.push._seq
        agent._on_interest(Interest(), b"")
        assert _told(agent) == told
        agent._on_interest(asked, b"")
        assert _told(agent) == told
        assert agent.push._seq == pushed
        monkeypatch.setattr(app, "_LET_GO", 0.01)
        agent._on_interest(Interest(), b"")
        await until(lambda: not _told(agent))
