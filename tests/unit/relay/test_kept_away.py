"""Each reason that keeps an agent from its server has a code of its own (C-14), over real sockets and certificates."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.relay import trust
from agent.relay.diagnosis import look, turned_down, unreachable
from mgmt.admin.source_findings import source_finding
from mgmt.relay.bootstrap import FAILURES, WINDOW
from mgmt.relay.secrets import Plan
from tests.unit.relay.support import until
from tests.unit.relay.tls_support import AUTHORITY, CLIENT, ROOT, SERVER, TOKEN, Client, OpenSsl, Server, enroll

pytestmark = [pytest.mark.spec("C-14"), pytest.mark.timeout(90)]
BYO = {"disable_ca": True, "disable_ca_cert_generation": True, "disable_token_generation": True}


@pytest.fixture(scope="module")
def ssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    return OpenSsl(tmp_path_factory.mktemp("ssl"))


def code(found: object) -> tuple[str, str]:
    """As `check` shows it."""
    said, message = found  # type: ignore[misc]
    shown = source_finding("east", "server", said, message)
    assert shown["section"] == "Mgmt server connectivity to workload agents"
    return shown["code"], message


def test_a_name_that_nobody_knows() -> None:
    address = "no-such-name.invalid:9900"
    found = code(unreachable(look(address, AUTHORITY), address))
    assert found[0] == "CHK141"
    assert "the name no-such-name.invalid is not known" in found[1]


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    found = code(unreachable(look(address, AUTHORITY), address))
    assert found == (
        "CHK142",
        f"the server at {address} cannot be reached: Connection refused; correct server_address, or open the way there",
    )


@pytest.mark.parametrize(
    ("server_leaf", "root", "expected", "words"),
    [
        (
            {"name": "relay.example", "extra": ",DNS:*.other"},
            "own",
            "CHK143",
            f"names relay.example, *.other, expected is {AUTHORITY}",
        ),
        ({"name": "*.gloo-mesh"}, "other", "CHK144", f"put the server's root into ca.crt of secret {ROOT}"),
        ({"name": "*.gloo-mesh", "days": "0"}, "own", "CHK145", "certificate has expired"),
    ],
    ids=["name", "authority", "expired"],
)
async def test_a_server_whose_certificate_does_not_fit(
    tmp_path: Path, ssl: OpenSsl, server_leaf: dict[str, str], root: str, expected: str, words: str
) -> None:
    server = Server(tmp_path / "mgmt", Plan(**BYO))
    await server.secrets.put(SERVER, ssl.leaf(usage="serverAuth", **server_leaf))
    async with server.running():
        client = Client(tmp_path / "east", server)
        trusted = ssl.root if root == "own" else OpenSsl(tmp_path / "other", "other").root
        await client.secrets.put(ROOT, {"ca.crt": trusted})
        await client.secrets.put(CLIENT, ssl.leaf("east"))
        async with client.running():
            await until(lambda: client.trust.finding)
            found = code(client.trust.finding)
    assert found[0] == expected
    assert words in found[1]


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ({}, "secret {} in {} ended at "),
        ({"token": b"any"}, "the client certificate in secret {} in {} has ended at "),
    ],
    ids=["no token for another", "a token where none are issued"],
)
async def test_a_client_certificate_that_is_over(
    tmp_path: Path, ssl: OpenSsl, token: dict[str, bytes], words: str
) -> None:
    server = Server(tmp_path / "mgmt", Plan(**BYO))
    await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(CLIENT, ssl.leaf("east", days="0"))
        if token:
            await client.secrets.put(TOKEN, token)
        async with client.running():
            await until(lambda: client.trust.finding)
            found = code(client.trust.finding)
    assert found[0] == "CHK145"
    assert words.format(CLIENT, tmp_path / "east") in found[1]


async def test_a_wrong_token(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        await enroll(server, tmp_path / "east", token=False)
        client = Client(tmp_path / "east", server)
        await client.secrets.put(TOKEN, {"token": b"another"})
        async with client.running():
            await until(lambda: client.trust.finding)
            found = code(client.trust.finding)
    assert found[0] == "CHK146"
    assert "the token of cluster east is wrong" in found[1]
    assert "another" not in found[1]


async def test_who_failed_too_often_is_told_why_all_the_same(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        await enroll(server, tmp_path / "east", token=False)
        for _ in range(6):  # as one that is restarted again and again
            client = Client(tmp_path / "east", server)
            await client.secrets.put(TOKEN, {"token": b"another"})
            async with client.running():
                await until(lambda client=client: client.trust.finding)
                found = code(client.trust.finding)
    assert server.failures("rate") == 1
    assert found[0] == "CHK146"
    assert "failed 5 times within a minute; wait that long; last: the token of cluster east is wrong" in found[1]


async def test_the_right_token_counts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which it would not after five attempts; a connection in between is tried again many times a second."""
    server = Server(tmp_path / "mgmt")
    assert [sum(trust._PAUSES[:n]) for n in range(4)] == [0, 2, 12, 42], "four attempts within the first minute"
    assert trust._PAUSES[-1] > WINDOW / FAILURES
    monkeypatch.setattr(trust, "_PAUSES", (3600.0,))
    async with server.running():
        await enroll(server, tmp_path / "east", token=False)
        client = Client(tmp_path / "east", server)
        await client.secrets.put(TOKEN, {"token": b"another"})
        async with client.running():
            await until(lambda: client.trust.finding)
            await client.secrets.put(TOKEN, await server.secrets.get(TOKEN))
            await until(lambda: client.connected and server.connected())
            assert client.trust.finding is None
    assert (server.failures("token"), server.failures("rate")) == (1, 0)


async def test_a_wrong_token_on_every_connection(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt", Plan(client_certificates=False))
    async with server.running():
        await enroll(server, tmp_path / "east", token=False)
        client = Client(tmp_path / "east", server, relay_token="another")
        async with client.running():
            await until(lambda: client.agent.losses)
    found = code(turned_down(client.agent.losses[0], shows_token=True))
    assert found[0] == "CHK146"
    assert "the token of cluster east is wrong" in found[1]


async def test_a_second_cluster_of_the_name_gets_no_certificate(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    server.ingest.conflict_message = "cluster name east belongs to the cluster with uid one"
    async with server.running():
        await enroll(server, tmp_path / "east")
        client = Client(tmp_path / "east", server)
        async with client.running():
            await until(lambda: client.trust.finding)
            found = code(client.trust.finding)
    assert found[0] == "CHK148"
    assert "belongs to the cluster with uid one" in found[1]
