"""The setup options 1 to 5 of relay.md §5.3, what is brought made by openssl; what keeps them from working."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.relay.diagnosis import Finding, covers
from fingerpost.relay import pki
from fingerpost.relay.reasons import LinkLost
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.secrets.protocol import SecretsFailed
from mgmt.relay.secrets import Plan, RelaySecrets
from tests.unit.relay.support import until
from tests.unit.relay.tls_support import CLIENT, ROOT, SERVER, SIGNING, TOKEN, Client, OpenSsl, Server, enroll

Brought = Mapping[str, Mapping[str, bytes]]
BYO = {"disable_ca": True, "disable_ca_cert_generation": True}


@pytest.fixture(scope="module")
def ssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    return OpenSsl(tmp_path_factory.mktemp("openssl"))


async def _connects(
    tmp_path: Path, plan: Plan, brought: Brought, to_agent: Brought, **agent: Any
) -> tuple[Server, Client]:
    server = Server(tmp_path / "mgmt", plan)
    for name, data in brought.items():
        await server.secrets.put(name, data)
    async with server.running():
        client = Client(tmp_path / "east", server, **agent)
        for name, data in to_agent.items():
            await client.secrets.put(name, data or await server.secrets.get(name))
        async with client.running():
            await until(lambda: client.connected and server.connected())
            assert client.agent.losses == []
    for name, data in brought.items():
        assert await server.secrets.get(name) == data, "what is brought stays as it is"
    return server, client


async def test_option_1_token_and_a_generated_server_certificate(tmp_path: Path) -> None:
    plan = Plan(client_certificates=False, relay_token="s3cret")
    server = Server(tmp_path / "mgmt", plan)
    async with server.running():
        await enroll(server, tmp_path / "east", token=False)
        async with Client(tmp_path / "east", server, relay_token="s3cret").running() as client:
            await until(lambda: client.connected and server.connected())
        assert await client.secrets.get(CLIENT) == {}
        async with Client(tmp_path / "any", server, relay_token="s3cret", validates=False).running() as client:
            await until(lambda: client.connected)
        async with Client(tmp_path / "east", server, relay_token="wrong").running() as client:
            await until(lambda: client.agent.losses)
            assert client.agent.losses[0].message.startswith("the token of cluster east is wrong")
        assert server.failures("token") >= 1
    assert await server.secrets.get(TOKEN) == await server.secrets.get(SIGNING) == {}, "nobody needs them"


async def test_option_2_token_and_a_brought_server_certificate(tmp_path: Path, ssl: OpenSsl) -> None:
    plan = Plan(client_certificates=False, relay_token="s3cret", **BYO)
    brought = {SERVER: ssl.leaf("*.gloo-mesh", "serverAuth")}
    server, _ = await _connects(tmp_path, plan, brought, {ROOT: {"ca.crt": ssl.root}}, relay_token="s3cret")
    assert await server.secrets.get(ROOT) == {}


async def test_option_4_the_server_signs_with_what_is_brought(tmp_path: Path, ssl: OpenSsl) -> None:
    brought = {SERVER: ssl.leaf("*.gloo-mesh", "serverAuth"), SIGNING: ssl.signing(), ROOT: {"ca.crt": ssl.root}}
    plan = Plan(disable_ca_cert_generation=True)
    _, client = await _connects(tmp_path, plan, brought, {ROOT: {"ca.crt": ssl.root}, TOKEN: {}})
    leaf, issuer = pki.certificates(await client.certificate())
    assert pki.dns_names(leaf) == ("east",)
    issuer.verify_directly_issued_by(pki.certificates(ssl.root)[0])


async def test_option_5_everything_is_brought(tmp_path: Path, ssl: OpenSsl) -> None:
    plan = Plan(**BYO, disable_token_generation=True)
    brought = {SERVER: ssl.leaf("*.gloo-mesh", "serverAuth")}
    mine = ssl.leaf("east")
    server, client = await _connects(tmp_path, plan, brought, {ROOT: {"ca.crt": ssl.root}, CLIENT: mine})
    assert await client.secrets.get(CLIENT) == mine
    assert await server.secrets.get(TOKEN) == {}


async def test_an_agent_without_a_certificate_where_none_are_issued(tmp_path: Path, ssl: OpenSsl) -> None:
    server = Server(tmp_path / "mgmt", Plan(**BYO))
    await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(TOKEN, {"token": b"any"})
        async with client.running():
            await until(lambda: client.agent.losses)
            assert client.agent.losses[0].message.startswith("no client certificate: ")


@pytest.mark.parametrize(
    ("plan", "brought", "words"),
    [
        (
            {"disable_ca_cert_generation": True},
            (),
            "disable_ca_cert_generation is true, and secret relay-server-tls-secret in {} has no tls.crt and tls.key; "
            "bring it",
        ),
        (
            {"disable_ca_cert_generation": True},
            (SERVER,),
            "disable_ca_cert_generation is true, and secret relay-tls-signing-secret in {} has no tls.crt and tls.key; "
            "bring it, or set disable_ca to true",
        ),
        (
            {"disable_token_generation": True},
            (),
            "disable_token_generation is true, and secret relay-identity-token-secret in {} has no token; bring it, or "
            "set disable_token_generation to false",
        ),
        (
            {},
            (ROOT,),
            "secret relay-root-tls-secret in {} has no tls.key, so relay-server-tls-secret cannot be made; bring "
            "relay-server-tls-secret and set disable_ca_cert_generation to true, or remove relay-root-tls-secret for a "
            "root of our own",
        ),
    ],
)
async def test_values_and_secrets_that_contradict_each_other(
    tmp_path: Path, ssl: OpenSsl, plan: dict[str, bool], brought: tuple[str, ...], words: str
) -> None:
    secrets = FolderSecrets(tmp_path)
    given = {SERVER: ssl.leaf("*.gloo-mesh", "serverAuth"), ROOT: {"ca.crt": ssl.root}}
    for name in brought:
        await secrets.put(name, given[name])
    with pytest.raises(SecretsFailed) as caught:
        await RelaySecrets(secrets, Plan(**plan)).begin()
    assert str(caught.value) == words.replace("{}", str(tmp_path))


@pytest.mark.spec("M-36")
async def test_a_server_certificate_without_the_name_is_named_with_both(tmp_path: Path, ssl: OpenSsl) -> None:
    server = Server(tmp_path / "mgmt", Plan(**BYO))
    await server.secrets.put(SERVER, ssl.leaf("relay.example", "serverAuth", extra=",DNS:*.other"))
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(CLIENT, ssl.leaf("east"))
        async with client.running():
            await until(lambda: client.agent.losses)
        words = (
            f"the certificate of the server at {server.address} names relay.example, *.other, expected is "
            "gloo-mesh-mgmt-server.gloo-mesh; bring one with this name, or set authority to a name that it has"
        )
        assert client.agent.losses[0].message == words
        assert client.trust.finding == Finding("RelayServerName", words)


async def test_a_server_certificate_of_another_root(tmp_path: Path, ssl: OpenSsl) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(TOKEN, await server.secrets.get(TOKEN))
        async with client.running():
            await until(lambda: client.agent.losses)
        said = client.agent.losses[0].message
        assert said.startswith(f"the certificate of the server at {server.address}, issued by ")
        assert said.endswith("put the server's root into ca.crt of secret relay-root-tls-secret")
        assert server.failures("token") == 0, "the token was not told to it"


async def test_a_server_certificate_that_is_over(tmp_path: Path, ssl: OpenSsl) -> None:
    server = Server(tmp_path / "mgmt", Plan(**BYO))
    await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth", days="0"))
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(CLIENT, ssl.leaf("east"))
        async with client.running():
            await until(lambda: client.agent.losses)
            said = client.agent.losses[0].message
            assert said.endswith("is refused: certificate has expired; renew it at the server, or set the clocks right")
            await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
            await until(lambda: client.connected)


async def test_what_is_missing_is_said_until_it_is_there(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        client = Client(tmp_path / "east", server)
        async with client.running():
            await until(lambda: client.trust.finding)
            assert client.trust.finding == Finding(
                "RelaySecretMissing",
                f"secret {ROOT} in {tmp_path / 'east'} has no usable ca.crt; copy it from the management cluster",
            )
            await client.secrets.put(ROOT, {"ca.crt": (await server.secrets.get(ROOT))["ca.crt"]})
            await until(lambda: TOKEN in str(client.trust.finding))
            await client.secrets.put(TOKEN, await server.secrets.get(TOKEN))
            await until(lambda: client.connected)
            assert (client.trust.finding, client.agent.losses) == (None, [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("west", "has a certificate for west, it must have one DNS name, east"),
        ("expired", "ended at "),
    ],
)
async def test_a_brought_certificate_that_cannot_be_used(tmp_path: Path, ssl: OpenSsl, data: str, words: str) -> None:
    server = Server(tmp_path / "mgmt", Plan(**BYO))
    await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(CLIENT, ssl.leaf("west") if data == "west" else ssl.leaf("east", days="0"))
        async with client.running():
            await until(lambda: client.trust.finding)
            assert words in str(client.trust.finding)
            await client.secrets.put(CLIENT, ssl.leaf("east"))
            await until(lambda: client.connected)


async def test_an_agent_with_the_key_of_the_root_signs_for_itself(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, await server.secrets.get(ROOT))
        async with client.running():
            await until(server.shown)
        leaf, _signing = pki.certificates(await client.certificate())
        assert server.shown() == [pki.fingerprint(leaf)]


def test_names_that_cover_the_authority() -> None:
    authority = "gloo-mesh-mgmt-server.gloo-mesh"
    assert covers(authority, authority)
    assert covers("*.gloo-mesh", authority)
    assert not covers("*", authority)
    assert not covers("*.other", authority)


async def test_a_server_that_is_away_is_no_finding(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        await enroll(server, tmp_path / "east")
        client = Client(tmp_path / "east", server)
        await client.trust.begin()
    lost = LinkLost("away")
    assert await client.trust.explain(lost) is lost
    assert client.trust.finding is None
    assert client.trust.away is not None
    assert "cannot be reached: Connection refused" in client.trust.away.message
