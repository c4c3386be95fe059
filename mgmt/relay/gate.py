"""The relay's door as the settings want it: plaintext (option 0), or TLS with the secrets that it takes (options 1 to 5
of relay.md §5.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Never

import structlog
from cryptography import x509

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


class Gate:
    """`begin` reads and makes what is needed. `certificate_ends`: by cluster, of the last certificate seen, in unix
    nanoseconds.
    """

    def __init__(self, settings: Settings, secrets: Secrets, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self.certificate_ends: dict[str, int] = {}
        self.secrets: RelaySecrets | None = None
        self.door: Door = Plaintext(anywhere=True)
        if not settings.insecure:
            self.secrets = RelaySecrets(secrets, plan_of(settings))
            self.door = Guarded(self.secrets, self._met)

    def _met(self, cluster: str, certificate: x509.Certificate) -> None:
        self.certificate_ends[cluster] = int(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000

    async def begin(self) -> None:
        """Raises SecretsFailed."""
        self._metrics.set("relay_insecure", float(self.secrets is None))
        if self.secrets is not None:
            await self.secrets.begin()
        elif self._settings.disable_client_certificate_authentication or self._settings.relay_token:
            name = "relay_token" if self._settings.relay_token else "disable_client_certificate_authentication"
            raise SecretsFailed(f"insecure is true, so {name} has no effect; leave one of the two")

    async def run(self) -> Never:
        if self.secrets is not None:
            await self.secrets.run()
        while True:
            log.warning("relay.insecure", reason="insecure is true: anybody may claim any cluster; set it to false")
            await asyncio.sleep(_WARN_AGAIN)

    def bootstrap(
        self, conflict: Callable[[str, str, str], str], registered: Callable[[str], bool]
    ) -> Bootstrap | None:
        return Bootstrap(self.secrets, self._metrics, conflict, registered) if self.secrets is not None else None

    def guards(self, relay: RelayServer) -> None:
        """The streams of this relay end when their certificates are blocked."""
        if self.secrets is not None:
            self.secrets.blocked_changed = relay.expel
