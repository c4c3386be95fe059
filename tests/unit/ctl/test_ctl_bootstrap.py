"""`proxy bootstrap`: what the agent gives, for gateways that there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from admin_world import NOW, World

from mgmt.ingest.values import ClusterState, ClusterStates, State


def test_bootstrap_is_what_the_agent_gives(fingerpost: Any, servers: Any, agent: Callable[[], Any]) -> None:
    servers(agents={"east": agent()}, silent=("http://127.0.0.1:1",))
    command = (
        "proxy",
        "bootstrap",
        "--cluster",
        "east",
        "--gateway",
        "gw/ingress",
        "--bind",
        "127.0.1.5",
        "--no-delta",
    )
    result = fingerpost(*command)
    assert yaml.safe_load(result.out) == {
        "gateway": "gw/ingress",
        "bind": "127.0.1.5",
        "admin_port": "0",
        "delta": "false",
    }
    assert json.loads(fingerpost(*command, "-o", "json").out)["gateway"] == "gw/ingress"
    unknown = fingerpost("proxy", "bootstrap", "--cluster", "east", "--gateway", "gw/none")
    assert (unknown.code, "no gateway gw/none" in unknown.err) == (2, True)
    assert "it knows: east" in fingerpost("proxy", "bootstrap", "--cluster", "west", "--gateway", "gw/x").err


@pytest.mark.spec("C-5")
def test_bootstrap_is_refused_for_what_the_server_does_not_know(
    fingerpost: Any, servers: Any, agent: Callable[[], Any], closed_port: str
) -> None:
    world = World()
    url = agent()
    servers(world, agents={"east": url, "easst": url})
    good = fingerpost("proxy", "bootstrap", "--cluster", "east", "--gateway", "gw/ingress")
    assert (good.code, good.err) == (0, "")
    gateway = fingerpost("proxy", "bootstrap", "--cluster", "east", "--gateway", "gw/ingres")
    assert (gateway.code, gateway.out) == (2, "")
    assert "there is no gateway gw/ingres in east; there are: gw/ingress; did you mean gw/ingress?" in gateway.err
    assert "hint: a gateway is a Service that selects a pod with the label" in gateway.err
    cluster = fingerpost("proxy", "bootstrap", "--cluster", "easst", "--gateway", "gw/ingress")
    assert (cluster.code, cluster.out) == (2, "")
    assert "--cluster is easst, which no server knows; clusters are: east, west; did you mean east?" in cluster.err
    world.fed.states = ClusterStates(clusters={"east": ClusterState(state=State.CACHED, ready=True, since=NOW)})
    unsure = fingerpost("proxy", "bootstrap", "--cluster", "east", "--gateway", "gw/later")
    assert (unsure.code, yaml.safe_load(unsure.out)["gateway"]) == (0, "gw/later")
    assert "warning: no gateway gw/later is known in east, but east is Cached" in unsure.err
    servers(agents={"east": url}, silent=(closed_port,))
    offline = fingerpost("proxy", "bootstrap", "--cluster", "east", "--gateway", "gw/later")
    assert (offline.code, f"no management server answers at {closed_port}" in offline.err) == (0, True)
