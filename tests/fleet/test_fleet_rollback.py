"""Snapshots and rollbacks on a running fleet: real server, agents, Redis and Envoys, asked with the command line."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from mgmt.store.embedded import embedded_redis
from mgmt.translate.graph.inputs import ROUTE_TABLE
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, effective, running_fleet
from tests.fleet.fleet_network import free_port, steadily, until
from tests.fleet.fleet_person import Person, started

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


async def test_a_rollback_of_everything_until_it_is_released(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        server, person = await started(fleet)
        first = await person.newest()
        assert str(first) in await person.completes("history", "show", "")
        assert {str(first), "release", "status"} <= set(await person.completes("rollback", ""))
        fleet.write_www("/basket")
        await fleet.answers("east", "/basket", "east 0")
        fleet.write("mgmt", "new.yaml", m.table("new", [m.says("/new", "new")]))
        await fleet.answers("west", "/new", "new", host="new.example")
        listed = (await person.asks("history"))["items"]
        await person.picks_snapshots(listed)
        second, third = listed[1]["number"], listed[0]["number"]
        assert first < second < third
        assert [(c["action"], c["kind"], c["name"]) for c in listed[1]["changes"]] == [("changed", "RouteTable", "www")]
        assert listed[1]["gateways"] == ["east/gw/ingress", "west/gw/ingress"]
        assert [i["number"] for i in (await person.asks("history", "routetable", "shop/new"))["items"]] == [third]
        assert "-    - uri:\n+    - uri:" not in (said := (await person.says("history", "diff", str(first)))[1])
        assert "-        prefix: /cart\n+        prefix: /basket" in said
        await person.shows_routes(first, second, third)
        # the pod moves: no rollback may bring back the one that is gone
        fleet.write("east", "cart.yaml", *m.service("east", "cart", [fleet.pod("east", 1)]))
        await fleet.backend("east", 1)
        await fleet.answers("east", "/basket", "east 1")

        _, said = await person.says("rollback", str(first), "--dry-run")
        assert "would roll everything back" in said
        quiet = (await person.says("rollback", str(first), "--dry-run", "-q"))[1]
        assert quiet == f"would roll everything back to snapshot {first}\n"
        assert "RouteTable shop/new in mgmt goes out of force" in said
        assert "east/gw/ingress: 1 object changed, 1 object removed" in said
        assert (await fleet.get("east", "/basket")).status == 200, "a dry run changes nothing"
        code, said = await person.says("rollback", str(first))
        assert code == 0, said
        await fleet.answers("east", "/cart", "east 1")
        await fleet.answers("west", "/cart", "west 0")
        assert (await fleet.get("east", "/basket")).status == 404
        assert (await fleet.get("west", "/new", "new.example")).status == 404
        answers = {await fleet.get("east", "/cart") for _ in range(20)}
        assert {a.status for a in answers} == {200}
        assert "east 0" not in {a.text for a in answers}, "the rollback has brought back an endpoint that is gone"

        fleet.write_www("/third")
        await until(lambda: "/third" in str(server.translator.inputs[ROUTE_TABLE].items), why="the edit is taken in")
        state = await person.status("shop/www")
        assert state["common"]["State"]["approval"] == "WARNING"
        assert (
            f"held back by rollback r{third} of everything to snapshot {first}" in state["common"]["State"]["message"]
        )
        assert (state["arrival"]["arrived"], state["arrival"]["total"]) == (0, 2)
        assert "RolledBack: rollback" in state["arrival"]["missing"][0]["reason"]
        pinned = (await person.asks("get", "virtualgateway", "gw/edge"))["items"][0]["status"]["common"]["State"]
        assert pinned["approval"] == "ACCEPTED"
        assert "pinned by rollback" in pinned["message"]
        assert "CHK087" in (await person.says("check", "server"))[1]
        assert "direct" not in (await person.says("explain", "route", f"http://{m.HOST}/cart"))[1]
        assert (await person.says("rollback", "status"))[1].count("all") == 1
        await steadily(lambda: _is(fleet, "east", "/third", 404), 0.5, "an edit went out during the rollback")

        code, said = await person.says("rollback", "release")
        assert code == 0, said
        await fleet.answers("east", "/third", "east 1")
        await fleet.answers("west", "/third", "west 0")
        await fleet.answers("west", "/new", "new", host="new.example")
        assert (await fleet.get("east", "/cart")).status == 404
        state = await person.status("shop/www")
        assert state["common"]["State"] == {"approval": "ACCEPTED", "message": "", "observedGeneration": 3}
        assert "CHK087" not in (await person.says("check", "server"))[1]


async def _is(fleet: Fleet, cluster: str, path: str, status: int) -> bool:
    return (await fleet.get(cluster, path)).status == status


@pytest.mark.spec("C-41")
async def test_one_cluster_is_rolled_back_and_the_others_go_on(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        _, person = await started(fleet)
        first = await person.newest()
        fleet.write_www("/basket")
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/basket", f"{cluster} 0")
        code, said = await person.says("rollback", str(first), "--cluster", "west")
        assert code == 0, said
        await fleet.answers("west", "/cart", "west 0")
        assert (await fleet.get("east", "/basket")).status == 200
        await _explained_as_served(fleet, person)
        state = await person.status("shop/www")
        assert "held back at the gateways of cluster west" in state["common"]["State"]["message"]
        assert [missing["gateway"] for missing in state["arrival"]["missing"]] == ["west/gw/ingress"]
        fleet.write_www("/third")
        await fleet.answers("east", "/third", "east 0")
        assert (await fleet.get("west", "/third")).status == 404
        for wrong in (
            ("rollback", str(first), "--cluster", "nowhere"),
            ("rollback", "1"),
            ("rollback", "release", "7"),
        ):
            assert (await person.says(*wrong))[0] == 2, wrong
        assert (await person.says("rollback", "release"))[0] == 0
        await fleet.answers("west", "/third", "west 0")


async def _explained_as_served(fleet: Fleet, person: Person) -> None:
    """Also where no gateway is named: the gateways of each cluster follow objects of their own."""
    for path in ("/cart", "/basket"):
        found = (await person.asks("explain", "route", f"http://{m.HOST}{path}/7"))["spec"]
        assert len(found["gateways"]) == len(fleet.clusters)
        for one in found["gateways"]:
            real = (await fleet.get(one["cluster"], f"{path}/7")).status
            assert (one["verdict"] == "route") == (real == 200), (path, one["cluster"], real, one["message"])
            alone = ("--gateway", f"{one['cluster']}/{GATEWAY}")
            asked = await person.asks("explain", "route", f"http://{m.HOST}{path}/7", *alone)
            assert asked["spec"]["gateways"] == [one]


async def test_one_workspace_is_rolled_back_and_the_others_go_on(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        shop = [m.workspace("shop", namespaces=["shop"]), m.settings("shop", exports=["edge"])]
        solo = [m.workspace("solo", namespaces=["solo"]), m.settings("solo", exports=["edge"])]
        edge = [m.workspace("edge", namespaces=["gw"]), m.settings("gw", imports=["shop", "solo"])]
        own = [m.registered(c) for c in fleet.clusters]
        fleet.write("mgmt", "fleet.yaml", *own, *shop, *solo, *edge, m.virtual_gateway(), m.virtual_destination("cart"))
        fleet.write_www("/cart")
        _write_solo(fleet, "first")
        for cluster in fleet.clusters:
            fleet.write_cluster(cluster)
        _, person = await started(fleet)
        await fleet.answers("east", "/who", "first", host="solo.example")
        first = await person.newest()
        fleet.write_www("/basket")
        _write_solo(fleet, "second")
        await fleet.answers("east", "/basket", "east 0")
        await fleet.answers("east", "/who", "second", host="solo.example")
        code, said = await person.says("rollback", str(first), "--workspace", "shop")
        assert code == 0, said
        assert "solo" not in said
        await fleet.answers("east", "/cart", "east 0")
        _write_solo(fleet, "third")
        await fleet.answers("east", "/who", "third", host="solo.example")
        assert (await person.status("solo/solo"))["common"]["State"]["approval"] == "ACCEPTED"
        fleet.write("mgmt", "more.yaml", m.table("more", [m.says("/more", "more")]))
        state = await until(lambda: _message(person, "shop/more"), why="the new table has a status")
        assert "nothing of it is in force" in state
        assert (await fleet.get("east", "/more", "more.example")).status == 404
        assert (await person.says("rollback", "release"))[0] == 0
        await fleet.answers("east", "/more", "more", host="more.example")
        await fleet.answers("east", "/basket", "east 0")


def _write_solo(fleet: Fleet, text: str) -> None:
    fleet.write("mgmt", "solo.yaml", m.table("solo", [m.says("/who", text)], namespace="solo"))


async def _message(person: Person, name: str) -> str:
    found = (await person.asks("get", "routetables", "-n", "shop"))["items"]
    states = {f"shop/{i['metadata']['name']}": i["status"].get("common") for i in found}
    return str(states[name]["State"]["message"]) if states.get(name) else ""


async def test_a_rollback_holds_at_the_gateways_of_every_replica(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        for cluster, server in zip(fleet.clusters, (first, second), strict=True):
            await fleet.backend(cluster)
            fleet.start_envoy(await fleet.start_agent(cluster, server.relay.port))
            await fleet.answers(cluster, "/cart", f"{cluster} 0")
        person = Person(fleet, second, first)  # only the first one leads
        number = await person.newest()
        fleet.write_www("/basket")
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/basket", f"{cluster} 0")
        code, said = await person.says("rollback", str(number))
        assert code == 0, said
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/cart", f"{cluster} 0")
            assert (await fleet.get(cluster, "/basket")).status == 404
        assert (await person.says("rollback", "7"))[1].startswith("error: snapshot 7 is not kept")
        assert (await person.says("rollback", "release"))[0] == 0
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/basket", f"{cluster} 0")


@pytest.mark.parametrize("lost", ["nothing", "redis"])
async def test_a_rollback_outlives_restarts_of_the_server_and_the_loss_of_redis(tmp_path: Path, lost: str) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        port = free_port()
        redis = tmp_path / "mgmt" / "redis"
        kept = fleet.secrets("mgmt") / "fingerpost-rollbacks" / "rollbacks"
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(fleet.server(relay_address=f"127.0.0.1:{port}"))
            await fleet.backend("east")
            agent = await fleet.start_agent("east", port)
            fleet.start_envoy(agent)
            await fleet.answers("east", "/cart", "east 0")
            person = Person(fleet, server)
            first = await person.newest()
            fleet.write_www("/basket")
            await fleet.answers("east", "/basket", "east 0")
            assert (await person.says("rollback", str(first)))[0] == 0
            await fleet.answers("east", "/cart", "east 0")
            client: Any = Redis(unix_socket_path=str(redis / "redis.sock"))
            await client.flushall()  # the server has all in memory
            await until(lambda: _holds_pin(client), 30, "the pin is in Redis again")
            await client.aclose()
            await until(lambda: agent.push.in_step and kept.exists(), why="all is stored")
        served = effective(agent)
        if lost == "redis":
            shutil.rmtree(redis)
        async with fleet.server(relay_address=f"127.0.0.1:{port}") as server:
            person = Person(fleet, server)
            await until(lambda: server.publisher.is_open and agent.push.in_step, why="the agent is back")
            await steadily(lambda: effective(agent) == served, 1, "the restart has changed what is served")
            await until(lambda: not agent.desired.scopes[GATEWAY].keep, why="nothing waits for a cluster any more")
            await steadily(lambda: effective(agent) == served, 1, "the end of the warm-up has changed what is served")
            assert "held back" in (await person.status("shop/www"))["common"]["State"]["message"]
            assert (await fleet.get("east", "/cart")).text == "east 0"
            assert (await person.says("rollback", "release"))[0] == 0
            await fleet.answers("east", "/basket", "east 0")
            await until(lambda: kept.read_bytes() == b"", why="the rollback is forgotten everywhere")


async def _holds_pin(client: Any) -> bool:
    return bool(await client.hlen("fp:1:{fp}:in:\0fingerpost.dev/Pin"))
