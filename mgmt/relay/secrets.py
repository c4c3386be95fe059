"""The relay's secrets at the server (relay.md §5): made where they may be made, read, and read again when they change.

What is held is always usable: a secret that cannot be used is named in the log and by `check`, and the former goes on;
what the server made it writes back.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from secrets import token_urlsafe
from typing import Never

import grpc
import msgspec
import structlog
from cryptography import x509

from fingerpost.relay import pki
from fingerpost.relay.nobody import NOBODY
from fingerpost.secrets.follower import AGAIN, Follower
from fingerpost.secrets.protocol import BLOCKLIST, Data, SecretForbidden, Secrets, SecretsFailed
from mgmt.relay import rotation, write_back

log = structlog.get_logger()
_ROOT, _SIGNING, _SERVER = (datetime.timedelta(days=days) for days in (3650, 1825, 365))
_LOOK_AGAIN = 600.0
MEND_AFTER = 10.0  # whoever deletes a secret in order to bring another one has so long
OLD_TOKEN = 600.0  # seconds for which the former token still counts


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the options 1 to 5 it is (§5.3), and how the secrets are called."""

    client_certificates: bool = True
    disable_ca: bool = False
    disable_ca_cert_generation: bool = False
    disable_token_generation: bool = False
    relay_token: str = ""
    root: str = "relay-root-tls-secret"
    server: str = "relay-server-tls-secret"
    signing: str = "relay-tls-signing-secret"
    token: str = "relay-identity-token-secret"
    token_key: str = "token"
    cluster_token: str = "relay-identity-token-"
    require_cluster_token: bool = False
    names: Sequence[str] = ("gloo-mesh-mgmt-server.gloo-mesh",)
    client_lifetime: float = 30 * 86400.0

    @property
    def issues(self) -> bool:
        return self.client_certificates and not self.disable_ca

    @property
    def needs_token(self) -> bool:
        return (self.issues or not self.client_certificates) and not self.relay_token


class RelaySecrets:
    """`begin` before anything else. `blocked_changed` hears of a new blocklist."""

    def __init__(
        self,
        secrets: Secrets,
        plan: Plan,
        blocked_changed: Callable[[frozenset[str]], None] = lambda _: None,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        mend_after: float = MEND_AFTER,
        read_again: float = AGAIN,
    ) -> None:
        self.plan, self.blocked_changed, self._now, self._mend_after = plan, blocked_changed, now, mend_after
        self._refused: dict[str, str] = {}  # why what was read is not in use, by its name
        self._wrong = asyncio.Event()
        self._used: dict[str, Data] = {}
        self._secrets, self._follower = secrets, Follower(secrets, read_again)
        self._server: pki.Pair | None = None
        self._client_roots = b""
        self.roots = b""
        self._signs: x509.Certificate | None = None  # the root in use
        self.signing: pki.Pair | None = None
        self._token, self._former = plan.relay_token, ("", 0.0)
        self.blocked: frozenset[str] = frozenset()
        self._configuration: grpc.ServerCertificateConfiguration | None = None
        self._given: object = None

    # ---------------------------------------------------------------- for the relay

    def credentials(self) -> grpc.ServerCredentials:
        return grpc.dynamic_ssl_server_credentials(
            self._current(),
            self._fetch,  # type: ignore[arg-type]  # None, for no change, is allowed
            require_client_authentication=self.plan.client_certificates,
        )

    def _current(self) -> grpc.ServerCertificateConfiguration:
        self._given = self._configuration
        if self._configuration is None:
            raise RuntimeError("begin() comes first")
        return self._configuration

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """For each new connection, in a thread of gRPC's. None: as before."""
        return None if self._configuration is self._given else self._current()

    async def doubt(self, token: str, cluster: str) -> str:
        """Why the token does not prove the cluster, "" when it does: the shared one, or that of the cluster alone,
        which is read only when it is needed. Each comparison takes constant time.
        """
        shown = hashlib.sha256(token.encode()).digest()

        def among(accepted: Sequence[str]) -> bool:
            matches = [hmac.compare_digest(shown, hashlib.sha256(one.encode()).digest()) for one in accepted if one]
            return any(matches) and bool(token)

        if not self.plan.require_cluster_token:
            former, until = self._former
            if among([self._token, former if asyncio.get_running_loop().time() < until else ""]):
                return ""
        own, unread = await self._cluster_token(cluster)
        if among([own]):
            return ""
        return f"the token of cluster {cluster} is wrong; give its agent the server's token{unread}"

    async def _cluster_token(self, cluster: str) -> tuple[str, str]:
        """(the token, why it is not known). The right to read it comes with the token, one cluster at a time: without
        that right there is none, as a rule, and whoever shows another token hears of it.
        """
        name = self.plan.cluster_token + cluster
        try:
            return _text(await self._secrets.get(name), self.plan.token_key), ""
        except SecretForbidden:
            return "", f"; if it has that of secret {name}, let the server read that"
        except SecretsFailed as failed:
            log.warning("relay.secret.unread", resource=name, reason=str(failed))
            return "", ""

    @property
    def unusable(self) -> Mapping[str, str]:
        """Why a secret is not what is in use, by its name."""
        return {**self._refused, **self._follower.unread}

    def valid(self) -> Mapping[str, tuple[datetime.datetime, datetime.datetime]]:
        """By kind: from when and until when the certificates in use are valid."""
        server, signing = self._server and self._server.leaf, self.signing and self.signing.leaf
        found = {"root": self._signs, "server": server, "signing": signing}
        return {kind: (one.not_valid_before_utc, one.not_valid_after_utc) for kind, one in found.items() if one}

    def certificates(self) -> list[tuple[str, x509.Certificate]]:
        """Those that are in use, with what each is: root (maybe several), signing, server."""
        found = [("root", one) for one in (pki.certificates(self.roots) if self.roots else [])]
        found += [("signing", self.signing.leaf)] if self.signing else []
        return found + ([("server", self._server.leaf)] if self._server else [])

    # ---------------------------------------------------------------- reading

    async def begin(self) -> None:
        """Raises SecretsFailed with the setting and the secret that do not fit."""
        await self.make()
        for name in self._names():
            await self._load(name)

    def _names(self) -> list[str]:
        """No others: nobody need grant rights for what is not read."""
        plan = self.plan
        names = [plan.root, plan.server, BLOCKLIST, *([plan.signing] if plan.issues else [])]
        return [*names, *([plan.token] if plan.needs_token else [])]

    async def run(
        self,
        leads: Callable[[], bool] = lambda: True,
        confirmed: Callable[[datetime.datetime], bool] = lambda _: False,
    ) -> Never:
        """`leads`: whether this replica is the one that renews."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="relay.secrets.watch")
            group.create_task(self._renew(leads, confirmed), name="relay.secrets.renew")
            group.create_task(self._mend(leads), name="relay.secrets.mend")
        raise RuntimeError("the watch of the relay's secrets ended")

    async def _follow(self) -> None:
        def complain(name: str, reason: str) -> None:
            log.error("relay.secret.unread", resource=name, reason=f"{reason}; the former stays in use")

        await self._follower.run(self._names(), self._take, complain)

    def _take(self, name: str, data: Data) -> None:
        try:
            self._use(name, data)
        except SecretsFailed as failed:
            self._refused[name] = str(failed)
            self._wrong.set()
            log.error("relay.secret.unusable", resource=name, reason=f"{failed}; the former stays in use")

    async def _mend(self, leads: Callable[[], bool]) -> Never:
        while True:
            await self._wrong.wait()
            await asyncio.sleep(self._mend_after)
            for name in tuple(self._refused) if leads() else ():
                await self._write_back(name)
            if not self._refused:
                self._wrong.clear()

    async def _write_back(self, name: str) -> None:
        former = self._used.get(name, {})
        try:
            there = await self._secrets.get(name)
            if not write_back.is_lost(former, there):
                return
            if there or not await self._secrets.create(name, former):
                await self._secrets.put(name, former)
        except SecretsFailed as failed:
            log.error("relay.secret.unmade", resource=name, reason=str(failed))
        else:
            log.warning("relay.secret.restored", resource=name)

    async def _renew(self, leads: Callable[[], bool], confirmed: Callable[[datetime.datetime], bool]) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            if not leads():
                continue
            try:
                await self.make(confirmed)
            except SecretsFailed as failed:
                log.error("relay.secret.unmade", reason=str(failed))

    async def _load(self, name: str) -> None:
        self._use(name, await self._secrets.get(name))

    def _use(self, name: str, data: Data) -> None:
        """Raises SecretsFailed; then the former is in use as before."""
        plan = self.plan
        if name == plan.server:
            self._configure(self._pair(name, data), data.get("ca.crt", b""), self.roots, self._signs)
        elif name == plan.root:
            self._take_root(name, data)
        elif name == plan.signing:
            self.signing = self._pair(name, data)
        elif name == plan.token:
            self._take_token(_text(data, plan.token_key))
        elif name == BLOCKLIST:
            self._block(frozenset(key.replace(":", "").lower() for key in data))
        self._used[name] = data
        self._refused.pop(name, None)

    def _take_root(self, name: str, data: Data) -> None:
        roots, signs = data.get("ca.crt", b""), rotation.in_use(data)
        if self.roots and not roots:
            raise SecretsFailed(f"secret {name} in {self._secrets.where} has no ca.crt any more; bring it back")
        if roots:
            try:
                pki.certificates(roots)
            except pki.Unfit as wrong:
                raise SecretsFailed(
                    f"secret {name} in {self._secrets.where} {wrong} in its ca.crt; bring the root's"
                ) from wrong
        if name in self._used and "tls.key" in data:
            self._pair(name, data)
        if self._server is not None:
            self._configure(self._server, self._client_roots, roots, signs)
        else:
            self.roots, self._signs = roots, signs

    def _pair(self, name: str, data: Data) -> pki.Pair:
        if "tls.crt" not in data or "tls.key" not in data:
            generation = str(self.plan.disable_ca_cert_generation).lower()
            remedy = ", or set disable_ca to true" if name == self.plan.signing else ""
            raise SecretsFailed(
                f"disable_ca_cert_generation is {generation}, and secret {name} in {self._secrets.where} has no "
                f"tls.crt and tls.key; bring it{remedy}"
            )
        try:
            return pki.pair_of(data["tls.crt"], data["tls.key"])
        except pki.Unfit as wrong:
            raise SecretsFailed(f"secret {name} in {self._secrets.where} {wrong}; bring a matching pair") from wrong

    def _configure(
        self, server: pki.Pair, client_roots: bytes, own_roots: bytes, signs: x509.Certificate | None
    ) -> None:
        """A half-written bundle must not take the place of a good one: gRPC would refuse every connection."""
        roots = client_roots or own_roots
        if self.plan.issues and signs is not None and pki.is_ours(signs):
            roots = b"\n".join((roots, own_roots))  # whom we certify we trust, also where our own server's was brought
        if self.plan.client_certificates:
            try:
                pki.certificates(roots)
            except pki.Unfit as wrong:
                raise SecretsFailed(
                    f"secret {self.plan.server} in {self._secrets.where} has no usable ca.crt, which client "
                    f"certificates are checked against; put the root of the clients there"
                ) from wrong
        trusted = roots + b"\n" + NOBODY.chain if self.plan.issues else roots
        self._server, self._client_roots, self.roots, self._signs = server, client_roots, own_roots, signs
        self._configuration = grpc.ssl_server_certificate_configuration(
            [(server.key, server.chain)], trusted if self.plan.client_certificates else None
        )

    def _take_token(self, token: str) -> None:
        if not token:
            raise SecretsFailed(
                f"secret {self.plan.token} in {self._secrets.where} has no {self.plan.token_key}; put the token there"
            )
        if self._token and token != self._token:
            self._former = self._token, asyncio.get_running_loop().time() + OLD_TOKEN
        self._token = token

    def _block(self, blocked: frozenset[str]) -> None:
        if blocked != self.blocked:
            self.blocked = blocked
            log.info("relay.blocklist.changed", count=len(blocked))
            self.blocked_changed(blocked)

    # ---------------------------------------------------------------- making

    async def make(self, confirmed: Callable[[datetime.datetime], bool] | None = None) -> None:
        """What is missing and may be made, and what we made and is over. With `confirmed` (see `rotation.next_root`)
        also what is nearly over; only one replica may do so. Nothing that was brought is touched. Raises SecretsFailed.
        """
        plan = self.plan
        if not plan.disable_ca_cert_generation:
            if confirmed is not None:
                await self._succeed(confirmed)
            now, renew = self._now(), confirmed is not None
            await self._make_pair(plan.server, lambda root: pki.server(plan.names, _SERVER, root, now), renew=renew)
            if plan.issues:
                await self._make_pair(
                    plan.signing, lambda root: pki.authority("relay signing", _SIGNING, root, now), renew=renew
                )
        if plan.needs_token and not _text(await self._secrets.get(plan.token), plan.token_key):
            if plan.disable_token_generation:
                raise SecretsFailed(
                    f"disable_token_generation is true, and secret {plan.token} in {self._secrets.where} has no "
                    f"{plan.token_key}; bring it, or set disable_token_generation to false"
                )
            await self._secrets.create(plan.token, {plan.token_key: token_urlsafe(32).encode()})

    async def _succeed(self, confirmed: Callable[[datetime.datetime], bool]) -> None:
        """The root that we made gets a successor in time."""
        name, now = self.plan.root, self._now()
        found = await self._secrets.get(name)

        def make() -> pki.Pair:
            return pki.authority(f"relay root {now:%Y-%m-%d}", _ROOT, None, now)

        try:
            wanted = await asyncio.to_thread(rotation.next_root, found, now, confirmed, make)
        except pki.Unfit as wrong:
            raise SecretsFailed(f"secret {name} in {self._secrets.where} {wrong}; bring a matching pair") from wrong
        if wanted != found:
            await self._secrets.put(name, wanted)
            signs = "the successor signs" if wanted["tls.crt"] != found["tls.crt"] else "the bundle is another one"
            log.info("relay.root.changed", resource=name, reason=signs)

    async def _make_pair(self, name: str, make: Callable[[pki.Pair], pki.Pair], *, renew: bool) -> None:
        there, now = await self._secrets.get(name), self._now()
        pair = self._pair(name, there) if there else None
        if pair is not None and not (pki.is_ours(pair.leaf) and (renew or pki.share_left(pair.leaf, now) <= 0)):
            return
        root, trusted = await self._root(name)
        if pair is None or rotation.is_due(pair.leaf, root.leaf, now):
            pair = await asyncio.to_thread(make, root)
        if self.plan.issues and pki.is_ours(root.leaf):
            try:
                trusted = rotation.bundle(there.get("ca.crt", b""), trusted, now)
            except pki.Unfit as wrong:
                raise SecretsFailed(f"ca.crt of secret {name} in {self._secrets.where} {wrong}; mend it") from wrong
        else:  # whom to trust is for others to say
            trusted = there.get("ca.crt", trusted)
        data = {"tls.crt": pair.chain, "tls.key": pair.key, "ca.crt": trusted}
        if not there:
            await self._secrets.create(name, data)  # another replica may have been first: then theirs counts
        elif data != {key: there.get(key) for key in data}:
            await self._secrets.put(name, data)
        else:
            return
        log.info("relay.secret.made", resource=name)

    async def _root(self, wanted: str) -> tuple[pki.Pair, bytes]:
        name = self.plan.root
        found = await self._secrets.get(name)
        if not found:
            made = await asyncio.to_thread(pki.authority, "relay root", _ROOT, None, self._now())
            data = {"tls.crt": made.chain, "tls.key": made.key, "ca.crt": made.chain}
            await self._secrets.create(name, data)
            found = await self._secrets.get(name)
        if "tls.key" not in found:
            raise SecretsFailed(
                f"secret {name} in {self._secrets.where} has no tls.key, so {wanted} cannot be made; bring {wanted} "
                f"and set disable_ca_cert_generation to true, or remove {name} for a root of our own"
            )
        root = self._pair(name, found)
        return root, found.get("ca.crt", root.chain)


def _text(data: Data, key: str) -> str:
    return data.get(key, b"").decode(errors="replace").strip()
