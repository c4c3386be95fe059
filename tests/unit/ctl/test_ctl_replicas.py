"""What the commands say of several replicas of the server, and of clusters, against real admin APIs over HTTP."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from admin_world import SECOND, World, healthy, warm

from ctl.commands.cluster import shown_labels
from mgmt.ingest.values import ClusterState, ClusterStates, State


@pytest.mark.spec("C-2")
def test_replicas_are_merged_and_each_speaks_for_its_own_agents(fingerpost: Any, servers: Any) -> None:
    states = ClusterStates(clusters={"east": warm("mgmt-0"), "west": warm("mgmt-1")})
    one, two = World("mgmt-0"), World("mgmt-1")
    for world, mine in ((one, "east"), (two, "west")):
        world.fed.states, world.fed.mine = states, {mine}
        world.answer(mine)
    servers(one, two)
    (item,) = json.loads(fingerpost("get", "rt", "-o", "json").out)["items"]
    assert (item["status"]["arrival"]["arrived"], item["status"]["arrival"]["missing"]) == (2, [])
    assert "applied on 2/2 gateways after" in fingerpost("wait", "rt", "shop/www", "--timeout", "20s").out
    listed = {c["name"]: c for c in json.loads(fingerpost("cluster", "list", "-o", "json").out)["items"]}
    assert [listed[name]["connectedHere"] for name in ("east", "west")] == [True, True]
    out = fingerpost("check").out
    assert out.count("Mgmt server connectivity") == 1
    assert re.search(r"Connected Pod \| Clusters\nmgmt-0\s+\| 1\nmgmt-1\s+\| 1", out)


@pytest.mark.spec("C-2")
def test_replicas_that_do_not_see_each_other_are_not_believed_about_agents_of_others(
    fingerpost: Any, servers: Any
) -> None:
    """Without Redis each knows only its own agents."""
    one, two = World("mgmt-0"), World("mgmt-1")
    for world, mine, other in ((one, "east", "west"), (two, "west", "east")):
        world.fed.synced = world.fed.reached = False
        unseen = ClusterState(state=State.COLD, ready=False)
        world.fed.states = ClusterStates(clusters={mine: warm(world.plane.replica), other: unseen})
        world.fed.mine = {mine}
    servers(one, two)
    codes = [f["code"] for f in json.loads(fingerpost("check", "-o", "json").out)["findings"]]
    assert set(codes) == {"CHK061"}
    for world, mine, other, where in ((one, "east", "west", two), (two, "west", "east", one)):
        elsewhere = ClusterState(state=State.WARM, ready=False, replica=where.plane.replica)
        world.fed.states = ClusterStates(clusters={mine: warm(world.plane.replica), other: elsewhere})
    assert {f["code"] for f in json.loads(fingerpost("check", "-o", "json").out)["findings"]} == {"CHK061"}
    servers(one)
    said = fingerpost("check").out
    assert "west: redis, which knows what others were told of it, is away; what depends on it keeps its last" in said
    world.fed.states = ClusterStates(clusters={"east": warm(one.plane.replica), "west": unseen})
    one.fed.states = world.fed.states
    found = json.loads(fingerpost("check", "-o", "json").out)["findings"]
    assert [(f["code"], f["object"]) for f in found if f["object"] == "west"] == [
        ("CHK149", "west"),
        ("CHK051", "west"),
    ]


def test_a_silent_replica_makes_the_answer_partial(fingerpost: Any, servers: Any, closed_port: str) -> None:
    servers(healthy(), silent=(closed_port,))
    result = fingerpost("check")
    assert (result.code, "CHK032" in result.out) == (6, True)
    assert fingerpost("get", "rt").code == 6
    assert closed_port in fingerpost("get", "rt").err
    waited = fingerpost("wait", "rt", "shop/www", "--timeout", "10s")
    assert (waited.code, "applied on 2/2 gateways" in waited.out, closed_port in waited.err) == (6, True, True)
    late = fingerpost("wait", "rt", "shop/none", "--timeout", "50ms")
    assert (late.code, closed_port in late.err) == (4, True)
    assert fingerpost("wait", "workspace", "gloo-mesh/all").code == 1


def test_cluster_list_shows_how_long_certificates_last(fingerpost: Any, servers: Any) -> None:
    world = healthy()
    now = datetime.now(UTC)
    ends = (now + timedelta(days=21, hours=1), now - timedelta(hours=1))
    lasting = ({"certificate_begins": 1, "certificate_ends": int(e.timestamp()) * SECOND} for e in ends)
    world.fed.states = ClusterStates(
        clusters={c: warm(**shown) for c, shown in zip(("east", "west"), lasting, strict=True)}
    )
    servers(world)
    header, *rows = ([c.strip() for c in line.split("|")] for line in fingerpost("cluster", "list").out.splitlines())
    assert header[:8] == ["Cluster", "State", "Agent", "Since", "Objects", "Behind", "Certificate", "Labels"]
    assert (header[8:], [row[8] for row in rows]) == (["Rollback"], ["-", "-"])
    assert [row[6] for row in rows] == ["21d", "ended"]
    assert rows[0][7] == "region=eu"


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ({"app": "x", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "c", "region": "eu"}, {"region": "eu"}),
        ({"app": "x", "region": "eu"}, {"app": "x", "region": "eu"}),
    ],
)
def test_labels_that_a_chart_gives_everything_are_not_shown(labels: dict[str, str], shown: dict[str, str]) -> None:
    assert shown_labels(labels) == shown
