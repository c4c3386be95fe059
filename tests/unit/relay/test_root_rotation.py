"""The root that the server made gets a successor, with an overlap in which both are trusted (relay.md §5.5): ten years
of a management plane and two agents on a simulated clock, their secrets in real folders.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from fingerpost.relay import pki
from fingerpost.secrets.folder import FolderSecrets
from mgmt.ingest.values import ClusterState, State
from mgmt.relay import identity
from mgmt.relay.rotation import RENEW_AT
from mgmt.relay.secrets import Plan, RelaySecrets
from mgmt.relay.shown import all_have_roots_of, certificate_expiry, certificate_lifetime

ROOT, SERVER, SIGNING = "relay-root-tls-secret", "relay-server-tls-secret", "relay-tls-signing-secret"
NAME = "gloo-mesh-mgmt-server.gloo-mesh"
_DAY = datetime.timedelta(days=1)
_BEGIN = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
_CLIENT = 30 * _DAY


class Agent:
    """Its certificate and the roots that came with it, renewed at a fifth of its lifetime."""

    def __init__(self, name: str, roots: bytes) -> None:
        self.name, self.roots, self.chain = name, roots, b""
        self.away = False

    @property
    def leaf(self) -> x509.Certificate:
        return pki.certificates(self.chain)[0]

    def look(self, held: RelaySecrets, now: datetime.datetime) -> None:
        if self.away or (self.chain and pki.share_left(self.leaf, now) > 0.2):
            return
        assert held.signing is not None
        self.chain = pki.issue(pki.request(self.name, pki.new_key()), self.name, _CLIENT, held.signing, now)
        self.roots = held.roots


class Plane:
    def __init__(self, folder: Path) -> None:
        self.secrets, self.now = FolderSecrets(folder), _BEGIN
        self.held = RelaySecrets(self.secrets, Plan(), now=lambda: self.now)
        self.agents: list[Agent] = []

    async def begin(self) -> None:
        await self.held.begin()
        self.agents = [Agent(name, self.held.roots) for name in ("east", "west")]

    async def pass_days(self, days: int) -> None:
        for _ in range(days):
            self.now += _DAY
            for agent in self.agents:
                agent.look(self.held, self.now)
            await self.held.make(self._confirmed)
            for name in (ROOT, SERVER, SIGNING):  # as the watch says it
                await self.held._load(name)

    def _confirmed(self, moment: datetime.datetime) -> bool:
        states = {}
        for agent in self.agents:
            shown = identity.shown(agent.leaf)
            states[agent.name] = ClusterState(
                state=State.WARM, ready=True, since=1, certificate_begins=shown.begins, certificate_ends=shown.ends
            )
        return all_have_roots_of(states, moment)

    async def signer(self) -> x509.Certificate:
        return pki.certificates((await self.secrets.get(ROOT))["tls.crt"])[0]

    async def trusted(self) -> list[x509.Certificate]:
        return pki.certificates((await self.secrets.get(ROOT))["ca.crt"])

    async def both_ends_agree(self) -> None:
        """Every handshake between every agent and the server would succeed now."""
        served = await self.secrets.get(SERVER)
        own, *chain = pki.certificates(served["tls.crt"])
        for agent in self.agents:
            _builder(agent.roots, self.now).build_server_verifier(x509.DNSName(NAME)).verify(own, chain)
            leaf, *more = pki.certificates(agent.chain)
            _builder(served["ca.crt"], self.now).build_client_verifier().verify(leaf, more)


def _builder(roots: bytes, now: datetime.datetime) -> verification.PolicyBuilder:
    store = verification.Store(pki.certificates(roots))
    return verification.PolicyBuilder().store(store).time(now.replace(tzinfo=None))


@pytest.fixture
async def plane(tmp_path: Path) -> Plane:
    plane = Plane(tmp_path)
    await plane.begin()
    return plane


async def test_a_root_is_succeeded_with_both_in_the_bundle(plane: Plane) -> None:
    first = await plane.signer()
    await plane.pass_days(7 * 365)
    await plane.both_ends_agree()
    assert await plane.trusted() == [first], "nothing happens while there is time"
    assert pki.share_left(first, plane.now) > RENEW_AT
    while len(await plane.trusted()) == 1:
        await plane.pass_days(1)
    assert pki.share_left(first, plane.now) == pytest.approx(RENEW_AT, abs=0.001)
    assert await plane.signer() == first, "the successor signs nothing before all agents have it"
    await plane.both_ends_agree()
    waited = 0
    while await plane.signer() == first:
        await plane.pass_days(1)
        await plane.both_ends_agree()
        waited += 1
    second = await plane.signer()
    assert 1 < waited < 30, "as long as agents take to renew"
    assert await plane.trusted() == [first, second]
    for name in (SERVER, SIGNING):
        pki.certificates((await plane.secrets.get(name))["tls.crt"])[0].verify_directly_issued_by(second)
    while await plane.trusted() != [second]:
        await plane.pass_days(5)
        await plane.both_ends_agree()
    assert first.not_valid_after_utc <= plane.now < first.not_valid_after_utc + 6 * _DAY
    assert pki.certificates((await plane.secrets.get(SERVER))["ca.crt"]) == [second]


async def test_an_agent_that_is_away_is_waited_for_until_the_last_moment(plane: Plane) -> None:
    first = await plane.signer()
    await plane.pass_days(1)
    plane.agents[1].away = True
    plane.now = first.not_valid_after_utc - 0.19 * (first.not_valid_after_utc - first.not_valid_before_utc)
    await plane.pass_days(90)
    assert (await plane.signer(), len(await plane.trusted())) == (first, 2)
    plane.agents[1].away = False
    await plane.pass_days(1)
    assert await plane.signer() != first

    again = await plane.signer()
    plane.agents[1].away = True
    plane.now = again.not_valid_after_utc - 0.05 * (again.not_valid_after_utc - again.not_valid_before_utc)
    await plane.pass_days(60)
    assert await plane.signer() == again
    plane.now = again.not_valid_after_utc - 30 * _DAY
    await plane.pass_days(1)
    assert await plane.signer() != again, "all would be shut out in a month"


async def test_a_root_that_was_brought_is_never_succeeded(plane: Plane) -> None:
    brought = pki.authority("theirs", 3650 * _DAY, None, _BEGIN)
    theirs = x509.load_pem_x509_certificate(brought.chain)
    assert pki.is_ours(theirs), "made by the same code here; what tells is the organization"
    key = pki.new_key()
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "theirs")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_BEGIN)
        .not_valid_after(_BEGIN + 3650 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, pki.hashes.SHA256())
    )
    pem = made.public_bytes(pki.Encoding.PEM)
    await plane.secrets.put(ROOT, {"tls.crt": pem, "tls.key": pki.key_pem(key), "ca.crt": pem})
    plane.now = _BEGIN + 3600 * _DAY
    await plane.held.make(lambda _: True)
    assert (await plane.signer(), await plane.trusted()) == (made, [made])


def test_expiry_is_told_of_what_is_known_here() -> None:
    now = 1_000.0
    clusters = {
        "east": ClusterState(
            state=State.WARM, ready=True, certificate_begins=700 * 10**9, certificate_ends=1_500 * 10**9
        ),
        "west": ClusterState(state=State.WARM, ready=True, certificate_ends=2_000 * 10**9),
        "token": ClusterState(state=State.WARM, ready=True),
    }
    moment = datetime.datetime.fromtimestamp
    own = {"server": (moment(100, datetime.UTC), moment(900, datetime.UTC))}
    found = list(certificate_expiry(own, clusters, "mgmt", {"west"}.__contains__, now))
    assert found == [(-100.0, {"kind": "server", "cluster": "mgmt"}), (500.0, {"kind": "client", "cluster": "east"})]
    lifetimes = list(certificate_lifetime(own, clusters, "mgmt", {"west"}.__contains__))
    assert [seconds for seconds, _ in lifetimes] == [800.0, 800.0]
    assert [labels for _, labels in lifetimes] == [labels for _, labels in found]
