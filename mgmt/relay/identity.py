"""The one place where a peer's identity is checked: what it shows (a certificate, a token, nothing) against the cluster
it names.

Nothing else in the relay looks at addresses, metadata or certificates.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote

import grpc
from cryptography import x509

from fingerpost.loopback import is_loopback
from fingerpost.relay.nobody import is_nobody
from fingerpost.relay.pki import dns_names, fingerprint, is_ours
from fingerpost.relay.reasons import Reason, Refused
from mgmt.relay.ports import ShownCertificate
from mgmt.relay.secrets import RelaySecrets

CLUSTER_HEADER = "x-cluster-id"
TOKEN_HEADER = "authorization"
Metadata = Iterable[tuple[str, str | bytes]]


class Caller(NamedTuple):
    """`peer` as gRPC writes it: `ipv4:127.0.0.1:5000`, `ipv6:%5B::1%5D:5000`, `unix:/path`."""

    peer: str
    metadata: Metadata
    auth: Mapping[str, Sequence[bytes]]

    @property
    def certificate(self) -> x509.Certificate | None:
        """What the handshake has checked against the roots; None also for nobody's."""
        shown = self.auth.get("x509_pem_cert")
        found = x509.load_pem_x509_certificate(shown[0]) if shown else None
        return None if found is None or is_nobody(found) else found

    @property
    def address(self) -> str:
        """Without the port."""
        return _host(self.peer)


class Door(Protocol):
    """Who may come in, and what the port asks for before."""

    def credentials(self) -> grpc.ServerCredentials | None:
        """None: plaintext."""
        ...

    async def admit(self, caller: Caller, cluster: str) -> x509.Certificate | None:
        """The certificate that proves it, if one does. Raises Refused."""
        ...


class Plaintext:
    """Without TLS: loopback peers only, or with `anywhere` (option 0) everybody."""

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere

    def credentials(self) -> grpc.ServerCredentials | None:
        return None

    async def admit(self, caller: Caller, cluster: str) -> x509.Certificate | None:
        if self._anywhere:
            _claimed(caller.metadata, cluster)
        else:
            check(caller.peer, caller.metadata, cluster)
        return None


class Guarded:
    """With TLS: by certificate, or by token where client certificates are switched off."""

    def __init__(self, secrets: RelaySecrets) -> None:
        self._secrets = secrets

    def credentials(self) -> grpc.ServerCredentials | None:
        return self._secrets.credentials()

    async def admit(self, caller: Caller, cluster: str) -> x509.Certificate | None:
        _claimed(caller.metadata, cluster)
        if not self._secrets.plan.client_certificates:
            shown = [v for k, v in caller.metadata if k == TOKEN_HEADER and isinstance(v, str)]
            token = shown[0].removeprefix("Bearer ") if len(shown) == 1 else ""
            if wrong := await self._secrets.doubt(token, cluster):
                raise Unproved("token", wrong)
            return None
        certificate = caller.certificate
        if certificate is None:
            raise Unproved("certificate", f"cluster {cluster} shows no client certificate; let its agent ask for one")
        names = dns_names(certificate)
        if names != (cluster,):
            said = ", ".join(names) or "nobody"
            raise Unproved("identity", f"hello names cluster {cluster!r}, the client certificate names {said}")
        if fingerprint(certificate) in self._secrets.blocked:
            raise Unproved("blocked", blocked(fingerprint(certificate)))
        return certificate


class Unproved(Refused):
    """`kind` is the label `reason` of relay_auth_failures_total."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(Reason.UNAUTHENTICATED, message)
        self.kind = kind


def shown(certificate: x509.Certificate) -> ShownCertificate:
    begins = _unix_nanos(certificate.not_valid_before_utc) if is_ours(certificate) else 0
    return ShownCertificate(fingerprint(certificate), begins, _unix_nanos(certificate.not_valid_after_utc))


def _unix_nanos(at: datetime.datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000


def blocked(shown: str) -> str:
    return f"the client certificate {shown} is in relay-client-blocklist; bring another one"


def check(peer: str, metadata: Metadata, cluster: str) -> None:
    """Of plaintext that was not asked for. Raises Refused."""
    if not _local(peer):
        raise Refused(Reason.UNAUTHENTICATED, f"the relay without TLS answers on loopback only, not {peer}")
    _claimed(metadata, cluster)


def _claimed(metadata: Metadata, cluster: str) -> None:
    claimed = [v if isinstance(v, str) else v.decode(errors="replace") for k, v in metadata if k == CLUSTER_HEADER]
    if claimed != [cluster]:
        said = ", ".join(repr(c) for c in claimed) or "nothing"
        raise Refused(
            Reason.UNAUTHENTICATED, f"hello names cluster {cluster!r}, the connection's {CLUSTER_HEADER} says {said}"
        )
    if not cluster:
        raise Refused(Reason.UNAUTHENTICATED, "hello names no cluster")


def _local(peer: str) -> bool:
    return peer.startswith("unix:") or is_loopback(_host(peer))


def _host(peer: str) -> str:
    return unquote(peer.partition(":")[2]).rpartition(":")[0].strip("[]")
