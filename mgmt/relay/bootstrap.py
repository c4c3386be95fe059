"""Bootstrap.IssueClientCertificate (relay.md §5.4): a client certificate for who shows the token, or a certificate of
the same cluster that is still good.
"""

from __future__ import annotations

import asyncio
import datetime
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import structlog

from fingerpost.api.limits import CLUSTER_NAME, CLUSTER_NAME_RULE
from fingerpost.relay import pki
from fingerpost.relay.frames import parse
from fingerpost.relay.reasons import REFUSED_KIND, Refused
from fingerpost.relay.v1 import bootstrap_pb2 as pb
from mgmt.relay.identity import Caller
from mgmt.relay.ports import Metrics
from mgmt.relay.secrets import RelaySecrets

log = structlog.get_logger()
SERVICE = "fingerpost.relay.v1.Bootstrap"
FAILURES, WINDOW = 5, 60.0
_PEERS = 10_000


class _Failure(NamedTuple):
    at: float
    cluster: str
    kind: str
    message: str


class NotIssued(Exception):
    """`kind` is the label `reason` of relay_auth_failures_total."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Bootstrap:
    """`conflict(cluster, uid, peer)` says what is wrong with a second cluster of that name, "" when nothing is;
    `barred(cluster, renewal)`, why it may have no certificate, "" when it may.
    """

    def __init__(
        self,
        secrets: RelaySecrets,
        metrics: Metrics,
        conflict: Callable[[str, str, str], str] = lambda _cluster, _uid, _peer: "",
        barred: Callable[[str, bool], str] = lambda _cluster, _renewal: "",
    ) -> None:
        self._secrets, self._metrics = secrets, metrics
        self._conflict, self._barred = conflict, barred
        self._failures: dict[str, deque[_Failure]] = {}

    def handlers(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        return grpc.method_handlers_generic_handler(
            SERVICE, {"IssueClientCertificate": grpc.unary_unary_rpc_method_handler(self._issue)}
        )

    async def _issue(self, frame: bytes, context: Any) -> bytes:
        caller = Caller(context.peer(), context.invocation_metadata() or (), context.auth_context())
        now = asyncio.get_running_loop().time()
        cluster, counted = "", not self._too_many(caller.address, now)
        try:
            request = parse(pb.IssueRequest(), frame)
            cluster = request.cluster
            if not counted:
                raise self._rate(caller.address, cluster)
            return (await self._answer(request, caller)).SerializeToString()
        except NotIssued as refused:
            kind, message = refused.kind, str(refused)
        except Refused as refused:
            kind, message = "request", refused.message
        if counted:
            self._failed(caller.address, _Failure(now, cluster, kind, message))
            log.warning("relay.certificate.refused", cluster=cluster, peer=caller.peer, reason=message)
        self._metrics.add("relay_auth_failures_total", reason=kind if counted else "rate")
        code = grpc.StatusCode.PERMISSION_DENIED if counted else grpc.StatusCode.RESOURCE_EXHAUSTED
        await context.abort(code, message, ((REFUSED_KIND, kind),))
        raise AssertionError("abort raises")

    async def _answer(self, request: pb.IssueRequest, caller: Caller) -> pb.IssueResponse:
        cluster, secrets = request.cluster, self._secrets
        if re.fullmatch(CLUSTER_NAME, cluster) is None:
            raise NotIssued("request", f"cluster is {cluster!r}, it must be {CLUSTER_NAME_RULE}")
        await self._prove(request, caller)
        if problem := self._conflict(cluster, request.cluster_uid, caller.peer):
            raise NotIssued("conflict", problem)
        if secrets.signing is None:
            raise NotIssued("disabled", "this server issues no certificates (disable_ca is true); bring one")
        lifetime = datetime.timedelta(seconds=secrets.plan.client_lifetime)
        try:
            chain = await asyncio.to_thread(pki.issue, request.csr, cluster, lifetime, secrets.signing)
        except pki.Unfit as wrong:
            raise NotIssued("csr", f"the certificate request of cluster {cluster} {wrong}") from wrong
        leaf = pki.certificates(chain)[0]
        ends = leaf.not_valid_after_utc.isoformat()
        log.info("relay.certificate.issued", cluster=cluster, peer=caller.peer, ends=ends)
        return pb.IssueResponse(chain=chain, roots=secrets.roots)

    async def _prove(self, request: pb.IssueRequest, caller: Caller) -> None:
        cluster, certificate = request.cluster, caller.certificate
        if certificate is None:
            if wrong := await self._secrets.doubt(request.token, cluster):
                raise NotIssued("token", wrong)
        elif pki.dns_names(certificate) != (cluster,):
            names = ", ".join(pki.dns_names(certificate))
            raise NotIssued("identity", f"a renewal for {cluster} is asked for with a certificate of {names}")
        elif pki.fingerprint(certificate) in self._secrets.blocked:
            raise NotIssued("blocked", f"the certificate {pki.fingerprint(certificate)} is in relay-client-blocklist")
        if said := self._barred(cluster, certificate is not None):
            raise NotIssued("registration", said)

    def _rate(self, address: str, cluster: str) -> NotIssued:
        """With the true reason, where it is that of this cluster: several may share an address."""
        kind, message = "rate", f"{address} failed {FAILURES} times within a minute; wait that long"
        for failure in reversed(self._failures[address]):
            if failure.cluster == cluster:
                return NotIssued(failure.kind, f"{message}; last: {failure.message}")
        return NotIssued(kind, message)

    def _too_many(self, address: str, now: float) -> bool:
        failures = self._failures.get(address)
        while failures and failures[0].at < now - WINDOW:
            failures.popleft()
        return failures is not None and len(failures) >= FAILURES

    def _failed(self, address: str, failure: _Failure) -> None:
        if address not in self._failures and len(self._failures) >= _PEERS:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(address, deque()).append(failure)
