"""Clusters, kinds and namespaces that nobody knows are refused; those without an agent are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from admin_world import World, healthy

from mgmt.ingest.values import ClusterState, ClusterStates, State

ROOT = Path(__file__).parents[3]
COMMANDS = (
    ("events",),
    ("events", "-w"),
    ("get", "rt"),
    ("get", "rt", "shop/www"),
    ("describe", "rt", "shop/www"),
    ("trace", "rt", "shop/www"),
    ("wait", "rt", "shop/www", "--timeout", "30s"),
    ("snapshot", "input"),
    ("snapshot", "output"),
    ("diff", "--delete", "rt/shop/www"),
    ("conflicts", "-f", str(ROOT / "examples" / "mgmt" / "route-www.yaml")),
)


def listed(management: State = State.WARM) -> World:
    """`north` is registered, its agent has never come."""
    world = healthy()
    clusters = {**world.fed.states.clusters, "north": ClusterState(state=State.REGISTERED, ready=False)}
    world.fed.states = ClusterStates(clusters=clusters, management=ClusterState(state=management, ready=True))
    return world


@pytest.mark.timeout(90)
def test_an_unknown_cluster_is_refused_with_those_there_are(fingerpost: Any, servers: Any) -> None:
    servers(listed())
    for command in COMMANDS:
        done = fingerpost(*command, "--cluster", "wets")
        assert (done.code, done.out) == (2, ""), (command, done)
        assert "no cluster is called wets; there are: east, mgmt, " in done.err, (command, done)
        assert "west; did you mean west?" in done.err, (command, done)


def test_a_cluster_without_an_agent_is_known(fingerpost: Any, servers: Any) -> None:
    servers(listed())
    assert fingerpost("get", "rt", "--cluster", "north").code == 0
    assert fingerpost("events", "--cluster", "north").code == 0
    absent = fingerpost("trace", "rt", "shop/www", "--cluster", "north")
    assert (absent.code, "there is no RouteTable shop/www in cluster north, and" in absent.err) == (1, True)


def test_a_server_that_has_not_read_its_own_cluster_cannot_say(fingerpost: Any, servers: Any) -> None:
    servers(listed(State.SYNCING))
    assert fingerpost("get", "rt", "--cluster", "nowhere").code == 0
    assert fingerpost("wait", "rt", "shop/www", "--cluster", "nowhere", "--timeout", "50ms").code == 4


@pytest.mark.parametrize(
    ("order", "code", "said"),
    [
        (("snapshot", "input", "--type", "foo"), 2, '--type is "foo": no kind is called so'),
        (("snapshot", "input", "-n", "nowhere"), 2, "no cluster has a namespace nowhere"),
        (("snapshot", "input", "-n", "shop", "--type", "workspace"), 0, ""),
        (("conflicts", "--cluster", "east"), 2, "--cluster says where files belong, and there are none"),
        (("whatif", "--without", "west", "--cluster", "east"), 2, "--cluster says where files belong"),
    ],
)
def test_other_words_that_nobody_knows(
    fingerpost: Any, servers: Any, order: tuple[str, ...], code: int, said: str
) -> None:
    servers(listed())
    done = fingerpost(*order)
    assert (done.code, said in done.err) == (code, True), done


@pytest.mark.spec("C-2")
def test_a_namespace_that_nobody_has_is_a_mistake(fingerpost: Any, servers: Any) -> None:
    servers(healthy())
    done = fingerpost("get", "rt", "-n", "shopp")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no cluster has a namespace shopp\nhint: fingerpost get namespaces lists them\n"
