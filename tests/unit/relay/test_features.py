"""An agent that does not name a feature is sent no resource of it, and keeps up with everything else (M-19)."""

from __future__ import annotations

import pytest

from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.features import FEATURES
from fingerpost.relay.objects import ISTIO_SCOPE, OBJECT
from fingerpost.relay.pieces import PieceList
from tests.unit.relay.conftest import World
from tests.unit.relay.support import Agent, body_piece, running, until

SERVICE_ENTRY, VIRTUAL_SERVICE, CLUSTER = (OBJECT, "entry"), (OBJECT, "service"), ("cluster", "a")


def holds(agent: Agent, scope: str, **wanted: str) -> bool:
    """Everything it has of the scope is `wanted`, by name."""
    found = {name: pieces.pieces[0].body.decode() for (_, name), pieces in agent.lists(scope).items()}
    return found == wanted


def one(text: str, contribution: str = "c") -> PieceList:
    return PieceList([body_piece(text, contribution)])


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.relay.link.FEATURES", tuple(name for name in FEATURES if name != "objects"))


@pytest.mark.spec("M-19")
@pytest.mark.usefixtures("earlier")
async def test_an_agent_that_did_not_name_objects_gets_all_but_those(world: World) -> None:
    publisher, scope = world.publisher, "shop/gw"
    publisher.publish(scope, {CLUSTER: one("1"), VIRTUAL_SERVICE: one("object", "table")})
    publisher.publish(ISTIO_SCOPE, {SERVICE_ENTRY: one("object")})
    agent = world.agent()
    async with running(agent):
        await until(lambda: holds(agent, scope, a="1"))
        publisher.publish(scope, {CLUSTER: one("2"), ("cluster", "b"): one("3")})
        await until(lambda: holds(agent, scope, a="2", b="3"))
        publisher.publish(scope, {CLUSTER: None, VIRTUAL_SERVICE: one("another object", "table")})
        await until(lambda: holds(agent, scope, b="3"))
        await until(lambda: agent.desired.scopes[ISTIO_SCOPE].version)
        agent.pull.report(ScopeApplied(scope=scope, watermark=publisher.config_version))
        await until(lambda: publisher.reports)
    async with running(agent):
        publisher.publish(scope, {("cluster", "c"): one("4")})
        await until(lambda: holds(agent, scope, b="3", c="4"))
    seen = {type_ for _, _, changed in agent.versions for type_, _ in changed}
    assert seen == {"cluster"}
    assert holds(agent, ISTIO_SCOPE)
    assert agent.desired.resyncs == 0
    (exception,) = publisher.reports[-1].exceptions
    assert (exception.contribution, exception.code) == ("table", "NotUnderstood")
    assert "'objects'" in exception.message
    assert "upgrade" in exception.message


@pytest.mark.spec("M-19")
async def test_it_gets_the_rest_when_it_is_upgraded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = world.publisher
    publisher.publish(ISTIO_SCOPE, {CLUSTER: one("1"), VIRTUAL_SERVICE: one("object", "table")})
    agent = world.agent()
    with monkeypatch.context() as before:
        before.setattr("agent.relay.link.FEATURES", ())
        async with running(agent):
            await until(lambda: holds(agent, ISTIO_SCOPE, a="1"))
    async with running(agent):
        await until(lambda: agent.has(publisher))
        agent.pull.report(ScopeApplied(scope=ISTIO_SCOPE, watermark=publisher.config_version))
        await until(lambda: publisher.reports)
    assert publisher.reports[-1].exceptions == ()


@pytest.mark.spec("M-19")
async def test_what_an_agent_holds_is_not_taken_from_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not name a feature and has resources of it all the same: it is of a time before the name."""
    publisher = world.publisher
    publisher.publish(ISTIO_SCOPE, {(OBJECT, f"o{number}"): one("object", "table") for number in range(40)})
    publisher.publish("shop/gw", {CLUSTER: one("1")})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(publisher))
    before = len(agent.versions)
    publisher.publish(ISTIO_SCOPE, {(OBJECT, "o1"): None, (OBJECT, "new"): one("new")})
    monkeypatch.setattr("agent.relay.link.FEATURES", ())
    async with running(agent):
        await until(lambda: agent.has(publisher))
        publisher.publish(ISTIO_SCOPE, {(OBJECT, "o2"): one("edited")})
        await until(lambda: agent.has(publisher))
    removed = {name for _, _, changed in agent.versions[before:] for (_, name), new in changed.items() if new is None}
    assert removed == {"o1"}
