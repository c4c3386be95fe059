"""The relay's door as the settings want it: plaintext (option 0), or TLS with the secrets that it takes (options 1 to 5
of relay.md §5.3).
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Never

import msgspec
import structlog
from cryptography import x509

from fingerpost.relay.pki import fingerprint
from fingerpost.secrets.protocol import Secrets, SecretsFailed
from mgmt.relay.bootstrap import Bootstrap
from mgmt.relay.identity import Door, Guarded, Plaintext
from mgmt.relay.ports import Metrics
from mgmt.relay.secrets import Plan, RelaySecrets
from mgmt.relay.server import RelayServer
from mgmt.settings import Settings

log = structlog.get_logger()
_WARN_AGAIN = 3600.0


def plan_of(settings: Settings) -> Plan:
    return Plan(
        client_certificates=not settings.disable_client_certificate_authentication,
        disable_ca=settings.disable_ca,
        disable_ca_cert_generation=settings.disable_ca_cert_generation,
        disable_token_generation=settings.disable_token_generation,
        relay_token=settings.relay_token,
        root=settings.root_tls_secret,
        server=settings.server_tls_secret,
        signing=settings.signing_tls_secret,
        token=settings.token_secret,
        token_key=settings.token_secret_key,
        require_cluster_token=settings.require_cluster_token,
        names=(settings.relay_authority,),
        client_lifetime=settings.client_certificate_lifetime,
    )


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Of the server's own: `kind` is root, signing or server. Times in unix nanoseconds."""

    kind: str
    begins: int
    ends: int
    issuer: str = ""
    fingerprint: str = ""


class RelayInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How the door is kept. Without any certificate: in plaintext."""

    certificates: tuple[Certificate, ...] = ()
    asks_certificates: bool = True
    requires_cluster_token: bool = False
    blocked: int = 0
    unusable: tuple[tuple[str, str], ...] = ()  # (secret, why it is not what is in use)


def _certificate(kind: str, found: x509.Certificate) -> Certificate:
    begins, ends = (int(at.timestamp()) * 10**9 for at in (found.not_valid_before_utc, found.not_valid_after_utc))
    issuer, digest = found.issuer.rfc4514_string(), fingerprint(found)
    return Certificate(kind=kind, begins=begins, ends=ends, issuer=issuer, fingerprint=digest)


class Gate:
    """`begin` reads and makes what is needed."""

    def __init__(self, settings: Settings, secrets: Secrets, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self.secrets: RelaySecrets | None = None
        self.door: Door = Plaintext(anywhere=True)
        if not settings.insecure:
            self.secrets = RelaySecrets(secrets, plan_of(settings))
            self.door = Guarded(self.secrets)

    @property
    def info(self) -> RelayInfo:
        """For `check`. Names and dates, no keys."""
        if self.secrets is None:
            return RelayInfo()
        own = tuple(_certificate(kind, found) for kind, found in self.secrets.certificates())
        plan = self.secrets.plan
        return RelayInfo(
            certificates=own,
            asks_certificates=plan.client_certificates,
            requires_cluster_token=plan.require_cluster_token,
            blocked=len(self.secrets.blocked),
            unusable=tuple(sorted(self.secrets.unusable.items())),
        )

    async def begin(self) -> None:
        """Raises SecretsFailed."""
        self._metrics.set("relay_insecure", float(self.secrets is None))
        if self.secrets is None and self._settings.require_approval:
            raise SecretsFailed("insecure is true, so nobody proves who asks for approval; leave out require_approval")
        if self.secrets is not None:
            await self.secrets.begin()
        elif self._settings.disable_client_certificate_authentication or self._settings.relay_token:
            name = "relay_token" if self._settings.relay_token else "disable_client_certificate_authentication"
            raise SecretsFailed(f"insecure is true, so {name} has no effect; leave one of the two")

    async def run(self, leads: Callable[[], bool], confirmed: Callable[[datetime.datetime], bool]) -> Never:
        if self.secrets is not None:
            await self.secrets.run(leads, confirmed)
        while True:
            log.warning("relay.insecure", reason="insecure is true: anybody may claim any cluster; set it to false")
            await asyncio.sleep(_WARN_AGAIN)

    def bootstrap(
        self, conflict: Callable[[str, str, str], str], barred: Callable[[str, bool], str]
    ) -> Bootstrap | None:
        return Bootstrap(self.secrets, self._metrics, conflict, barred) if self.secrets is not None else None

    def guards(self, relay: RelayServer) -> None:
        """The streams of this relay end when their certificates are blocked."""
        if self.secrets is not None:
            self.secrets.blocked_changed = relay.expel
