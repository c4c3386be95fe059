"""What stays closed: the east-west port to strangers, and Secrets inside their cluster."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3 import listener_pb2
from redis.asyncio import Redis

from agent.app import Agent
from agent.xds.ports import CertificateFiles
from fingerpost.relay.pieces import join
from tests.conformance.listeners.listener_certificates import issue
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, running_fleet
from tests.fleet.fleet_network import Tap, until

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


async def _call(address: str, port: int, sni: str, host: str, files: CertificateFiles | None, folder: Path) -> str:
    """The first line of the answer; "" when the connection is closed instead."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if files is not None:
        chain = folder / "caller.pem"
        chain.write_bytes(files.chain + files.key)
        context.load_cert_chain(chain)
    try:
        reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=sni)
        try:
            writer.write(f"GET /door HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            return (await asyncio.wait_for(reader.readline(), 15)).decode().strip()
        finally:
            writer.close()
    except (ssl.SSLError, ConnectionError):
        return ""


def _exposed(agent: Agent) -> list[str]:
    """The server names that the gateway's east-west listener takes."""
    effective = agent.gateways_.states()[GATEWAY].effective
    listeners = [
        listener_pb2.Listener.FromString(join(p)) for (type_, _), p in effective.items() if type_ == "listener"
    ]
    mine = [x for x in listeners if x.address.socket_address.port_value == m.EASTWEST_PORT]
    return [name for x in mine for chain in x.filter_chains for name in chain.filter_chain_match.server_names]


@pytest.mark.spec("D-27")
async def test_the_east_west_port_opens_to_certified_callers_of_exposed_names_only(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world(m.virtual_destination("other", app="cart"))
        server = await fleet.start_server()
        agents = {c: await fleet.start_agent(c, server.relay.port) for c in fleet.clusters}
        seen = await fleet.backend("east")
        fleet.start_envoy(agents["east"])
        await fleet.answers("east", "/cart", "east 0")
        await until(lambda: agents["west"]._certificates.of(GATEWAY), why="west has its certificate")
        west = agents["west"]._certificates.of(GATEWAY)
        assert west is not None
        stranger = issue("stranger", issue("another root"))
        forged = CertificateFiles(stranger.pem, stranger.key_pem, b"")
        address, host = fleet.address("east"), "cart.shop.example"
        names = await until(lambda: _exposed(agents["east"]), why="east exposes cart")
        sni = next(name for name in names if host in name)

        async def call(sni: str, files: CertificateFiles | None) -> str:
            return await _call(address, m.EASTWEST_PORT, sni, host, files, tmp_path)

        async def opens() -> bool:
            return await call(sni, west) == "HTTP/1.1 200 OK"

        await until(opens, why="the door opens to west")
        reached = len([line for line in seen if "/door" in line])
        assert reached == 1
        assert await call(sni, None) == ""
        assert await call(sni, forged) == ""
        assert await call(sni.replace("cart", "till"), west) == ""
        assert await call("example.org", west) == ""
        assert len([line for line in seen if "/door" in line]) == reached


def _secret(name: str, data: dict[str, bytes]) -> m.Object:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return m.core("Secret", "gw", name, type="Opaque", data=encoded)


def _traces(values: Iterable[bytes]) -> Iterator[bytes]:
    """A value in the forms in which it might leak: as it is, one line of a PEM file, in base64 at any offset."""
    for value in values:
        for text in (value, *(line for line in value.splitlines() if len(line) > 40 and b"-----" not in line)):
            yield text
            for offset in range(3):
                yield base64.b64encode(text[offset:])[4:-8]


async def _redis_content(socket: Path) -> bytes:
    redis: Any = Redis(unix_socket_path=str(socket))
    found = bytearray()
    async for key in redis.scan_iter("*"):
        kind = await redis.type(key)
        if kind == b"zset":
            content = await redis.zrange(key, 0, -1)
        else:
            read = {b"hash": redis.hgetall, b"stream": redis.xrange, b"set": redis.smembers, b"string": redis.get}
            content = await read[kind](key)
        found += key + repr(content).encode()
        if kind == b"hash":
            found += b"".join(await redis.hvals(key))
    await redis.aclose()
    return bytes(found)


_OF_SERVER = (
    "/debug/tasks",
    "/debug/memory?types=100",
    "/debug/engine",
    "/debug/queues",
    "/events",
    "/trace?kind=RouteTable",
    "/metrics",
)
_OF_AGENT = (
    "/snapshots/input",
    "/snapshots/output",
    "/debug/tasks",
    "/debug/memory?types=100",
    "/debug/queues",
    "/gateways",
    "/metrics",
)


@pytest.mark.spec("M-6")
async def test_a_secret_never_leaves_its_cluster(tmp_path: Path) -> None:
    ca = issue("ca")
    tls = issue(m.HOST, ca)
    password = b"canary-e5b1a0c7-password-that-nobody-else-has"
    async with running_fleet(tmp_path, "east") as fleet:
        listener = {"http": {}, "port": {"number": 443}, "tls": {"mode": "SIMPLE", "secretName": "www-tls"}}
        fleet.write_world()
        fleet.write("mgmt", "edge.yaml", m.virtual_gateway("edge-tls", "gw", [listener]))
        www = m.table("secure", [m.says("/door", "secure")], host=m.HOST, edge=("edge-tls", "gw"))
        fleet.write("mgmt", "secure.yaml", www)
        secrets = [
            _secret("www-tls", {"tls.crt": tls.pem, "tls.key": tls.key_pem}),
            _secret("other", {"password": password}),
        ]
        fleet.write("east", "secrets.yaml", *secrets)
        server = fleet.start_server_process(verbose="true", insecure="true")
        ready = await server.ready("mgmt.server.ready")
        async with Tap(ready["relay"]).running() as tap:
            agent = await fleet.start_agent("east", tap.port, insecure=True)
            fleet.start_envoy(agent)

            async def serves() -> bool:
                answer = await _call(fleet.address("east"), m.TLS_PORT, m.HOST, m.HOST, None, tmp_path)
                return answer == "HTTP/1.1 200 OK"

            await until(serves, why="the gateway serves with the Secret")
            rotated = issue(m.HOST, ca)  # a change of a Secret is pushed no more than its first sight
            secrets[0] = _secret("www-tls", {"tls.crt": rotated.pem, "tls.key": rotated.key_pem})
            fleet.write("east", "secrets.yaml", *secrets)
            fleet.write("east", "late.yaml", m.table("late", [m.says("/late", "late")]))
            await fleet.answers("east", "/late", "late", host="late.example")
            places = {
                "pushes": bytes(tap.up),
                "desired state": bytes(tap.down),
                "redis": await _redis_content(tmp_path / "mgmt" / "redis" / "redis.sock"),
                "input snapshot": (await fleet.client.text(ready["admin"], "/snapshots/input")).encode(),
                "output snapshot": (await fleet.client.text(ready["admin"], "/snapshots/output")).encode(),
                "objects": (await fleet.client.text(ready["admin"], "/objects?kind=RouteTable&detail=true")).encode(),
                "log": (tmp_path / "mgmt.log").read_bytes(),
                **{path: (await fleet.client.text(ready["admin"], path)).encode() for path in _OF_SERVER},
                **{f"agent {path}": (await fleet.client.text(agent.admin_port, path)).encode() for path in _OF_AGENT},
            }
        await server.stop()
        for path in (tmp_path / "mgmt").rglob("*"):
            if path.is_file():
                places[str(path)] = path.read_bytes()
        for place in ("pushes", "redis", "input snapshot", "agent /snapshots/input"):
            assert b"late.example" in places[place], f"{place} was not read"
        assert b"www-tls" in places["output snapshot"]
        assert b"www-tls" in places["agent /snapshots/output"]
        assert b"agent.watch" in places["agent /debug/tasks"]
        assert b"mgmt.relist" in places["/debug/tasks"]
        assert b"Connected" in places["/events"]
        traces = list(_traces([tls.key_pem, rotated.key_pem, password]))
        leaks = [(place, trace) for place, content in places.items() for trace in traces if trace in content]
        assert leaks == []


async def test_without_insecure_neither_side_speaks_plaintext(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        port = (await fleet.start_server()).relay.port
        agent = await fleet.start_agent("east", port, insecure=True)
        await until(lambda: agent.trust.finding is not None, why="it finds TLS")
        assert agent.findings()[-1]["message"] == (
            f"the server at 127.0.0.1:{port} asks for TLS, this agent has insecure; set it to the same on both"
        )
        assert not agent.pull.connected
    async with running_fleet(tmp_path / "other", "east") as fleet:
        fleet.write_world()
        port = (await fleet.start_server(insecure=True)).relay.port
        agent = await fleet.start_agent("east", port)
        await until(lambda: agent.trust.finding is not None, why="it finds plaintext")
        assert agent.findings()[-1]["message"] == (
            f"the server at 127.0.0.1:{port} speaks plaintext, this agent TLS; set insecure to the same on both, "
            "or is it another port than 9900?"
        )
        assert not agent.pull.connected
