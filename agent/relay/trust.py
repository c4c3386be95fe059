"""What the agent shows to the server and whom it believes (relay.md §5.3): nothing, a token, or a client certificate
that was brought or that it asks for itself. The key of such a certificate never leaves the agent's secrets.
"""

from __future__ import annotations

import asyncio
import datetime
import random
from typing import Any, Never, Protocol

import grpc
import msgspec
import structlog
from cryptography.hazmat.primitives.serialization import Encoding

from agent.relay.diagnosis import Finding, ended_certificate, judge, look, refused_certificate, unreachable
from fingerpost.relay import pki
from fingerpost.relay.nobody import NOBODY
from fingerpost.relay.reasons import REFUSED_KIND, LinkLost
from fingerpost.relay.v1 import bootstrap_pb2 as pb
from fingerpost.secrets.follower import AGAIN, Follower
from fingerpost.secrets.protocol import Data, Secrets, SecretsFailed

log = structlog.get_logger()
_ISSUE = "/fingerpost.relay.v1.Bootstrap/IssueClientCertificate"
_TIMEOUT = 10.0
_CLOSED = "Socket closed"  # gRPC's words; a server that refuses a certificate says no more
_GONE = "is gone"
_NOT_ISSUED = "RelayCertificateRefused"
_REFUSALS = {"token": "RelayTokenWrong", "conflict": "RelayDuplicate", "registration": "RelayNotRegistered"}
_RETRY = 60.0  # at most, between two attempts to renew
_PAUSES = (2.0, 10.0, 30.0)  # seconds after a refusal: a server lets an address fail five times within a minute


class NotIssued(LinkLost):
    """The server was reached, and gives no certificate."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How to open one connection. No credentials: plaintext."""

    credentials: grpc.ChannelCredentials | None = None
    options: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()


class Trust(Protocol):
    """`begin`, then `run` beside the link. For `check`: `finding` is what is wrong with the trust between agent and
    server, `away` that the server is not reached.
    """

    finding: Finding | None
    away: Finding | None

    @property
    def changed(self) -> asyncio.Event:
        """Set when another connection should take the place of the present one."""
        ...

    async def line(self) -> Line:
        """Waits for what is needed. Raises LinkLost."""
        ...

    async def explain(self, lost: LinkLost) -> LinkLost:
        """For a connection that never came about: the reason as well as it can be found."""
        ...

    def unusable(self) -> list[Finding]: ...

    async def begin(self) -> None: ...

    async def run(self) -> Never: ...


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    cluster: str
    address: str
    authority: str
    cluster_uid: str = ""
    root: str = "relay-root-tls-secret"
    client: str = "relay-client-tls-secret"
    token: str = "relay-identity-token-secret"
    token_key: str = "token"
    relay_token: str = ""
    validates: bool = True
    ratio: float = 0.2


def renew_at(pair: pki.Pair, ratio: float, spread: float) -> datetime.datetime:
    """`spread` from 0 to 1: up to a quarter of the ratio earlier, so that not all agents come at once."""
    begins, ends = pair.leaf.not_valid_before_utc, pair.leaf.not_valid_after_utc
    return ends - (ends - begins) * min(ratio * (1 + spread / 4), 1.0)


class SecretTrust:
    """With TLS: what the agent's secrets hold, and what is asked of the server with it."""

    def __init__(self, secrets: Secrets, plan: Plan, read_again: float = AGAIN) -> None:
        self.changed = asyncio.Event()
        self.finding: Finding | None = None
        self.away: Finding | None = None
        self._secrets, self._plan = secrets, plan
        self._follower = Follower(secrets, read_again)
        self._roots, self._issued_roots = b"", b""
        self._token = ""
        self._pair: pki.Pair | None = None
        self._own_root: pki.Pair | None = None  # a root with its key: this agent may sign for itself
        self._arrived = asyncio.Event()
        self._unusable: dict[str, str] = {}
        self._refused: pki.Pair | None = None  # issued, and not taken any more
        self._denials = 0  # in a row
        self._denied: Finding | None = None  # what was said last

    # ---------------------------------------------------------------- for the link

    async def line(self) -> Line:
        plan, complaint = self._plan, ""
        while problem := self._missing():
            if problem != complaint:
                log.warning("relay.secret.missing", reason=problem)
                code = "RelaySecretMissing" if self._pair is None else "RelayClientExpired"
                self.finding, complaint = Finding(code, problem), problem
            self._arrived.clear()
            await self._arrived.wait()
        if complaint:
            self.finding = None
        self.changed.clear()
        if plan.relay_token:
            return await self._line(None, (("authorization", f"Bearer {plan.relay_token}"),))
        if self._usable() is None:
            await self._begin_anew()
            self.changed.clear()
        return await self._line(self._pair)

    async def _begin_anew(self) -> None:
        """With the token: at once when there is another one, and else not so often that the server would not listen to
        this address any more. Raises LinkLost.
        """
        while self._usable() is None:
            token, server = self._token, self._plan.address
            try:
                await self._obtain(NOBODY, token)
            except NotIssued as refused:
                pause = _PAUSES[min(self._denials, len(_PAUSES) - 1)]
                self._denials += 1
                log.warning("relay.link.lost", reason=refused.message, retry_in=pause, server=server)
                try:
                    async with asyncio.timeout(pause):
                        await self._another(token)
                except TimeoutError:
                    self._refused = None  # let the server say again what it thinks of the certificate, if there is one
                if lacking := self._missing():
                    raise LinkLost(lacking) from refused
            else:
                self.finding = self._denied = None
                self._denials = 0

    async def _another(self, token: str) -> None:
        """Until there is another token, or a certificate."""
        had = self._pair
        while (self._token, self._pair) == (token, had):
            self._arrived.clear()
            await self._arrived.wait()
        self._denials, self._denied = 0, None

    async def explain(self, lost: LinkLost) -> LinkLost:
        plan = self._plan
        seen = await asyncio.to_thread(look, plan.address, plan.authority, self._trusted() if plan.validates else b"")
        self.away = unreachable(seen, plan.address)
        found = judge(seen, plan.address, plan.authority, plan.root) if plan.validates or seen.plaintext else None
        if found is None and seen.certificate is not None and self._pair is not None and _CLOSED in lost.message:
            found = self._turned_away(self._pair)
        self.finding = found
        if found is None:
            return lost
        return LinkLost(found.message)

    def _turned_away(self, pair: pki.Pair) -> Finding:
        """Where the server issued it, another one is asked for: it may have a new root."""
        leaf, plan, where = pair.leaf, self._plan, self._secrets.where
        remedy = "bring one whose root is in ca.crt of the server's secret"
        if pki.is_ours(leaf) and (self._token or self._own_root):
            self._refused = pair
            remedy = "the agent asks for another one"
        elif pki.is_ours(leaf):
            remedy = f"put the server's token into secret {plan.token}, as fingerpost cluster register does"
        ended = ended_certificate(leaf, plan.client, where)
        return self._denied or ended or refused_certificate(leaf, plan.client, plan.address, remedy)

    def unusable(self) -> list[Finding]:
        """Secrets that are not what is in use."""
        plan, where = self._plan, self._secrets.where
        former = {plan.root: self._roots, plan.client: self._pair, plan.token: self._token}
        found = {name: f"secret {name} in {where} {why}" for name, why in self._unusable.items()}
        return [
            Finding("RelaySecretUnusable", f"{why}; what it held before stays in use")
            for name, why in sorted((found | self._follower.unread).items())
            if former.get(name)
        ]

    def _missing(self) -> str:
        plan, where = self._plan, self._secrets.where
        if plan.validates and not self._trusted():
            return f"secret {plan.root} in {where} has no usable ca.crt; copy it from the management cluster"
        if plan.relay_token or self._usable() or self._token or self._own_root:
            return ""
        why = self._unusable.get(plan.client, "has no tls.crt and tls.key")
        if self._pair is not None:
            why = f"ended at {self._pair.leaf.not_valid_after_utc.isoformat()}"
        return (
            f"secret {plan.client} in {where} {why}, and secret {plan.token} has no {plan.token_key}; bring the first, "
            f"or copy the second from the management cluster"
        )

    def _usable(self) -> pki.Pair | None:
        pair = self._pair
        if pair is None or pki.share_left(pair.leaf) <= 0:
            return None
        return None if pair == self._refused and (self._token or self._own_root) else pair

    def _trusted(self) -> bytes:
        return b"\n".join((self._roots, self._issued_roots)).strip()

    async def _line(self, pair: pki.Pair | None, metadata: tuple[tuple[str, str], ...] = ()) -> Line:
        plan, roots, name = self._plan, self._trusted(), self._plan.authority
        if not plan.validates:
            seen = await asyncio.to_thread(look, plan.address, plan.authority)
            if seen.certificate is None:
                raise LinkLost(f"the server at {plan.address} answers no TLS handshake")
            roots = seen.certificate.public_bytes(Encoding.PEM)
            name = next(iter(pki.dns_names(seen.certificate)), name)
        credentials = grpc.ssl_channel_credentials(roots, *((pair.key, pair.chain) if pair else (None, None)))
        options = (("grpc.default_authority", plan.authority), ("grpc.ssl_target_name_override", name))
        return Line(credentials=credentials, options=options, metadata=metadata)

    # ---------------------------------------------------------------- secrets

    async def begin(self) -> None:
        """What is there already. What is missing, or cannot be read now, comes with the watch: the gateways are served
        meanwhile.
        """
        for name in self._names():
            try:
                self._take(name, await self._secrets.get(name))
            except SecretsFailed as failed:
                _complain(name, str(failed))

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="agent.secrets")
            group.create_task(self._renew(), name="agent.secrets.renew")
        raise RuntimeError("the watch of the agent's secrets ended")

    def _names(self) -> tuple[str, ...]:
        plan = self._plan
        return (plan.root,) if plan.relay_token else (plan.root, plan.client, plan.token)

    async def _follow(self) -> None:
        await self._follower.run(self._names(), self._take, _complain)

    def _take(self, name: str, data: Data) -> None:
        plan = self._plan
        try:
            if name == plan.root:
                self._take_roots(data)
            elif name == plan.client:
                self._take_client(data)
            elif name == plan.token:
                self._token = data.get(plan.token_key, b"").decode(errors="replace").strip()
                if self._unusable.get(plan.client) == _GONE:
                    self._want_another()
            self._unusable.pop(name, None)
        except pki.Unfit as wrong:
            self._unusable[name] = str(wrong)
            log.warning("relay.secret.unusable", resource=name, reason=f"it {wrong}; the former stays in use")
        self._arrived.set()

    def _take_roots(self, data: Data) -> None:
        roots = data.get("ca.crt", b"")
        if roots:
            pki.certificates(roots)
        elif self._roots:
            raise pki.Unfit("has no ca.crt any more")
        if "tls.key" in data and "tls.crt" in data:
            self._own_root = pki.pair_of(data["tls.crt"], data["tls.key"])
        if roots and roots != self._roots:
            self._roots = roots
            self.changed.set()

    def _take_client(self, data: Data) -> None:
        if data:
            self._take_pair(data)
        elif self._pair is not None:
            self._want_another()
            raise pki.Unfit(_GONE)

    def _want_another(self) -> None:
        """Whoever takes away a certificate that was issued wants another one; until then it goes on with the former."""
        if self._pair is not None and pki.is_ours(self._pair.leaf) and (self._token or self._own_root):
            self._refused = self._pair
            self.changed.set()

    def _take_pair(self, data: Data) -> None:
        pair = pki.pair_of(data.get("tls.crt", b""), data.get("tls.key", b""))
        names = pki.dns_names(pair.leaf)
        if names != (self._plan.cluster,):
            raise pki.Unfit(
                f"has a certificate for {', '.join(names) or 'nobody'}, it must have one DNS name, {self._plan.cluster}"
            )
        self._issued_roots = data.get("ca.crt", b"") if pki.is_ours(pair.leaf) else b""
        if pair != self._pair:
            self._pair = pair
            self.changed.set()

    # ---------------------------------------------------------------- certificates

    async def _obtain(self, shown: pki.Pair, token: str) -> None:
        """A key of our own and a certificate for it, kept. Raises LinkLost."""
        plan, key = self._plan, pki.new_key()
        csr = pki.request(plan.cluster, key)
        if self._own_root is not None:
            lifetime = datetime.timedelta(days=30)
            chain = await asyncio.to_thread(pki.issue, csr, plan.cluster, lifetime, self._own_root)
            answer = pb.IssueResponse(chain=chain, roots=self._roots)
        else:
            answer = await self._ask(
                shown, pb.IssueRequest(csr=csr, token=token, cluster=plan.cluster, cluster_uid=plan.cluster_uid)
            )
        data = {"tls.crt": answer.chain, "tls.key": pki.key_pem(key), "ca.crt": answer.roots}
        try:
            self._take_pair(data)
        except pki.Unfit as wrong:
            raise LinkLost(f"the client certificate that the server issued {wrong}") from wrong
        self._arrived.set()
        try:
            await self._secrets.put(plan.client, data)
        except SecretsFailed as failed:
            log.warning("relay.secret.unwritten", resource=plan.client, reason=str(failed))
        ends = pki.certificates(answer.chain)[0].not_valid_after_utc.isoformat()
        log.info("relay.certificate.obtained", resource=plan.client, ends=ends)

    async def _ask(self, shown: pki.Pair, request: pb.IssueRequest) -> pb.IssueResponse:
        line = await self._line(shown)
        options: list[Any] = [*line.options, ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(self._plan.address, line.credentials, options=options) as channel:  # type: ignore[arg-type]  # with TLS there are some
            try:
                call: Any = channel.unary_unary(_ISSUE, None, pb.IssueResponse.FromString)
                answer: pb.IssueResponse = await call(request.SerializeToString(), timeout=_TIMEOUT)
            except grpc.aio.AioRpcError as refused:
                said = f"no client certificate: {refused.details()}"
                if refused.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise await self.explain(LinkLost(said)) from refused
                self.finding = self._denied = Finding(_code_of(refused), said)
                raise NotIssued(said) from refused
        return answer

    async def _renew(self) -> None:
        while True:
            pair = self._pair
            if pair is None or not pki.is_ours(pair.leaf):
                self._arrived.clear()
                await self._arrived.wait()
                continue
            moment = renew_at(pair, self._plan.ratio, random.random())  # noqa: S311 - spreads agents, guards no secret
            left = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
            if left > 0:
                await asyncio.sleep(min(left, _RETRY))  # and look again: another pair may have come
                continue
            try:
                await self._obtain(*((pair, "") if pki.share_left(pair.leaf) > 0 else (NOBODY, self._token)))
            except LinkLost as lost:
                log.warning("relay.certificate.unrenewed", reason=lost.message)
                lifetime = (pair.leaf.not_valid_after_utc - pair.leaf.not_valid_before_utc).total_seconds()
                await asyncio.sleep(min(lifetime / 50, _RETRY))


def _complain(name: str, reason: str) -> None:
    log.warning("relay.secret.unread", resource=name, reason=reason)


def _code_of(refused: grpc.aio.AioRpcError) -> str:
    """An earlier server does not say of which kind its refusal is."""
    trailing: Any = refused.trailing_metadata() or ()
    kinds = [value for key, value in trailing if key == REFUSED_KIND]
    return _REFUSALS.get(kinds[0], _NOT_ISSUED) if kinds else _NOT_ISSUED
