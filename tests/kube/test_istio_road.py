"""The whole road with Istio: a RouteTable applied at one API server is answered by an Istio gateway of another cluster,
by what the agent wrote there.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from mgmt.admin.reach import Reach
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.istio_clusters import answers, istio_gateway, start_istio, written
from tests.kube.istiod import IstioGateway
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

EAST = "east"


class Road(NamedTuple):
    fleet: KubeFleet
    server: Server
    gateway: IstioGateway


@asynccontextmanager
async def running_road(root: Path) -> AsyncIterator[Road]:
    """`east` has Istio; its agent is started by the test."""
    async with running_kube_fleet(root, EAST) as fleet, AsyncExitStack() as stack:
        _, gateway = await start_istio(fleet, EAST, stack)
        shared = [m.registered(EAST), m.workspace(), m.virtual_gateway(), m.virtual_destination("cart")]
        await fleet.apply("mgmt", *shared, fleet.www("/cart"))
        await fleet.apply(EAST, *istio_gateway(EAST, fleet.address(EAST)))
        await fleet.apply(EAST, *m.service(EAST, "cart", [fleet.pod(EAST)]))
        await fleet.backend(EAST)
        server = await stack.enter_async_context(fleet.server())
        yield Road(fleet, server, gateway)


def _arrived(server: Server, name: str = "www") -> bool:
    reach = Reach(server.plane())
    key = next(k for k in server.translator.inputs["networking.gloo.solo.io/RouteTable"].items if k.name == name)
    view = reach.arrival(key)
    return view.complete and view.total == 1


@pytest.mark.spec("M-2", "M-5")
async def test_an_edit_reaches_the_istio_gateway_and_says_so(tmp_path: Path) -> None:
    async with running_road(tmp_path) as (fleet, server, gateway):
        await fleet.start_agent(EAST, server.relay.port)
        await answers(fleet, "/cart", f"{EAST} 0", gateway)
        await fleet.apply("mgmt", fleet.www("/basket"))
        await answers(fleet, "/basket", f"{EAST} 0", gateway)
        await until(lambda: _arrived(server), why="it is said to have arrived")
        made = (await written(fleet, EAST, "VirtualService")).values()
        assert made
        for obj in made:
            labels = obj["metadata"]["labels"]
            assert labels["relay.solo.io/cluster"] == EAST
            assert labels["gloo.solo.io/parent_name"] == "www"
        await fleet.kubes["mgmt"].delete(fleet.www(""))
        await until(lambda: _none(fleet, "VirtualService"), why="what the table was is gone")


async def _none(fleet: KubeFleet, kind: str) -> bool:
    return not await written(fleet, EAST, kind)


async def _one(fleet: KubeFleet, kind: str) -> tuple[str, str]:
    """(uid, resourceVersion) of the only object of the kind."""
    (found,) = (await written(fleet, EAST, kind)).values()
    return found["metadata"]["uid"], found["metadata"]["resourceVersion"]


@pytest.mark.spec("M-16", "M-60")
async def test_a_new_agent_writes_nothing_that_is_there_and_removes_what_went_meanwhile(tmp_path: Path) -> None:
    async with running_road(tmp_path) as (fleet, server, gateway):
        other = m.table("other", [m.to("/", m.CART)])
        await fleet.apply("mgmt", other)
        async with fleet.agent(EAST, server.relay.port):
            await answers(fleet, "/cart", f"{EAST} 0", gateway)
            await until(lambda: _count(fleet, 2), why="both tables are there")
            await until(lambda: _arrived(server), why="everything is said to be there")
        before = await written(fleet, EAST, "VirtualService")
        await fleet.kubes["mgmt"].delete(other)
        await until(lambda: len(server.translator.inputs["networking.gloo.solo.io/RouteTable"].items) == 1)
        async with fleet.agent(EAST, server.relay.port) as agent:
            await until(lambda: _count(fleet, 1), why="what went while no agent was there is removed")
            await until(lambda: agent.istio.state.version > 0 and _arrived(server))
            left = await written(fleet, EAST, "VirtualService")
            assert all(before[name] == obj for name, obj in left.items())


async def _count(fleet: KubeFleet, count: int) -> bool:
    return len(await written(fleet, EAST, "VirtualService")) == count


@pytest.mark.spec("M-59")
async def test_what_a_person_does_to_an_object_is_undone(tmp_path: Path) -> None:
    async with running_road(tmp_path) as (fleet, server, gateway):
        await fleet.start_agent(EAST, server.relay.port)
        await answers(fleet, "/cart", f"{EAST} 0", gateway)
        (obj,) = (await written(fleet, EAST, "VirtualService")).values()
        uid = obj["metadata"]["uid"]
        await fleet.kubes[EAST].delete(obj)

        async def again() -> bool:
            return any(o["metadata"]["uid"] != uid for o in (await written(fleet, EAST, "VirtualService")).values())

        await until(again, 5, why="it was written again")
        await answers(fleet, "/cart", f"{EAST} 0", gateway)


@pytest.mark.spec("M-45")
async def test_the_loss_of_everything_waits_for_a_new_listing(tmp_path: Path) -> None:
    """All inputs but the table come from the management cluster, so their loss is confirmed by listing that anew."""
    async with running_road(tmp_path) as (fleet, server, gateway):
        await fleet.start_agent(EAST, server.relay.port)
        await answers(fleet, "/cart", f"{EAST} 0", gateway)
        await fleet.kubes[EAST].delete(*istio_gateway(EAST, fleet.address(EAST))[1:])
        await until(lambda: _none(fleet, "Gateway"), 30, why="confirmed by a new listing, all of it goes")
        await until(lambda: _none(fleet, "VirtualService"), 30, why="confirmed by a new listing, all of it goes")


@pytest.mark.spec("M-16")
async def test_what_was_written_goes_also_when_the_gateway_went_while_agent_and_server_were_away(
    tmp_path: Path,
) -> None:
    """Nobody remembers the scope: the agent finds what it has written, and the loss is confirmed by a new listing."""
    async with running_kube_fleet(tmp_path, EAST) as fleet, AsyncExitStack() as stack:
        await start_istio(fleet, EAST, stack)
        gateway = istio_gateway(EAST, fleet.address(EAST))
        await fleet.apply("mgmt", m.registered(EAST), m.workspace(), m.virtual_gateway(), fleet.www("/cart"))
        await fleet.apply(EAST, *gateway)
        async with fleet.server() as server, fleet.agent(EAST, server.relay.port):
            await until(lambda: _count(fleet, 1), why="the table is there")
        await fleet.kubes[EAST].delete(*gateway[1:])
        shutil.rmtree(tmp_path / "mgmt" / "redis")
        async with fleet.server() as server, fleet.agent(EAST, server.relay.port):
            await until(lambda: _none(fleet, "VirtualService"), 30, why="nobody wants it")
            await until(lambda: _none(fleet, "Gateway"), 30, why="nobody wants it")
