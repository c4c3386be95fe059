"""Bad input: a message that names what is wrong, and everything else goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from fingerpost.cluster.directory.statuses import StatusFiles
from fingerpost.objects import ObjectKey, type_of
from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import Client, until
from tests.fleet.fleet_processes import module
from tests.unit.crd.refusals import Refusal, state_of, stored_refusals, words_of

pytestmark = [pytest.mark.fleet, pytest.mark.redis]
_GONE = {"ref": {"name": "gone", "namespace": "shop", "cluster": "east"}, "port": {"number": 80}}


def _regex(pattern: str) -> m.Object:
    return m.says("/", "x") | {"matchers": [{"uri": {"regex": pattern}}]}


# file name -> its text or object, and where the words are to be found: words that have to be there
_MISTAKES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "regex": (m.table("regex", [_regex("/a(b")]), ("http[0]", "matchers[0].uri.regex", "/a(b", "missing )")),
    "types": (m.table("types", [{"name": "t", "directResponse": {"status": "many"}}]), ("spec.http[0]", "status")),
    "missing": (m.table("missing", [m.to("/", _GONE)]), ("spec.http[0].forwardTo.destinations[0]", "gone")),
    "unknown": (m.table("unknown", [m.says("/", "x") | {"retryy": 3}]), ("spec.http[0].retryy",)),
    "port": (
        m.gloo("VirtualGateway", "gw", "port", {"listeners": [{"http": {}, "port": {"number": 99999}}]}),
        ("spec.listeners[0].port", "99999"),
    ),
}


async def _names(fleet: Fleet, admin: int, kind: str, name: str, words: Collection[str]) -> None:
    """Until what is told of the object contains all the words."""
    said = ""

    async def told() -> bool:
        nonlocal said
        said = await fleet.client.text(admin, f"/objects?kind={kind}&name={name}&detail=true")
        return all(word in said for word in words)

    await until(told, why=lambda: f"{name}: {words} in {said}")


@pytest.mark.envoy
async def test_each_mistake_is_named_and_everything_else_is_served(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        fleet.write("mgmt", "brittle.yaml", m.table("brittle", [m.says("/who", "still there")]))
        server = await fleet.start_server()
        fleet.start_envoy(await fleet.start_agent("east", server.relay.port))
        await fleet.answers("east", "/who", "still there", host="brittle.example")
        folder = fleet.folder("mgmt")
        m.write_text(folder / "brittle.yaml", "kind: RouteTable\n  name: [oops")
        m.write_text(folder / "list.yaml", "- 1\n- 2\n")
        for name, (wrong, _) in _MISTAKES.items():
            fleet.write("mgmt", f"{name}.yaml", wrong)
        fleet.write("mgmt", "last.yaml", m.table("last", [m.says("/who", "good")]))
        await fleet.answers("east", "/who", "good", host="last.example")
        for name, (wrong, words) in _MISTAKES.items():
            await _names(fleet, server.admin_port, wrong["kind"], name, words)
        findings = {f.source: f for f in server.ingest.findings}
        assert {"brittle.yaml", "list.yaml"} <= set(findings)
        assert "line 2" in findings["brittle.yaml"].message, findings
        assert (await fleet.get("east", "/who", "brittle.example")).text == "still there"
        assert (await fleet.get("east", "/hi")).text == "hi"


@pytest.mark.envoy
@pytest.mark.spec("M-68")
async def test_what_is_there_against_a_rule_is_invalid_with_its_text_and_stops_nothing(tmp_path: Path) -> None:
    """No API server stands before a folder, so it may hold one object against every rule."""
    old = stored_refusals()
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        fleet.write("east", "old.yaml", *(one.manifest for one in old))
        fleet.write("east", "good.yaml", m.table("good", [m.says("/hi", "good")]))
        server = await fleet.start_server()
        fleet.start_envoy(await fleet.start_agent("east", server.relay.port))
        await fleet.answers("east", "/hi", "good", host="good.example")
        statuses = StatusFiles(tmp_path / "agent-east" / "cluster" / "status")

        def state(one: Refusal) -> tuple[str, str]:
            obj = one.manifest
            key = ObjectKey(type_of(obj["apiVersion"], obj["kind"]), "east", "shop", obj["metadata"]["name"])
            path = statuses.path(key)
            return state_of({"status": json.loads(path.read_text())} if path.exists() else {})

        for one in old:
            await until(lambda one=one: state(one)[0] == "INVALID", why=f"{one}")
            assert any(words in state(one)[1] for words in words_of(one)), (one, state(one))


async def _last_words(state: Path, **flags: object) -> str:
    """Of a server that ends with 1."""
    server = module("mgmt", state.with_name("log"), state_dir=state, **flags)
    try:
        assert await server.ended() == 1
    finally:
        await server.stop()
    assert "Traceback" not in server.said()
    last = server.said().splitlines()[-1]
    assert last.startswith("fingerpost-mgmt: ")
    return last


async def test_a_wrong_redis_url_ends_the_server_with_what_to_do(tmp_path: Path) -> None:
    last = await _last_words(tmp_path / "state", redis_url="http://nowhere:1")
    assert 'the scheme is "http"' in last
    assert "redis://" in last


@pytest.mark.spec("M-42")
async def test_a_redis_that_lets_nobody_in_or_takes_no_writes_is_named(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis:
        client: Any = Redis(unix_socket_path=str(redis.socket))
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        flags = {"relay_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", "redis_url": redis.url}
        server = module("mgmt", tmp_path / "log", state_dir=tmp_path / "state", **flags)
        try:
            await server.ready("mgmt.server.ready")
            await until(
                lambda: "is a read-only replica; promote it, or name its primary" in server.said(), 20, server.said
            )
            await client.execute_command("REPLICAOF", "NO", "ONE")
            await until(lambda: "store.link.regained" in server.said(), 20, server.said)
            assert "Traceback" not in server.said()
        finally:
            await server.stop()
        await client.config_set("requirepass", "the-right-one")
        await client.aclose()
        last = await _last_words(tmp_path / "other", redis_url=redis.url, redis_password="canary-7f3a")
        assert "refuses the user name or password taken from --redis-password; correct them there" in last
        assert "canary" not in last
        last = await _last_words(tmp_path / "third", redis_url=redis.url)
        assert "refuses the user name or password taken from --redis-url; correct them there" in last


@pytest.mark.parametrize("flag", ["relay_address", "admin_address", "health_address"])
async def test_a_port_in_use_is_named(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        flags = {"relay_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", flag: taken}
        assert taken in await _last_words(tmp_path / "state", **flags)


async def test_a_redis_that_is_away_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    flags = {"relay_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", "redis_url": "redis://127.0.0.1:1"}
    server = module("mgmt", tmp_path / "log", state_dir=tmp_path / "state", **flags)
    client = Client()
    try:
        ready = await server.ready("mgmt.server.ready")
        said = await client.text(ready["admin"], "/readyz")
        assert "redis has not been reached since the start" in said
    finally:
        await client.close()
        await server.stop()


async def test_a_folder_that_is_not_there_is_waited_for_and_told_of(tmp_path: Path) -> None:
    root = tmp_path / "manifests"
    flags = {"relay_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", "directory": root}
    server = module("mgmt", tmp_path / "log", state_dir=tmp_path / "state", **flags)
    client = Client()
    try:
        admin = (await server.ready("mgmt.server.ready"))["admin"]
        lines = [json.loads(line) for line in server.said().splitlines() if "cluster.source.finding" in line]
        assert [line["level"] for line in lines] == ["warning"]
        assert f"the folder {root} does not exist" in lines[0]["message"]
        assert "create it" in lines[0]["message"]

        async def missing() -> bool:
            said = await client.text(admin, "/check")
            return "CHK092" in said and str(root) in said

        await until(missing, 5, server.said)
        m.write(root / "a.yaml", m.table("a", [m.says("/", "x")]))

        async def taken() -> bool:
            return '"name":"a"' in await client.text(admin, "/objects?kind=routetable") and not await missing()

        await until(taken, 5, server.said)
    finally:
        await client.close()
        await server.stop()
