"""Secrets of the relay that somebody deletes or garbles while they are in use: told, and written back where we may."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.relay import pki
from mgmt.admin.source_findings import source_finding
from mgmt.relay.secrets import Plan, RelaySecrets
from tests.unit.relay.support import until
from tests.unit.relay.tls_support import CLIENT, ROOT, SERVER, SIGNING, TOKEN, Client, OpenSsl, Server, enroll

MADE = (ROOT, SERVER, SIGNING)


def _remove(folder: Path, secret: str) -> None:
    for file in (folder / secret).iterdir():
        file.unlink()


@pytest.mark.spec("M-34")
async def test_what_the_server_made_comes_back(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt", mend_after=0.2)
    async with server.running():
        before = {name: await server.secrets.get(name) for name in MADE}
        for name in MADE:
            _remove(tmp_path / "mgmt", name)
        await until(lambda: set(server.held.unusable) == set(MADE))
        assert [kind for kind, _ in server.held.certificates()] == ["root", "signing", "server"]
        await until(lambda: not server.held.unusable)
        assert {name: await server.secrets.get(name) for name in MADE} == before
        for name, file in ((ROOT, "ca.crt"), (ROOT, "tls.crt"), (SERVER, "tls.crt"), (SIGNING, "tls.key")):
            (tmp_path / "mgmt" / name / file).write_bytes(b"garbage")
            await until(lambda name=name: name in server.held.unusable)
            assert f"secret {name} in {tmp_path / 'mgmt'} " in server.held.unusable[name]
            await until(lambda: not server.held.unusable)
            assert await server.secrets.get(name) == before[name]
    again = Server(tmp_path / "mgmt")
    async with again.running():
        await enroll(again, tmp_path / "east")
        async with Client(tmp_path / "east", again).running() as client:
            await until(lambda: client.connected)


async def test_what_others_bring_is_never_written_over(tmp_path: Path) -> None:
    ssl = OpenSsl(tmp_path / "openssl")
    brought = ssl.leaf("*.gloo-mesh", "serverAuth")
    server = Server(tmp_path / "mgmt", mend_after=0.05)
    async with server.running():
        (tmp_path / "mgmt" / SERVER / "tls.key").write_bytes(brought["tls.key"])  # as a person copies, slowly
        await until(lambda: SERVER in server.held.unusable)
        looked = _looks(server.held)
        await until(lambda: len(looked) > 1)
        assert (await server.secrets.get(SERVER))["tls.key"] == brought["tls.key"]
        (tmp_path / "mgmt" / SERVER / "tls.crt").write_bytes(brought["tls.crt"])
        await until(lambda: not server.held.unusable)
        _remove(tmp_path / "mgmt", SERVER)
        await until(lambda: SERVER in server.held.unusable)
        looked = _looks(server.held)
        await until(lambda: len(looked) > 1)
        assert await server.secrets.get(SERVER) == {}, "nor what they brought and took away"


async def test_a_token_that_was_taken_away_is_told(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        _remove(tmp_path / "mgmt", TOKEN)
        await until(lambda: server.held.unusable)
        assert server.held.unusable == {
            TOKEN: f"secret {TOKEN} in {tmp_path / 'mgmt'} has no token; put the token there"
        }


async def test_a_bundle_that_cannot_be_used_is_refused_as_a_whole(tmp_path: Path) -> None:
    ssl = OpenSsl(tmp_path / "openssl")
    server = Server(tmp_path / "mgmt", Plan(disable_ca=True, disable_ca_cert_generation=True))
    await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
    async with server.running():
        held = server.held._server, server.held._client_roots
        await server.secrets.put(SERVER, garbled(ssl.leaf("*.gloo-mesh", "serverAuth")))
        await until(lambda: server.held.unusable)
        assert "has no usable ca.crt" in server.held.unusable[SERVER]
        assert (server.held._server, server.held._client_roots) == held


def garbled(secret: dict[str, bytes]) -> dict[str, bytes]:
    return secret | {"ca.crt": b"garbage"}


def _looks(held: RelaySecrets) -> list[str]:
    """Grows with every attempt to write back."""
    names, once = [], held._write_back

    async def look(name: str) -> None:
        await once(name)
        names.append(name)

    held._write_back = look  # type: ignore[method-assign]  # listens
    return names


@pytest.mark.spec("C-5")
async def test_an_agent_begins_anew_with_the_root_and_token_of_a_new_server(tmp_path: Path) -> None:
    """What `cluster register` brings again; before, the server does not take what it shows."""
    former = Server(tmp_path / "mgmt")
    async with former.running():
        await enroll(former, tmp_path / "east")
        client = Client(tmp_path / "east", former)
        async with client.running():
            await until(lambda: client.connected)
    first = await client.certificate()
    for name in (*MADE, TOKEN):  # as after the management cluster was rebuilt
        _remove(tmp_path / "mgmt", name)
    server = Server(tmp_path / "mgmt")
    async with server.running():
        client = Client(tmp_path / "east", server)
        _remove(tmp_path / "east", TOKEN)
        async with client.running():
            await until(lambda: client.trust.finding)
            assert client.trust.finding is not None
            assert client.trust.finding.code == "RelayUnknownAuthority"
            await enroll(server, tmp_path / "east", token=False)
            await until(lambda: client.trust.finding and client.trust.finding.code == "RelayClientCertificate")
            assert f"put the server's token into secret {TOKEN}" in client.trust.finding.message
            await client.secrets.put(TOKEN, {"token": b"another"})
            await until(lambda: client.trust.finding and client.trust.finding.code == "RelayTokenWrong")
            await enroll(server, tmp_path / "east")
            await until(lambda: client.connected and server.connected())
            assert client.trust.finding is None
        fresh = await client.certificate()
        assert fresh != first
        pki.certificates(fresh)[1].verify_directly_issued_by(pki.certificates(server.held.roots)[0])


async def test_a_brought_certificate_that_is_refused_is_never_replaced(tmp_path: Path) -> None:
    ssl = OpenSsl(tmp_path / "openssl")
    server = Server(tmp_path / "mgmt")
    async with server.running():
        await enroll(server, tmp_path / "east")
        client = Client(tmp_path / "east", server)
        brought = ssl.leaf("east")
        await client.secrets.put(CLIENT, brought)
        async with client.running():
            await until(lambda: len(client.agent.losses) > 2)
            assert client.trust.finding is not None
            assert "bring one whose root is in ca.crt of the server's secret" in client.trust.finding.message
        assert await client.certificate() == brought["tls.crt"]


async def test_an_agent_tells_what_it_lacks_for_its_next_start(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        await enroll(server, tmp_path / "east")
        async with Client(tmp_path / "east", server).running() as client:
            await until(lambda: client.connected)
            first = await client.certificate()
            _remove(tmp_path / "east", TOKEN)
            await until(lambda: not client.trust._token)
            _remove(tmp_path / "east", ROOT)
            (tmp_path / "east" / CLIENT / "tls.crt").write_bytes(b"garbage")
            await until(lambda: len(client.trust.unusable()) == 2)
            assert [(one.code, one.message) for one in client.trust.unusable()] == [
                ("RelaySecretUnusable", f"secret {name} in {tmp_path / 'east'} {why}; what it held before stays in use")
                for name, why in ((CLIENT, "holds no PEM certificate"), (ROOT, "has no ca.crt any more"))
            ]
            shown = source_finding("east", "", *client.trust.unusable()[0])
            assert (shown["code"], shown["section"], shown["severity"]) == ("CHK103", "Certificates", "error")
            assert client.connected
            _remove(tmp_path / "east", CLIENT)
            await until(lambda: "is gone" in client.trust.unusable()[0].message)
            await enroll(server, tmp_path / "east")
            await until(lambda: not client.trust.unusable())
            assert await client.certificate() not in (first, b""), "with a token it asks for another one"
            await until(lambda: client.connected and server.connected())
