"""How an agent comes by its certificate, and what the server refuses (relay.md §5.4)."""

from __future__ import annotations

import asyncio
import secrets as random
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from agent.relay.plaintext import Plaintext as Shows
from agent.relay.trust import Line
from fingerpost.relay import pki
from fingerpost.relay.nobody import NOBODY
from fingerpost.relay.reasons import Reason
from fingerpost.relay.v1 import bootstrap_pb2 as pb
from mgmt.relay.secrets import Plan
from tests.unit.relay.support import Agent, facts, running, until
from tests.unit.relay.tls_support import (
    AUTHORITY,
    BLOCKLIST,
    CLIENT,
    ROOT,
    SERVER,
    SIGNING,
    TOKEN,
    Client,
    Server,
    enroll,
)

ISSUE = "/fingerpost.relay.v1.Bootstrap/IssueClientCertificate"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path / "mgmt").running() as running_one:
        yield running_one


async def _credentials(server: Server, pair: pki.Pair) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials((await server.secrets.get(ROOT))["ca.crt"], pair.key, pair.chain)


async def _ask(server: Server, pair: pki.Pair = NOBODY, **request: Any) -> pb.IssueResponse:
    given = {"csr": pki.request("east", pki.new_key()), "token": server.held._token, "cluster": "east"} | request
    return await _sent(server, pair, pb.IssueRequest(**given).SerializeToString())


async def _sent(server: Server, pair: pki.Pair, frame: bytes) -> pb.IssueResponse:
    options = (("grpc.ssl_target_name_override", AUTHORITY),)
    async with grpc.aio.secure_channel(server.address, await _credentials(server, pair), options=options) as channel:
        call = channel.unary_unary(ISSUE, None, pb.IssueResponse.FromString)
        answer: pb.IssueResponse = await call(frame, timeout=10)
        return answer


async def _refused(server: Server, pair: pki.Pair = NOBODY, **request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _ask(server, pair, **request)
    return caught.value.code(), str(caught.value.details())


def _csr(*names: x509.GeneralName, key: Any = None, ca: bool = False) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key or pki.new_key(), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.spec("M-30")
async def test_the_token_is_needed_once(server: Server, tmp_path: Path) -> None:
    await enroll(server, tmp_path / "east")
    async with Client(tmp_path / "east", server).running() as client:
        await until(lambda: client.connected and server.connected())
        first = await client.certificate()
    (tmp_path / "east" / TOKEN / "token").unlink()
    async with Client(tmp_path / "east", server).running() as client:
        await until(lambda: client.connected and server.connected())
    assert await client.certificate() == first
    leaf, *issuers = pki.certificates(first)
    assert server.shown() == [pki.fingerprint(leaf)] * 2, "both connections have proved it"
    assert (pki.dns_names(leaf), len(issuers)) == (("east",), 1)
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    days = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days
    assert days == 30
    for folder in (tmp_path / "mgmt", tmp_path / "east"):
        assert {p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()} == {0o600}
        assert {p.stat().st_mode & 0o777 for p in [folder, *folder.iterdir()]} == {0o700}


async def test_what_is_generated(server: Server) -> None:
    root, signing, own = [await server.secrets.get(name) for name in (ROOT, SIGNING, SERVER)]
    leaves = [pki.pair_of(s["tls.crt"], s["tls.key"]).leaf for s in (root, signing, own)]
    assert [(c.not_valid_after_utc - c.not_valid_before_utc).days for c in leaves] == [3650, 1825, 365]
    assert AUTHORITY in pki.dns_names(leaves[2])
    for leaf in leaves[1:]:
        leaf.verify_directly_issued_by(leaves[0])
    assert root["ca.crt"] == root["tls.crt"] == signing["ca.crt"] == own["ca.crt"]
    assert len((await server.secrets.get(TOKEN))["token"]) >= 40


@pytest.mark.spec("M-31")
async def test_a_wrong_token_is_refused_and_counted(server: Server) -> None:
    right = server.held._token
    for token in ("", "x", right[:-1], right + "x"):
        code, said = await _refused(server, token=token)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert said == "the token of cluster east is wrong; give its agent the server's token"
    assert server.failures("token") == 4


@pytest.mark.spec("M-31")
async def test_time_tells_nothing_about_a_token(server: Server) -> None:
    right = server.held._token
    near, far = right[:-1] + ("a" if right[-1] != "a" else "b"), random.token_urlsafe(32)
    took: dict[str, list[float]] = {near: [], far: []}
    for _ in range(1000):
        for token in (near, far):
            began = time.perf_counter()
            assert await server.held.doubt(token, "east")
            took[token].append(time.perf_counter() - began)
    means = [statistics.fmean(sorted(times)[50:-50]) for times in took.values()]
    noise = statistics.stdev(sorted(took[far])[50:-50])
    assert abs(means[0] - means[1]) < noise


async def test_five_failures_a_minute_and_no_more(server: Server) -> None:
    for _ in range(5):
        assert (await _refused(server, token="wrong"))[0] is grpc.StatusCode.PERMISSION_DENIED
    code, said = await _refused(server)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert said == (
        "127.0.0.1 failed 5 times within a minute; wait that long; "
        "last: the token of cluster east is wrong; give its agent the server's token"
    )
    west = {"cluster": "west", "csr": pki.request("west", pki.new_key())}
    assert (await _refused(server, **west))[1] == "127.0.0.1 failed 5 times within a minute; wait that long"
    assert (server.failures("token"), server.failures("rate")) == (5, 2)


async def test_garbage_counts_five_times_a_minute_and_costs_nothing_more(server: Server) -> None:
    codes = []
    with structlog.testing.capture_logs() as logs:
        for _ in range(8):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _sent(server, NOBODY, b"\xff\xff")
            codes.append(caught.value.code())
    assert codes == [grpc.StatusCode.PERMISSION_DENIED] * 5 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
    assert [line["event"] for line in logs].count("relay.certificate.refused") == 5


def _broken(csr: bytes) -> bytes:
    """It ends with its signature."""
    return csr[:-1] + bytes([csr[-1] ^ 1])


_EAST = x509.DNSName("east")
_REQUESTS = {
    "a second name": (_csr(_EAST, x509.DNSName("west")), "names east, west; it must have exactly one DNS name, east"),
    "a name of another type": (
        _csr(_EAST, x509.UniformResourceIdentifier("spiffe://x")),
        "names east, UniformResourceIdentifier:spiffe://x; it must",
    ),
    "another name": (_csr(x509.DNSName("west")), "names west; it must have exactly one DNS name, east"),
    "a CA flag": (_csr(_EAST, ca=True), "asks for a certificate authority"),
    "a small key": (_csr(_EAST, key=rsa.generate_private_key(65537, 1024)), "has a key that is neither RSA of 2048"),
    "another curve": (_csr(_EAST, key=ec.generate_private_key(ec.SECP521R1())), "has a key that is neither"),
    "a broken signature": (_broken(_csr(_EAST)), "is not signed with its own key"),
    "no request": (b"no", "cannot be read"),
}


@pytest.mark.spec("M-32")
@pytest.mark.parametrize("what", _REQUESTS)
async def test_a_request_for_more_than_a_name_is_refused(server: Server, what: str) -> None:
    csr, words = _REQUESTS[what]
    code, said = await _refused(server, csr=csr)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert said.startswith(f"the certificate request of cluster east {words}")
    assert server.failures("csr") == 1


async def test_other_reasons_to_issue_nothing(server: Server) -> None:
    assert "must be 1 to 63 lower-case letters" in (await _refused(server, cluster="Prod_1"))[1]
    server.ingest.conflict_message = "cluster name east belongs to another"
    assert (await _refused(server))[1] == "cluster name east belongs to another"
    assert (server.failures("request"), server.failures("conflict")) == (1, 1)


async def test_a_renewal_is_for_the_same_name_of_a_registered_cluster(server: Server) -> None:
    key = pki.new_key()
    pair = pki.Pair((await _ask(server, csr=pki.request("east", key))).chain, pki.key_pem(key))
    again = await _ask(server, pair, token="")
    assert pki.dns_names(pki.certificates(again.chain)[0]) == ("east",)
    for_west = {"token": "", "cluster": "west", "csr": pki.request("west", pki.new_key())}
    assert (await _refused(server, pair, **for_west))[1] == "a renewal for west is asked for with a certificate of east"
    server.registered = set()
    assert (await _refused(server, pair, token=""))[1] == "no KubernetesCluster east, so no renewal; create it"


@pytest.mark.spec("M-33")
async def test_a_certificate_for_one_cluster_under_the_name_of_another(server: Server) -> None:
    key = pki.new_key()
    pair = pki.Pair((await _ask(server, csr=pki.request("east", key))).chain, pki.key_pem(key))
    west = Agent(server.address, cluster="west", authority=AUTHORITY, trust=_Shows(await _credentials(server, pair)))
    west.push.update(facts("core/Service", 3))
    west.push.complete(["core/Service"])
    async with running(west):
        await until(lambda: west.losses)
    assert west.losses[0].reason is Reason.UNAUTHENTICATED
    assert west.losses[0].message == "hello names cluster 'west', the client certificate names east"
    assert server.failures("identity") >= 1
    assert (server.ingest.sessions, west.versions) == ([], [])


class _Shows(Shows):
    def __init__(self, credentials: grpc.ChannelCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    async def line(self) -> Line:
        return Line(credentials=self._credentials)


async def test_nobodys_certificate_opens_no_stream(server: Server) -> None:
    agent = Agent(server.address, authority=AUTHORITY, trust=_Shows(await _credentials(server, NOBODY)))
    async with running(agent):
        await until(lambda: agent.losses)
    assert agent.losses[0].message == "cluster east shows no client certificate; let its agent ask for one"
    assert server.failures("certificate") >= 1


async def test_what_nobodys_key_signs_does_not_get_through_the_handshake(server: Server) -> None:
    key = pki.new_key()
    for chain in (pki.issue(pki.request("east", key), "east", pki.Days(days=1), NOBODY), _self_signed(key)):
        agent = Agent(
            server.address,
            authority=AUTHORITY,
            trust=_Shows(await _credentials(server, pki.Pair(chain, pki.key_pem(key)))),
        )
        async with running(agent):
            await until(lambda agent=agent: agent.losses)
        assert agent.losses[0].reason is None, "no Goodbye: the server took no Hello"
    assert server.metrics.counts == {}


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Names nobody's subject, with another key."""
    subject = NOBODY.leaf.subject
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.not_valid_before(NOBODY.leaf.not_valid_before_utc).serial_number(1)
    builder = builder.not_valid_after(NOBODY.leaf.not_valid_after_utc)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.spec("M-37")
async def test_a_blocked_certificate_ends_its_streams_and_stays_out(server: Server, tmp_path: Path) -> None:
    for cluster in ("east", "west"):
        await enroll(server, tmp_path / cluster)
    east, west = (Client(tmp_path / cluster, server, cluster) for cluster in ("east", "west"))
    async with east.running(), west.running():
        await until(lambda: all(server.connected(c) for c in ("east", "west")) and east.connected)
        shown = pki.fingerprint(pki.certificates(await east.certificate())[0])
        began = time.monotonic()
        await server.secrets.put(BLOCKLIST, {shown.upper(): b""})
        await until(lambda: not server.connected("east") and not east.connected)
        assert time.monotonic() - began < 2
        await until(lambda: east.agent.losses)
        assert "is in relay-client-blocklist" in east.agent.losses[0].message
        losses = len(east.agent.losses)
        await until(lambda: len(east.agent.losses) > losses + 3)
        assert not server.connected("east")
        assert server.failures("blocked") >= 3
        assert west.agent.losses == []
    assert (
        "is in relay-client-blocklist" in (await _refused(server, _pair(await east.secrets.get(CLIENT)), token=""))[1]
    )


def _pair(data: Any) -> pki.Pair:
    return pki.pair_of(data["tls.crt"], data["tls.key"])


async def test_a_token_of_the_cluster_alone(tmp_path: Path) -> None:
    own = Server(tmp_path / "mgmt", Plan(require_cluster_token=True))
    await own.secrets.put("relay-identity-token-east", {"token": b"only east\n"})
    async with own.running():
        assert not await own.held.doubt("only east", "east")
        assert await own.held.doubt("only east", "west")
        assert await own.held.doubt(own.held._token, "east")


async def test_the_former_token_counts_for_ten_minutes(server: Server) -> None:
    former = server.held._token
    await server.secrets.put(TOKEN, {"token": b"new"})
    await until(lambda: server.held._token == "new")
    assert not await server.held.doubt("new", "east")
    assert not await server.held.doubt(former, "east")
    loop = asyncio.get_running_loop()
    later = loop.time() + 601
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: later)
        assert await server.held.doubt(former, "east")
    assert not await server.held.doubt("new", "east")
