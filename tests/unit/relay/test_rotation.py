"""Secrets change while everything runs (relay.md §5.5): nobody restarts, nobody is cut off."""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from agent.relay.trust import renew_at
from fingerpost.relay import pki
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.reasons import LinkLost
from mgmt.relay.secrets import Plan
from tests.unit.relay.support import ROUTES, body_piece, until
from tests.unit.relay.tls_support import CLIENT, ROOT, SERVER, SIGNING, TOKEN, Client, OpenSsl, Server, enroll, task

GW = "gw/ingress"
_LIMIT = 60.0


class Watch:
    """Looks at a condition as often as the loop turns, and keeps whether it ever failed."""

    def __init__(self, server: Server, *clusters: str) -> None:
        self._server, self._clusters = server, clusters
        self.gaps = 0

    async def run(self) -> None:
        while True:
            self.gaps += sum(not self._server.connected(c) for c in self._clusters)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def joined(tmp_path: Path, *clusters: str, **plan: float) -> AsyncIterator[tuple[Server, list[Client]]]:
    """A server with options of its own, and agents that got their certificates from it."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(tmp_path / "mgmt", Plan(**plan)).running())
        agents = []
        for cluster in clusters:
            await enroll(server, tmp_path / cluster)
            client = Client(tmp_path / cluster, server, cluster)
            agents.append(await stack.enter_async_context(client.running()))
        await until(lambda: all(server.connected(c.plan.cluster) and c.connected for c in agents))
        yield server, agents


@pytest.mark.spec("M-34")
async def test_another_server_certificate_is_used_at_once(tmp_path: Path) -> None:
    async with joined(tmp_path, "east", "west") as (server, (east, west)):
        watch = Watch(server, "east", "west")
        async with task(watch.run()):
            root = await server.secrets.get(ROOT)
            issuer = pki.pair_of(root["tls.crt"], root["tls.key"])
            fresh = pki.server(["gloo-mesh-mgmt-server.gloo-mesh"], pki.Days(days=3), issuer)
            before = server.held._configuration
            await server.secrets.put(SERVER, {"tls.crt": fresh.chain, "tls.key": fresh.key, "ca.crt": root["ca.crt"]})
            await until(lambda: server.held._configuration is not before, _LIMIT)
            seen = await east.trust.explain(LinkLost("?"))
            assert seen.message == "?", "the new one is in order for an agent that looks"
        assert watch.gaps == 0
        assert (east.agent.losses, west.agent.losses) == ([], [])


@pytest.mark.spec("M-34")
async def test_another_signing_certificate_signs_what_comes_next(tmp_path: Path) -> None:
    async with joined(tmp_path, "east") as (server, (east,)):
        root = await server.secrets.get(ROOT)
        fresh = pki.authority("another", pki.Days(days=9), pki.pair_of(root["tls.crt"], root["tls.key"]))
        await server.secrets.put(SIGNING, {"tls.crt": fresh.chain, "tls.key": fresh.key, "ca.crt": root["ca.crt"]})
        await until(lambda: server.held.signing == fresh, _LIMIT)
        await enroll(server, tmp_path / "west")
        async with Client(tmp_path / "west", server, "west").running() as west:
            await until(lambda: west.connected)
            issuer = pki.certificates(await west.certificate())[1]
        assert issuer == fresh.leaf
        assert (east.connected, east.agent.losses) == (True, [])


@pytest.mark.spec("M-34")
async def test_a_brought_client_certificate_is_replaced_without_a_gap(tmp_path: Path) -> None:
    ssl = OpenSsl(tmp_path / "openssl")
    server = Server(tmp_path / "mgmt", Plan(disable_ca=True, disable_ca_cert_generation=True))
    await server.secrets.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
    async with server.running():
        client = Client(tmp_path / "east", server)
        await client.secrets.put(ROOT, {"ca.crt": ssl.root})
        await client.secrets.put(CLIENT, ssl.leaf("east"))
        watch = Watch(server, "east")
        async with client.running():
            await until(lambda: client.connected and server.connected())
            async with task(watch.run()):
                fresh = ssl.leaf("east")
                print_ = pki.fingerprint(pki.certificates(fresh["tls.crt"])[0])
                await client.secrets.put(CLIENT, fresh)
                await until(lambda: print_ in server.fingerprints(), _LIMIT)
                await until(lambda: server.fingerprints() == {print_}, _LIMIT)
                await until(lambda: client.connected)
            assert (watch.gaps, client.agent.losses) == (0, [])
            server.publisher.publish(GW, {ROUTES: PieceList([body_piece("after")])})
            await until(lambda: client.agent.has(server.publisher))


async def test_a_pair_that_does_not_match_changes_nothing(tmp_path: Path) -> None:
    async with joined(tmp_path, "east") as (server, (east,)):
        held, mine = server.held._server, await east.secrets.get(CLIENT)
        (tmp_path / "mgmt" / SERVER / "tls.key").write_bytes(pki.key_pem(pki.new_key()))
        (tmp_path / "east" / CLIENT / "tls.key").write_bytes(pki.key_pem(pki.new_key()))
        await until(lambda: east.trust._unusable)
        assert east.trust._unusable == {CLIENT: "has a tls.key that is not the key of its tls.crt"}
        await enroll(server, tmp_path / "west")
        async with Client(tmp_path / "west", server, "west").running() as west:
            await until(lambda: west.connected)
        assert server.held._server == held
        assert (east.connected, east.agent.losses) == (True, [])
        await east.secrets.put(CLIENT, mine)
        await until(lambda: not east.trust._unusable)


@pytest.mark.spec("M-35")
def test_the_moment_of_renewal() -> None:
    """Of ten minutes with ratio 0.5: from minute 3.5 on, and not after 5."""
    root = pki.authority("root", pki.Days(days=1))
    key = pki.new_key()
    chain = pki.issue(pki.request("east", key), "east", pki.Days(minutes=10), root)
    pair = pki.Pair(chain, pki.key_pem(key))
    spread = [0.0, 1.0, *(random.random() for _ in range(18))]
    moments = [renew_at(pair, 0.5, s) - pair.leaf.not_valid_before_utc for s in spread]
    assert max(moments) == datetime.timedelta(minutes=5)
    assert min(moments) == datetime.timedelta(minutes=3.75)


@pytest.mark.spec("M-35")
async def test_twenty_renewals_without_a_gap(tmp_path: Path) -> None:
    async with Server(tmp_path / "mgmt", Plan(client_lifetime=20.0)).running() as server:
        await enroll(server, tmp_path / "east")
        client = Client(tmp_path / "east", server, ratio=0.99)  # due as soon as it is there
        async with client.running():
            await until(lambda: client.connected and server.connected())
            watch = Watch(server, "east")
            prints: set[str] = set()

            def renewed() -> bool:
                prints.update(server.fingerprints())
                return len(prints) > 20

            async with task(watch.run()):
                await until(renewed, 60)
        assert (watch.gaps, client.agent.losses) == (0, [])
        assert server.failures("token") == server.failures("identity") == 0


@pytest.mark.spec("M-35")
async def test_no_other_connection_before_the_present_one_has_said_all_its_hellos(tmp_path: Path) -> None:
    """Else its Push, which comes later, ends the newer one's."""
    async with Server(tmp_path / "mgmt", Plan()).running() as server:
        await enroll(server, tmp_path / "east")
        east = Client(tmp_path / "east", server)
        link, begun = east.agent.link, 0

        async def slow() -> None:
            """The first one's Push says Hello after the second one's, if that comes about within a second."""
            nonlocal begun
            begun += 1
            if begun == 1:
                with suppress(TimeoutError):
                    await until(server.connected, 1)

        link._questions = slow
        async with east.running():
            await until(lambda: east.connected)
            east.trust.changed.set()
            await until(lambda: begun == 2 and east.connected and east.agent.push.in_step)
        assert (link.connections, east.agent.losses) == (2, [])


@pytest.mark.spec("M-34", "M-38")
async def test_a_full_exchange_of_roots_under_change(tmp_path: Path) -> None:
    old, new = OpenSsl(tmp_path / "openssl", "old"), OpenSsl(tmp_path / "openssl", "new")
    clusters = ("c1", "c2", "c3")
    server = Server(tmp_path / "mgmt", Plan(disable_ca=True, disable_ca_cert_generation=True))
    both, edits = old.root + new.root, 0
    fresh, door = {c: new.leaf(c) for c in clusters}, new.leaf("*.gloo-mesh", "serverAuth") | {"ca.crt": both}
    await server.secrets.put(SERVER, old.leaf("*.gloo-mesh", "serverAuth"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server.running())
        clients = {c: Client(tmp_path / c, server, c) for c in clusters}
        for cluster, client in clients.items():
            await client.secrets.put(ROOT, {"ca.crt": old.root})
            await client.secrets.put(CLIENT, old.leaf(cluster))
            await stack.enter_async_context(client.running())
        await until(lambda: all(server.connected(c) for c in clusters))

        async def edit() -> None:
            nonlocal edits
            while True:
                edits += 1
                server.publisher.publish(GW, {ROUTES: PieceList([body_piece(f"edit {edits}")])})
                await asyncio.sleep(0.01)

        def shown() -> set[str]:
            return server.fingerprints()

        watch = Watch(server, *clusters)
        async with task(edit()), task(watch.run()):
            await server.secrets.put(SERVER, await server.secrets.get(SERVER) | {"ca.crt": both})
            for client in clients.values():
                await client.secrets.put(ROOT, {"ca.crt": both})
            await until(lambda: all(c.trust._roots == both for c in clients.values()))
            await until(lambda: server.held._client_roots == both)
            await server.secrets.put(SERVER, door)
            for cluster, client in clients.items():
                await client.secrets.put(CLIENT, fresh[cluster])
            wanted = {pki.fingerprint(pki.certificates(f["tls.crt"])[0]) for f in fresh.values()}
            await until(lambda: shown() == wanted, _LIMIT)
            await server.secrets.put(SERVER, await server.secrets.get(SERVER) | {"ca.crt": new.root})
            for client in clients.values():
                await client.secrets.put(ROOT, {"ca.crt": new.root})
            await until(lambda: all(c.trust._roots == new.root for c in clients.values()))
            await until(lambda: server.held._client_roots == new.root)
            behind = edits
            await until(lambda: edits > behind + 20)
        assert watch.gaps == 0
        for client in clients.values():
            await until(lambda client=client: client.agent.has(server.publisher))
            assert client.agent.losses == []
            versions = [v for scope, v, _ in client.agent.versions if scope == GW]
            assert versions == sorted(versions)
        late = Client(tmp_path / "late", server, "late")
        await late.secrets.put(ROOT, {"ca.crt": new.root})
        await late.secrets.put(CLIENT, old.leaf("late"))
        async with late.running():
            await until(lambda: late.agent.losses)
            assert not server.connected("late"), "the old root is gone"
            assert "issued by CN=relay old and ends at " in late.agent.losses[0].message


async def test_generated_certificates_are_renewed_in_time_and_brought_ones_never(tmp_path: Path) -> None:
    server = Server(tmp_path / "mgmt")
    async with server.running():
        root = await server.secrets.get(ROOT)
        issuer = pki.pair_of(root["tls.crt"], root["tls.key"])
        other = pki.authority("another", pki.Days(days=9)).chain
        nearly = _aged(pki.server(server.plan.names, pki.Days(days=365), issuer), issuer)
        assert 0 < pki.share_left(nearly.leaf) < 0.2
        await server.secrets.put(SERVER, {"tls.crt": nearly.chain, "tls.key": nearly.key, "ca.crt": other})
        await server.held.make(lambda _: False)
        renewed = await server.secrets.get(SERVER)
        assert pki.share_left(pki.certificates(renewed["tls.crt"])[0]) > 0.9
        assert renewed["ca.crt"].startswith(other)
        assert len(pki.certificates(renewed["ca.crt"])) == 2, "and the root of what the server issues"
    brought = OpenSsl(tmp_path / "openssl").leaf("*.gloo-mesh", "serverAuth", days="1")
    await server.secrets.put(SERVER, brought)
    for name in (ROOT, SIGNING, TOKEN):
        assert await server.secrets.get(name)
    before = {name: await server.secrets.get(name) for name in (ROOT, SIGNING, TOKEN)}
    async with server.running():
        assert await server.secrets.get(SERVER) == brought
        assert {name: await server.secrets.get(name) for name in before} == before


def _aged(pair: pki.Pair, issuer: pki.Pair) -> pki.Pair:
    """The same, with 30 of its 365 days left."""
    leaf, now = pair.leaf, datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(leaf.issuer)
    builder = builder.public_key(leaf.public_key()).serial_number(7)
    builder = builder.not_valid_before(now - pki.Days(days=335)).not_valid_after(now + pki.Days(days=30))
    made = builder.sign(load_pem_private_key(issuer.key, None), hashes.SHA256())  # type: ignore[arg-type]  # EC
    return pki.Pair(made.public_bytes(Encoding.PEM), pair.key)
