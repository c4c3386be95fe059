"""What the relay asks of this replica, joined: each port does the work of one part and tells the others of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.reasons import Reason, Refused
from mgmt.authority import Authority
from mgmt.changes.journal import Journal
from mgmt.happenings import Happenings
from mgmt.ingest.ingest import Ingest
from mgmt.publish.publisher import Publisher
from mgmt.publish.reconcile_time import ReconcileTime
from mgmt.relay.ports import Fence, SessionInfo
from mgmt.relisting import Relisting
from mgmt.translate.graph.destinations import DEFAULT_TRUST_DOMAIN
from mgmt.translate.graph.inputs import GATEWAY
from mgmt.translate.translator import Translator

_PATIENCE = 3.0  # seconds for facts that are on their way


class Replica(Protocol):
    """The parts that a publisher has to do with. `until` looks after each turn and gives up in silence."""

    authority: Authority
    translator: Translator
    reconcile_time: ReconcileTime
    journal: Journal
    happenings: Happenings

    @property
    def ingest(self) -> Ingest: ...

    async def until(self, holds: Callable[[], bool], patience: float) -> None: ...


class ServedPublisher(Publisher):
    """The publisher as the relay sees it: with signing, with what agents have seen handed on to Redis,
    and with the time that it takes."""

    replica: Replica

    def release(self, cluster: str, version: int) -> frozenset[str]:
        released = super().release(cluster, version)
        self.replica.happenings.released(cluster, released)
        self.replica.happenings.held(self.held)
        return released

    def seen(self, cluster: str, config_version: int) -> None:
        super().seen(cluster, config_version)
        self.replica.ingest.seen(config_version)

    def applied(self, cluster: str, config_version: int, scopes: Sequence[ScopeApplied]) -> None:
        self.replica.reconcile_time.applied(self.arrivals, cluster, scopes)
        super().applied(cluster, config_version, scopes)
        self.replica.journal.applied(cluster, scopes)
        self.replica.happenings.applied(cluster, scopes)

    async def ready(self, cluster: str) -> None:
        await super().ready(cluster)
        asked = self.replica.ingest.ask_redis()
        await self.replica.until(lambda: asked() and not self.is_behind, _PATIENCE)

    async def sign(self, cluster: str, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        namespace, _, name = id_.partition("/")
        key = ObjectKey(GATEWAY, cluster, namespace, name)
        gateways = self.replica.translator.inputs[GATEWAY].items
        await self.replica.until(lambda: key in gateways, _PATIENCE)  # the request may have overtaken the facts
        decoded = gateways.get(key)
        if decoded is None or decoded.obj is None:
            raise Refused(Reason.NOT_REGISTERED, f"no gateway {id_} is known in cluster {cluster}")
        accounts = decoded.obj.spec.service_accounts
        allowed = [f"spiffe://{DEFAULT_TRUST_DOMAIN}/ns/{namespace}/sa/{account}" for account in accounts]
        authority = self.replica.authority
        return await asyncio.to_thread(authority.sign, csr, allowed), authority.roots


class ServedIngest(Ingest):
    """The ingest port as the relay sees it; it lets the guards know of sessions and of finished listings."""

    relisting: Relisting
    happenings: Happenings

    async def open(self, cluster: str, session: SessionInfo) -> Fence:
        fence = await super().open(cluster, session)
        self.relisting.opened(cluster, fence, session.control, session.types)
        self.happenings.opened(cluster, session)
        return fence

    def listed(self, cluster: str, fence: Fence, type_: str) -> None:
        super().listed(cluster, fence, type_)
        self.relisting.listed(cluster, type_)

    async def close(self, cluster: str, fence: Fence) -> None:
        self.relisting.closed(cluster, fence)
        await super().close(cluster, fence)

    def lost(self) -> None:
        super().lost()
        self.happenings.store(lost=True)

    def closing_records(self, epoch: str) -> None:
        super().closing_records(epoch)
        self.happenings.store(lost=False)
