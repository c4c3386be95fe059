"""What a real Envoy serves that has everything from the agent."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from xds_certificates import presented, self_signed
from xds_support import (
    Backend,
    Key,
    Rig,
    Rule,
    Spot,
    ask,
    cluster,
    destination,
    free_port,
    listener,
    routes,
    service,
    table,
)

from fingerpost.relay.pieces import PieceList
from fingerpost.relay.route_forms import Form

pytestmark = pytest.mark.envoy


def web(port: int, *rules: Rule, form: Form = Form.PLAIN) -> dict[Key, PieceList]:
    return {("listener", f"0.0.0.0_{port}"): listener(port, form=form), ("routes", "http"): routes(rules)}


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
@pytest.mark.spec("D-15", "M-10")
async def test_a_request_is_answered_and_follows_local_endpoints(rig: Rig, backend: Backend, delta: bool) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    rig.push(destination("cart") | web(port, Rule(table("www"), "cart")))
    async with rig.envoy(delta=delta), Backend("two").running() as two:
        await rig.live()
        assert await ask(port) == (200, "one")

        rig.local["shop", "cart"] = [Spot("127.0.0.1", two.port)]  # no word from any server
        rig.gateways.services_changed([("shop", "cart")])
        async with asyncio.timeout(5):
            while await ask(port) != (200, "two"):
                pass

        rig.local["shop", "cart"] = []
        rig.gateways.services_changed([("shop", "cart")])
        async with asyncio.timeout(5):
            while (await ask(port))[0] != 503:
                pass


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_a_new_route_to_a_new_cluster_never_fails_under_load(rig: Rig, backend: Backend, delta: bool) -> None:
    """Each turn moves all traffic to a cluster that did not exist, and drops the one before."""
    port = free_port()
    spots = [Spot("127.0.0.1", backend.port)]
    rig.local["shop", "c0"] = spots
    rig.push(destination("c0") | web(port, Rule(table("www"), "c0")))
    async with rig.envoy(delta=delta):
        await rig.live()
        answers: list[int] = []
        done = asyncio.Event()

        async def load() -> None:
            async with httpx.AsyncClient() as client:
                while not done.is_set():
                    answers.append((await client.get(f"http://127.0.0.1:{port}/")).status_code)

        async with asyncio.TaskGroup() as tasks:
            for i in range(3):
                tasks.create_task(load(), name=f"load {i}")
            for i in range(1, 31):
                rig.local["shop", f"c{i}"] = spots
                gone = {("cluster", f"c{i - 1}"): None, ("endpoints", f"c{i - 1}"): None}
                rules = routes([Rule(table("www"), f"c{i}")])
                rig.push(destination(f"c{i}") | gone | {("routes", "http"): rules})
                await rig.live()
            done.set()
    assert len(answers) > 30
    assert set(answers) == {200}


@pytest.mark.parametrize("form", [Form.PLAIN, Form.SCOPED])
@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_of_50_changed_contributions_only_the_refused_one_is_not_live(
    rig: Rig, backend: Backend, delta: bool, form: Form
) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]

    def rules(prefix: str, culprit: str = "") -> list[Rule]:
        made = [Rule(table(f"t{i}"), "cart", f"{prefix}{i}", host=f"h{i}.example") for i in range(50)]
        if culprit:
            made[17] = made[17]._replace(regex=culprit)
        return made

    rig.push(destination("cart") | web(port, *rules("/old"), form=form))
    async with rig.envoy(delta=delta):
        await rig.live()
        rig.push({("routes", "http"): routes(rules("/new", culprit="(unclosed"))})
        began = time.monotonic()
        told = await rig.told.until(lambda a: a.watermark >= 2 and any(d.code == "Refused" for d in a.deviations))
        took = time.monotonic() - began
        for i in range(50):
            answer = 404 if i == 17 else 200
            assert (await ask(port, f"/new{i}", f"h{i}.example"))[0] == answer, i
        assert took < 2
        assert await ask(port, "/old17", "h17.example") == (200, "one")
        [refused] = told.deviations
        assert refused.contribution == table("t17")
        assert "missing )" in refused.message
        assert refused.proxies == ("ingress/gw/proxy-0",)

        rig.push({("routes", "http"): routes(rules("/new"))})
        told = await rig.live()
        assert told.deviations == ()
        assert (await ask(port, "/new17", "h17.example"))[0] == 200


async def test_a_first_configuration_with_a_refused_cluster_is_served_without_it(rig: Rig, backend: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    broken = {("cluster", "bad"): cluster("bad", lbPolicy="RING_HASH", ringHashLbConfig={"minimumRingSize": "9000000"})}
    rig.push(destination("cart") | broken | web(port, Rule(table("www"), "cart")))
    async with rig.envoy():
        told = await rig.told.until(lambda a: a.watermark >= 1 and a.proxies == 1)
        assert await ask(port) == (200, "one")
        assert [(d.code, d.contribution) for d in told.deviations] == [("Refused", service("bad"))]


@pytest.mark.spec("R-23", "R-41")
async def test_a_chain_waits_for_its_secret_and_the_others_do_not(rig: Rig, backend: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    first, second = self_signed("a.example"), self_signed("b.example")
    rig.secrets["ingress", "cert-a"] = first
    rig.secrets["shop", "cert-b"] = second  # not the gateway's namespace
    tls = listener(port, secrets=[("a.example", "cert-a"), ("b.example", "cert-b")])
    served = {("listener", "https"): tls, ("routes", "http"): routes([Rule(table("www"), "cart")])}
    rig.push(destination("cart") | served)
    async with rig.envoy():
        told = await rig.live()
        [missing] = told.deviations
        assert (missing.code, missing.message) == ("SecretMissing", "secret ingress/cert-b not found in cluster east")
        async with asyncio.timeout(5):  # Envoy acknowledges a listener before it takes connections
            while await presented(port, "a.example") != "a.example":
                pass
        assert await presented(port, "b.example") is None

        rig.secrets["ingress", "cert-b"] = second
        rig.gateways.secrets_changed([("ingress", "cert-b")])
        async with asyncio.timeout(5):
            while await presented(port, "b.example") != "b.example":
                pass
        await rig.told.until(lambda a: not a.deviations)
        assert await presented(port, "c.example") is None

        rig.secrets["ingress", "cert-a"] = self_signed("a.example", "renewed")
        rig.gateways.secrets_changed([("ingress", "cert-a")])
        async with asyncio.timeout(5):
            while await presented(port, "a.example") != "renewed":
                pass


@pytest.mark.spec("M-9")
async def test_an_agent_that_starts_without_its_server_serves_what_it_had(tmp_path: Path, backend: Backend) -> None:
    port = free_port()
    before = Rig(tmp_path)
    before.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    async with before.running():
        before.push(destination("cart") | web(port, Rule(table("www"), "cart")))
        before.push({("routes", "http"): routes([Rule(table("www"), "cart", "/edited")])})
    again = Rig(tmp_path)
    again.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    async with again.running(), again.envoy():
        await again.live(version=2)
        assert await ask(port, "/edited") == (200, "one")
        assert (await ask(port, "/"))[0] == 404


async def test_two_proxies_of_one_gateway_bind_where_they_are_told_and_a_stopped_one_is_named(
    rig: Rig, backend: Backend
) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    rig.push(destination("cart") | web(port, Rule(table("www"), "cart")))
    async with rig.envoy(bind="127.0.0.2", instance="a"), rig.envoy(bind="127.0.0.3", instance="b") as second:
        await rig.told.until(lambda a: a.watermark >= 1 and a.proxies == 2)
        for address in ("127.0.0.2", "127.0.0.3"):
            assert await ask(port, address=address) == (200, "one")
        with pytest.raises(httpx.ConnectError):
            await ask(port)

        second.process.send_signal(signal.SIGSTOP)
        rig.push({("routes", "http"): routes([Rule(table("www"), "cart", "/new")])})
        late = await rig.told.until(lambda a: bool(a.lagging))
        assert (late.lagging, late.watermark) == (("ingress/gw/b",), 1)
        assert await ask(port, "/new", address="127.0.0.2") == (200, "one")
        second.process.send_signal(signal.SIGCONT)
        caught_up = await rig.told.until(lambda a: a.watermark == 2)
        assert caught_up.lagging == ()


async def test_a_port_in_use_is_reported_in_envoys_words_and_the_other_listener_serves(
    rig: Rig, backend: Backend
) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    taken = {("listener", "taken"): listener(backend.port, owner="tcp")}
    rig.push(destination("cart") | taken | web(port, Rule(table("www"), "cart")))
    async with rig.envoy():
        told = await rig.told.until(lambda a: a.watermark >= 1 and bool(a.deviations))
        [refused] = told.deviations
        assert (refused.code, refused.contribution) == (
            "Refused",
            "networking.gloo.solo.io/VirtualGateway/east/ingress/tcp",
        )
        assert "Address already in use" in refused.message
        assert await ask(port) == (200, "one")


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_an_agent_that_restarts_finds_its_proxy_serving_and_brings_it_up_to_date(
    tmp_path: Path, backend: Backend, delta: bool
) -> None:
    port = free_port()
    first, second = Rig(tmp_path), Rig(tmp_path)
    spots = [Spot("127.0.0.1", backend.port)]
    first.local["shop", "cart"] = first.local["shop", "old"] = spots
    second.local["shop", "cart"] = second.local["shop", "new"] = spots
    both = [Rule(table("www"), "cart", "/cart"), Rule(table("www"), "old", "/old")]
    async with AsyncExitStack() as proxy:
        async with first.running():
            first.push(destination("cart") | destination("old") | web(port, *both))
            await proxy.enter_async_context(first.envoy(delta=delta))
            await first.live()
        assert (await ask(port, "/cart"))[0] == 200  # nobody is there, and it serves
        second.port, second.version, second.lists = first.port, first.version, first.lists
        async with second.running():
            now = routes([Rule(table("www"), "cart", "/cart"), Rule(table("www"), "new", "/new")])
            gone = {("cluster", "old"): None, ("endpoints", "old"): None}
            second.push(destination("new") | gone | {("routes", "http"): now})
            await second.live(timeout=30)
            assert [(await ask(port, p))[0] for p in ("/cart", "/new", "/old")] == [200, 200, 404]


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_a_changed_cluster_gets_warm_although_its_endpoints_are_the_same(
    rig: Rig, backend: Backend, delta: bool
) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    rig.push(destination("cart") | web(port, Rule(table("www"), "cart")))
    async with rig.envoy(delta=delta) as envoy:
        await rig.live()
        rig.push({("cluster", "cart"): cluster("cart", lbPolicy="RANDOM")})
        await rig.live()
        async with asyncio.timeout(5):
            while "RANDOM" not in await envoy.get("/config_dump?resource=dynamic_active_clusters"):
                pass
        assert await ask(port) == (200, "one")
