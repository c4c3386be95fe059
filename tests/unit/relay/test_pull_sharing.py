"""What many agents are to be told is made into bytes once."""

from __future__ import annotations

from fingerpost.relay.pieces import PieceList
from tests.unit.relay.conftest import World
from tests.unit.relay.support import ROUTES, Agent, body_piece, numbered, running, until

GW = "shop/gw"


async def test_hundred_agents_share_the_bytes(world: World) -> None:
    pieces = numbered(200)
    world.publisher.publish(GW, {ROUTES: PieceList(pieces)})
    agents: list[Agent] = [world.agent(cluster=f"c{i}") for i in range(25)]
    async with running(*agents):
        await until(lambda: all(a.has(world.publisher) for a in agents))
        built = world.relay.bodies.built
        for i in range(4):
            pieces[i] = body_piece(f"edited {i}")
            world.publisher.edit(GW, ROUTES, pieces)
            await until(lambda: all(a.has(world.publisher) for a in agents))
    assert world.relay.bodies.built == built + 4


async def test_what_all_is_in_a_scope_is_made_once_for_agents_of_every_version(world: World) -> None:
    """A fleet that connects at once meets scopes of many versions; and nobody pays for the bytes when it is done."""
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(2_000))})
    built = world.relay.bodies.built
    for number in range(5):
        view = world.publisher.views[GW]
        view.keep, view.version = {f"c{number}": "ListingLost"}, view.version + 1
        world.publisher.config_version = view.version
        agent = world.agent(cluster=f"c{number}")
        async with running(agent):
            await until(lambda agent=agent: agent.has(world.publisher))
            assert agent.versions[-1][1] == view.version
            assert agent.desired.scopes[GW].keep == view.keep
    assert world.relay.bodies.built == built + 1
    world.relay.bodies._drop_unused()
    assert world.relay.bodies.sizes["bodyBytes"] > 100_000, "somebody has asked for it since the last look"
    world.relay.bodies._drop_unused()
    assert world.relay.bodies.sizes == {"bodies": 0, "bodyBytes": 0, "bodiesBuilt": built + 1}
