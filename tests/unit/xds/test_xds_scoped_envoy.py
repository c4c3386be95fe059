"""Both forms of a listener's routes on a real Envoy: they serve alike, and a change of form fails no request."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from xds_hosts import BOTH, rules, site
from xds_support import (
    Backend,
    EnvoyProcess,
    Key,
    Rig,
    Rule,
    Spot,
    ask,
    destination,
    free_port,
    listener,
    routes,
    table,
)

from agent.xds.scopes import HEADER
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.route_forms import Form

pytestmark = [pytest.mark.envoy, pytest.mark.spec("M-10")]

# As with the 600 s of an Envoy that nobody hurries: a client is told to come again before its connection ends.
DRAIN = ("--drain-time-s", "1", "--drain-strategy", "immediate")


async def raw(port: int, *lines: str) -> str:
    """One request as it is written here; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join((*lines, "", "")).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line.partition(":")[2] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        return head + (await reader.readexactly(int(lengths[0]) if lengths else 0)).decode()
    finally:
        writer.close()


async def scopes_in(envoy: EnvoyProcess) -> dict[str, Any]:
    dump = json.loads(await envoy.get("/config_dump"))
    found = {}
    for config in dump["configs"]:
        for one in config.get("dynamic_scoped_route_configs", ()):
            for scope in one["scoped_route_configs"]:
                found[scope["name"]] = scope
    return found


@BOTH
async def test_every_rule_about_hosts_holds_in_both_forms(rig: Rig, echo: Backend, form: Form) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", echo.port)]
    served = rules("a.example", "b.a.example", "*.a.example", "*-x.a.example", "*")
    rig.push(destination("cart") | site(port, form, served))
    expected = {
        "a.example": "/a.example",
        "A.ExAmPlE": "/a.example",
        "a.example:80": "/a.example",
        "A.EXAMPLE:1234": "/a.example",
        "b.a.example": "/b.a.example",
        "B.A.example:9": "/b.a.example",
        "c.a.example": "/any.a.example",
        "C.a.Example:8": "/any.a.example",
        "c.d.a.example": "/any.a.example",
        "q-x.a.example": "/any-x.a.example",
        "Q-X.A.EXAMPLE:7": "/any-x.a.example",
        "other.example": "/any",
        "a.example.": "/any",
        "a.example:1:2": "/any",
        "[::1]:80": "/any",
        "192.0.2.1": "/any",
        "*": "/any",
        "-": "/any",
    }
    async with rig.envoy() as envoy:
        await rig.live()
        assert bool(await scopes_in(envoy)) == (form is Form.SCOPED), "the form is the one that was asked for"
        for host, path in expected.items():
            answers = [
                (tried, (await raw(port, f"GET {tried}/ HTTP/1.1", f"host: {host}")).split()[1])
                for tried in set(expected.values())
            ]
            assert {status for _, status in answers} == {"200", "404"}, host
            assert [tried for tried, status in answers if status == "200"] == [path], host


async def test_a_request_that_has_its_scope_passes_no_filter_of_ours(rig: Rig, echo: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", echo.port)]
    rig.push(destination("cart") | site(port, Form.SCOPED, rules("a.example", "*")))
    async with rig.envoy() as envoy:
        await rig.live()

        async def run_by(host: str, path: str) -> int:
            assert (await raw(port, f"GET {path}/ HTTP/1.1", f"host: {host}")).split()[1] == "200", host
            stats = (await envoy.get("/stats?filter=lua.executions")).splitlines()
            return sum(int(line.rpartition(" ")[2]) for line in stats)

        assert await run_by("a.example", "/a.example") == 0
        assert await run_by("A.example", "/a.example") == 2  # it is lowered, and looked at whether that was enough
        assert await run_by("other.example", "/any") == 3


@BOTH
async def test_a_host_without_a_wildcard_to_go_to_is_a_404(rig: Rig, echo: Backend, form: Form) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", echo.port)]
    rig.push(destination("cart") | site(port, form, rules("a.example", "b.example")))
    async with rig.envoy():
        await rig.live()
        for host in ("c.example", "a.example.", "*", "", "C.EXAMPLE:1"):
            assert (await raw(port, "GET /a.example/ HTTP/1.1", f"host: {host}")).split()[1] == "404", host
        assert (await raw(port, "GET /b.example/ HTTP/1.1", "host: a.example")).split()[1] == "404"
        assert (await raw(port, "GET /a.example/ HTTP/1.1", "host: A.example")).split()[1] == "200"


@BOTH
async def test_nothing_a_client_sends_moves_its_request_and_nothing_is_passed_on(
    rig: Rig, echo: Backend, form: Form
) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", echo.port)]
    rig.push(destination("cart") | site(port, form, rules("a.example", "b.example", "*.wild.example")))
    async with rig.envoy():
        await rig.live()
        forged = [f"{HEADER}: http/b.example", f"{HEADER.title()}: http/*", f"{HEADER}:"]
        for host, path in (
            ("a.example", "/a.example/"),
            ("A.example:80", "/a.example/"),
            ("x.wild.example", "/any.wild.example/"),
        ):
            for more in ([], forged, ["upgrade: websocket", "x-forwarded-host: b.example", *forged]):
                answer = await raw(port, f"GET {path} HTTP/1.1", f"host: {host}", *more)
                assert answer.split()[1] == "200", (host, more)
                assert f"host: {host}" in answer
                if form is Form.SCOPED:
                    assert HEADER not in answer.lower(), "the backend saw it"
                answer = await raw(port, "GET /b.example/ HTTP/1.1", f"host: {host}", *more)
                assert answer.split()[1] == "404", (host, more)


@pytest.mark.parametrize("wildcard", [False, True])
async def test_a_change_of_form_to_and_fro_fails_no_request(rig: Rig, backend: Backend, wildcard: bool) -> None:
    """The second time, too: an Envoy that has forgotten all scopes does not ask for them again."""
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    served = [Rule(table(f"t{i}"), "cart", "/", host=f"h{i}.example") for i in range(60)]
    served += [Rule(table("wild"), "cart", "/", host="*.wild.example")] * wildcard
    rig.push(destination("cart") | site(port, Form.PLAIN, served))
    async with rig.envoy(arguments=DRAIN) as envoy:
        await rig.live()
        answers: list[int] = []
        done = asyncio.Event()

        async def load(host: str, fresh: bool) -> None:
            async with AsyncExitStack() as stack:
                client = await stack.enter_async_context(httpx.AsyncClient())
                while not done.is_set():
                    used = await stack.enter_async_context(httpx.AsyncClient()) if fresh else client
                    answers.append((await used.get(f"http://127.0.0.1:{port}/", headers={"host": host})).status_code)
                    if fresh:
                        await used.aclose()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load("h1.example", False), name="kept connection")
            tasks.create_task(load("H2.example", True), name="new connections")
            tasks.create_task(load("x.wild.example" if wildcard else "h3.example", True), name="others")
            for form in (Form.SCOPED, Form.PLAIN, Form.SCOPED, Form.PLAIN, Form.SCOPED):
                rig.push({("listener", f"0.0.0.0_{port}"): listener(port, form=form)})
                await rig.live(timeout=5)
                # The new listener serves; the one before is drained to its end, and all scopes are forgotten with it.
                async with asyncio.timeout(10):
                    while bool(await scopes_in(envoy)) != (form is Form.SCOPED):
                        pass
                    while await counter(envoy, "listener_manager.total_listeners_warming"):
                        pass
                sent = len(answers)
                async with asyncio.timeout(5):
                    while len(answers) < sent + 20:  # noqa: ASYNC110  the load yields often
                        await asyncio.sleep(0)
            done.set()
        assert len(answers) > 100
        assert set(answers) == {200}


async def counter(envoy: EnvoyProcess, name: str) -> int:
    for line in (await envoy.get(f"/stats?filter={name}")).splitlines():
        if line.startswith(f"{name}: "):
            return int(line.rpartition(" ")[2])
    return 0


async def test_hosts_and_wildcards_come_and_go_without_a_failed_request(rig: Rig, backend: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    steady = [Rule(table("steady"), "cart", "/", host="steady.example")]

    def more(*hosts: str) -> dict[Key, PieceList | None]:
        return {("routes", "http"): routes([*steady, *(Rule(table(h), "cart", "/", host=h) for h in hosts)])}

    rig.push(destination("cart") | site(port, Form.SCOPED, steady))
    async with rig.envoy(arguments=DRAIN) as envoy:
        await rig.live()
        answers: list[int] = []
        done = asyncio.Event()

        async def load() -> None:
            async with httpx.AsyncClient() as client:
                while not done.is_set():
                    answer = await client.get(f"http://127.0.0.1:{port}/", headers={"host": "steady.example"})
                    answers.append(answer.status_code)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load(), name="load")
            for hosts, expected in (
                (("a.example",), {"a.example": 200, "b.example": 404}),
                (("a.example", "*.example"), {"a.example": 200, "b.example": 200, "x.b.example": 200, "c.org": 404}),
                (("*.example", "*"), {"a.example": 200, "b.example": 200, "c.org": 200}),
                (("b.example",), {"a.example": 404, "b.example": 200, "c.org": 404}),
                (("*",), {"a.example": 200, "b.example": 200, "c.org": 200}),
                ((), {"a.example": 404, "b.example": 404, "c.org": 404}),
            ):
                rig.push(more(*hosts))
                await rig.live()
                assert {h: (await ask(port, host=h))[0] for h in expected} == expected, hosts
                there = {"http/steady.example", *(f"http/{'*' if '*' in h else h}" for h in hosts)}
                assert (await scopes_in(envoy)).keys() == there
            done.set()
        assert set(answers) == {200}


async def test_listeners_do_not_see_each_others_hosts(rig: Rig, backend: Backend) -> None:
    """All share one subscription; a host of two listeners is two scopes. Each comes at its own time."""
    one, two = free_port(), free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    both = rules("a.example", "b.example")
    rig.push(destination("cart") | site(one, Form.SCOPED, both[:1], "one"))
    async with rig.envoy(arguments=DRAIN):
        await rig.live()
        rig.push(site(two, Form.SCOPED, [both[0]._replace(prefix="/other"), both[1]], "two"))
        await rig.live(timeout=5)
        assert (await ask(one, "/a.example/", "a.example"))[0] == 200
        assert (await ask(one, "/b.example/", "b.example"))[0] == 404
        assert (await ask(two, "/other", "a.example"))[0] == 200
        assert (await ask(two, "/a.example/", "a.example"))[0] == 404
        assert (await ask(two, "/b.example/", "b.example"))[0] == 200
        rig.push({("listener", f"0.0.0.0_{one}"): None, ("routes", "one"): None}, confirmed=True)
        await rig.live(timeout=5)
        assert (await ask(two, "/other", "a.example"))[0] == 200


async def test_near_the_number_a_gateway_stays_as_it_is(rig: Rig, backend: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    rig.push(destination("cart") | site(port, Form.AS_BEFORE, rules("a.example")))
    async with rig.envoy() as envoy:
        await rig.live()
        updates = "listener_manager.listener_create_success"
        assert not await scopes_in(envoy)
        assert await counter(envoy, updates) == 1
        for form, scoped in ((Form.SCOPED, True), (Form.AS_BEFORE, True), (Form.PLAIN, False), (Form.AS_BEFORE, False)):
            rig.push({("listener", f"0.0.0.0_{port}"): listener(port, form=form)})
            await rig.live()
            manager = await envoy.get("/config_dump?resource=dynamic_listeners")
            assert ('"scoped_routes"' in manager) == scoped, form
            assert (await ask(port, "/a.example/", "a.example"))[0] == 200


async def test_an_edit_sends_one_scope(rig: Rig, backend: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    served = [Rule(table(f"t{i}"), "cart", "/", host=f"h{i}.example") for i in range(300)]
    rig.push(destination("cart") | site(port, Form.SCOPED, served))
    async with rig.envoy() as envoy:
        await rig.live()
        assert len(await scopes_in(envoy)) == 300
        received = await received_bytes(envoy)
        served[150] = served[150]._replace(prefix="/edited")
        rig.push({("routes", "http"): routes(served)})
        await rig.live()
        assert (await ask(port, "/edited", "h150.example"))[0] == 200
        assert (await ask(port, "/other", "h150.example"))[0] == 404
        assert await received_bytes(envoy) - received < 1000


async def received_bytes(envoy: EnvoyProcess) -> int:
    return await counter(envoy, "cluster.fingerpost-agent.upstream_cx_rx_bytes_total")


async def test_an_agent_that_restarts_sends_only_the_scopes_that_changed(tmp_path: Path, backend: Backend) -> None:
    port = free_port()
    first, second = Rig(tmp_path), Rig(tmp_path)
    first.local["shop", "cart"] = second.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    served = [Rule(table(f"t{i}"), "cart", "/", host=f"h{i}.example") for i in range(300)]
    async with AsyncExitStack() as proxy:
        async with first.running():
            first.push(destination("cart") | site(port, Form.SCOPED, served))
            envoy = await proxy.enter_async_context(first.envoy())
            await first.live()
            whole = await received_bytes(envoy)
        assert (await ask(port, "/", "h7.example"))[0] == 200  # nobody is there, and it serves
        second.port, second.version, second.lists = first.port, first.version, first.lists
        async with second.running():
            edited = [served[0], served[1]._replace(prefix="/edited"), *served[3:]]
            second.push({("routes", "http"): routes(edited)})
            await second.live(timeout=30)
            assert (await ask(port, "/edited", "h1.example"))[0] == 200
            assert [(await ask(port, "/", f"h{i}.example"))[0] for i in (0, 1, 2, 3)] == [200, 404, 404, 200]
            assert await received_bytes(envoy) - whole < whole / 4


async def test_a_proxy_that_cannot_do_scopes_is_served_the_plain_form(rig: Rig, backend: Backend) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    rig.push(destination("cart") | site(port, Form.SCOPED, rules("a.example", "*.example")))
    async with rig.envoy(arguments=("--disable-extensions", "envoy.filters.http/envoy.filters.http.lua")) as envoy:
        told = await rig.live()
        assert told.deviations == ()
        assert not await scopes_in(envoy)
        assert (await ask(port, "/a.example/", "a.example"))[0] == 200
        rig.push({("routes", "http"): routes(rules("a.example", "*"))})
        await rig.live()
        assert (await ask(port, "/any/", "b.example"))[0] == 200


async def test_a_listener_that_is_refused_in_both_forms_is_blamed_and_the_other_has_its_scopes(
    rig: Rig, backend: Backend
) -> None:
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    taken = {("listener", "taken"): listener(backend.port, owner="tcp")}
    rig.push(destination("cart") | taken | site(port, Form.SCOPED, rules("a.example")))
    async with rig.envoy() as envoy:
        told = await rig.told.until(lambda a: a.watermark >= 1 and bool(a.deviations))
        [refused] = told.deviations
        assert refused.contribution == "networking.gloo.solo.io/VirtualGateway/east/ingress/tcp"
        assert (await ask(port, "/a.example/", "a.example"))[0] == 200
        assert (await scopes_in(envoy)).keys() == {"http/a.example"}
