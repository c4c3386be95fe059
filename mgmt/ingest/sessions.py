"""Who feeds which cluster through this replica: opening, completeness, closing.

The records it makes are inputs like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from fingerpost.api.admin.kubernetes_cluster import CLUSTER_UID, Approval
from fingerpost.relay.features import ANSWERS
from fingerpost.relay.reasons import Reason, Refused
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import record_key
from mgmt.ingest.states import Phase, Registration, SessionRecord, encode, record_of
from mgmt.ingest.turns import Turns
from mgmt.relay.ports import Fence, SessionInfo
from mgmt.store.values import Source, agent_source

log = structlog.get_logger()


class Session:
    """One open stream of facts. `missing`: announced types whose listing has not ended; `answered`: the digest of the
    last Interest that was; `changed`: it has brought something that was not known.
    """

    __slots__ = ("answered", "changed", "fence", "info", "missing", "since", "source", "warm")

    def __init__(self, fence: Fence, info: SessionInfo, missing: set[str], since: int) -> None:
        self.fence, self.info, self.missing, self.since = fence, info, missing, since
        self.source: Source = agent_source(info.cluster)
        self.answered, self.changed, self.warm = info.answered, False, False

    @property
    def phase(self) -> Phase:
        return Phase.WARM if self.warm else Phase.SYNCING


class _Listing:
    """Sessions that one turn has translated completely. They are warm with their own answers and those of the clusters
    `awaited`, which were warm.
    """

    __slots__ = ("awaited", "sessions")

    def __init__(self, awaited: set[str], sessions: dict[str, Session]) -> None:
        self.awaited, self.sessions = awaited, sessions


class Reader:
    """One open stream of desired state."""

    __slots__ = ("end", "uid")

    def __init__(self, uid: str, end: Callable[[Reason, str], None]) -> None:
        self.uid, self.end = uid, end


class Sessions:
    """At most one session per cluster; the newest wins, as long as it comes from the same cluster.

    `asked(cluster)` is the digest of what the agent is asked for now; None: nobody knows yet. What a cluster
    has listed may make the server ask for more, of this cluster and of others: a Service that a VirtualDestination
    selects, and now its endpoints. Only with these answers is it warm, or what gateways have of it would be taken for
    gone in between.
    """

    def __init__(
        self,
        turns: Turns,
        inputs: Inputs,
        management: str,
        replica: str,
        now: Callable[[], int],
        touched: Callable[[], None],
        asked: Callable[[str], bytes | None] = lambda _: None,
        conflicted: Callable[[], None] = lambda: None,
    ) -> None:
        self.conflicts: dict[str, tuple[str, int]] = {}  # by cluster: what is said of the latest, and when it came
        self._conflicted = conflicted
        self.named: Mapping[str, Registration] = {}  # all that have a KubernetesCluster
        self.registered: Mapping[str, Registration] = {}  # of these, those that take part
        self.pending: dict[str, int] = {}  # waiting to take part: since when
        self.knocking: dict[str, SessionInfo] = {}  # who waits to push: the latest of each name
        self.knocked: Callable[[], None] = lambda: None  # somebody has begun to
        self._waiting: dict[str, list[asyncio.Event]] = {}
        self._open: dict[str, Session] = {}
        self._asked = asked
        self._listed: dict[str, Session] = {}  # completely, and not yet translated
        self._translating: dict[str, Session] = {}
        self._listings: list[_Listing] = []
        self._readers: dict[str, set[Reader]] = {}
        self._opened = asyncio.Event()  # replaced whenever a session opens
        self._turns, self._inputs, self._management, self._replica = turns, inputs, management, replica
        self._now, self._touched = now, touched
        self._last_fence = 0
        turns.began, turns.ended = self._turn_began, self._turn_ended

    def get(self, cluster: str, fence: Fence) -> Session | None:
        """None for a session that is over: what still comes from it counts for nothing."""
        session = self._open.get(cluster)
        return session if session is not None and session.fence == fence else None

    def owns(self, cluster: str) -> bool:
        return cluster in self._open

    def clusters(self) -> tuple[str, ...]:
        return tuple(self._open)

    async def open(self, cluster: str, info: SessionInfo) -> Fence:
        """Waits while nobody has registered, or accepted, the cluster."""
        await self._registration(cluster, info.cluster_uid, info.peer, info)
        self._check_identity(cluster, info)
        if (old := self._open.pop(cluster, None)) is not None:
            old.info.control.close(Reason.DUPLICATE, "a newer session of this cluster was opened")
        source = agent_source(cluster)
        try:
            await self._turns.exclusive(lambda: self._turns.claim(source))
        except asyncio.CancelledError:
            self._turns.leave(source)
            raise
        if cluster not in self.registered:
            raise Refused(Reason.NOT_REGISTERED, f"cluster {cluster} was deregistered")
        if (other := self._open.pop(cluster, None)) is not None:  # opened while this one waited for its turn
            other.info.control.close(Reason.DUPLICATE, "a newer session of this cluster was opened")
        missing = set(info.types)
        self._last_fence += 1
        session = Session(Fence(self._last_fence), info, missing, self._now())
        self._open[cluster] = session
        self._record(session, Phase.SYNCING)
        self._look_whether_listed(session)
        self.look()
        for reader in list(self._readers.get(cluster, ())):
            if reader.uid != info.cluster_uid:
                reader.end(Reason.DUPLICATE, f"cluster name {cluster} belongs to uid {info.cluster_uid} now")
        log.info("ingest.session.opened", cluster=cluster, peer=info.peer)
        return session.fence

    async def admit(self, cluster: str, uid: str, peer: str, end: Callable[[Reason, str], None]) -> Callable[[], None]:
        """Waits while nobody has registered or accepted the cluster, and for the first facts of a new one: until then
        nobody can tell which of two clusters of one name is the first.
        """
        await self._registration(cluster, uid, peer)
        while not (self._known_uid(cluster) or cluster in self._open):
            await self._opened.wait()
        if said := self.conflict(cluster, uid, peer):
            raise Refused(Reason.DUPLICATE, said)
        reader = Reader(uid, end)
        readers = self._readers.setdefault(cluster, set())
        readers.add(reader)
        return lambda: readers.discard(reader)

    def look(self) -> None:
        """A session has opened, here or at another replica, or an annotation has come: readers may be admitted now."""
        self._opened.set()
        self._opened = asyncio.Event()

    async def _registration(self, cluster: str, uid: str, peer: str, info: SessionInfo | None = None) -> None:
        if cluster in self.registered:
            return
        waiting, event = self._waiting.setdefault(cluster, []), asyncio.Event()
        waiting.append(event)
        self.pending.setdefault(cluster, self._now())
        if info is not None:
            self.knocking[cluster] = info
            self.knocked()
        self._touched()
        try:
            while cluster not in self.registered:
                if self._is_rejected(cluster):
                    raise Refused(Reason.NOT_REGISTERED, _rejected(cluster))
                if said := self.conflict(cluster, uid, peer):
                    raise Refused(Reason.DUPLICATE, said)
                event.clear()
                await event.wait()
        finally:
            waiting.remove(event)
            if self.knocking.get(cluster) is info:
                self.knocking.pop(cluster, None)
            if not waiting:
                del self._waiting[cluster]
                self.pending.pop(cluster, None)
            self._touched()

    def _is_rejected(self, cluster: str) -> bool:
        registration = self.named.get(cluster)
        return registration is not None and registration.approval is Approval.REJECTED

    def barred(self, cluster: str, renewal: bool) -> str:
        """Why the cluster gets no client certificate; "" when it may. The first one is had before anybody accepts it,
        since its fingerprint is among what a person judges by.
        """
        if self._is_rejected(cluster):
            return _rejected(cluster)
        if not renewal or cluster in self.registered:
            return ""
        if cluster in self.named:
            return f"cluster {cluster} is not accepted, so no renewal: fingerpost cluster accept {cluster}"
        return f"no KubernetesCluster {cluster}, so no renewal; create it"

    def conflict(self, cluster: str, uid: str, peer: str) -> str:
        """A second cluster under the name of the first: what is said to it (relay.md §4.3); "" when it is none."""
        known = self._known_uid(cluster)
        if known in ("", uid):
            return ""
        record = self._record_of(cluster)
        first = f"uid {known} at {record.peer}" if record is not None and record.peer else f"uid {known}"
        self.conflicts[cluster] = f"two clusters claim this name: {first}, and uid {uid} at {peer}", self._now()
        self._conflicted()
        return (
            f"cluster name {cluster} belongs to the cluster with uid {known}, uid {uid} at {peer} needs another name; "
            f"if this is {cluster} rebuilt, {self._remedy(cluster)}"
        )

    def _remedy(self, cluster: str) -> str:
        return f"set the annotation {CLUSTER_UID} of KubernetesCluster {cluster} to its uid"

    def _known_uid(self, cluster: str) -> str:
        """What the KubernetesCluster says, else what came first."""
        registration, record = self.named.get(cluster), self._record_of(cluster)
        if registration and registration.uid:
            return registration.uid
        if record is None or (record.annotated and record.phase == Phase.CLOSED):
            return ""  # nobody came yet, or a person has taken the annotation away
        return record.uid

    def unannotated(self) -> dict[str, str]:
        """By cluster, the uid of those connected here whose KubernetesCluster names none."""
        named = {cluster: registration.uid for cluster, registration in self.registered.items()}
        found = {cluster: session.info.cluster_uid for cluster, session in self._open.items()}
        return {cluster: uid for cluster, uid in found.items() if uid and named.get(cluster) == ""}

    def _record_of(self, cluster: str) -> SessionRecord | None:
        return record_of(self._inputs, record_key(agent_source(cluster), self._management))

    def _check_identity(self, cluster: str, info: SessionInfo) -> None:
        """The first is not disturbed."""
        if said := self.conflict(cluster, info.cluster_uid, info.peer):
            raise Refused(Reason.DUPLICATE, said)

    def listed(self, session: Session, type_: str) -> None:
        if type_ in session.missing:
            session.missing.discard(type_)
            self._look_whether_listed(session)

    def _look_whether_listed(self, session: Session) -> None:
        if session.missing or session.warm:
            return
        asked = self._asked(session.info.cluster)
        if ANSWERS not in session.info.features or (not session.changed and asked in (None, session.answered)):
            self._is_warm(session)
        else:
            self._listed[session.info.cluster] = session
            self._turns.look()

    def _turn_began(self) -> None:
        self._translating, self._listed = self._listed, {}

    def _turn_ended(self) -> None:
        """What is asked for now is known by what the turn has translated."""
        if self._translating:
            owing = {name for name, session in self._open.items() if session.warm and not self._has_answered(session)}
            self._listings.append(_Listing(owing, self._translating))
        for listing in self._listings:  # who is gone, or is asked as before again, owes nothing
            there = {name: self._open.get(name) for name in listing.awaited}
            listing.awaited = {name for name, other in there.items() if other and not self._has_answered(other)}
        self._settle()

    def answered(self, session: Session, interest: bytes) -> None:
        session.answered = interest
        if self._has_answered(session):
            for listing in self._listings:
                listing.awaited.discard(session.info.cluster)
        self._settle()

    def _settle(self) -> None:
        for listing in self._listings:
            for cluster, session in [] if listing.awaited else list(listing.sessions.items()):
                if self._open.get(cluster) is not session:
                    del listing.sessions[cluster]
                elif self._has_answered(session):
                    del listing.sessions[cluster]
                    self._is_warm(session)
        self._listings = [listing for listing in self._listings if listing.sessions]

    def _has_answered(self, session: Session) -> bool:
        return ANSWERS not in session.info.features or self._asked(session.info.cluster) == session.answered

    def _is_warm(self, session: Session) -> None:
        session.warm = True
        self._record(session, Phase.WARM)

    def closed(self, session: Session) -> None:
        """The owner's last word; what is stored stays in force."""
        self._record(session, Phase.CLOSED)
        del self._open[session.info.cluster]
        self._turns.leave(session.source)

    def end(self, cluster: str, reason: Reason, message: str) -> None:
        """End the stream without a word to Redis: another one owns the cluster now, or nobody may."""
        for reader in list(self._readers.get(cluster, ())):
            reader.end(reason, message)
        session = self._open.pop(cluster, None)
        if session is not None:
            log.info("ingest.session.ended", cluster=cluster, reason=reason.name, message=message)
            session.info.control.close(reason, message)

    def let_go(self, count: int) -> None:
        """The youngest; they connect again, perhaps to another replica."""
        youngest = sorted(self._open.values(), key=lambda session: session.since, reverse=True)
        for session in youngest[:count]:
            session.info.control.close(Reason.REBALANCE, "this server carries more than its share of the agents")

    def announce(self) -> None:
        """Write all records again, with the epoch of now."""
        for session in self._open.values():
            self._record(session, session.phase)

    def register(self, named: Mapping[str, Registration]) -> None:
        self.named = named
        registered = self.registered = {name: found for name, found in named.items() if found.accepted}
        for session in self._open.values():
            record, now = self._record_of(session.info.cluster), registered.get(session.info.cluster)
            if record and now and not record.annotated and now.uid == record.uid != "":
                self._record(session, record.phase)
        for cluster, waiting in self._waiting.items():
            if cluster in named:
                for event in waiting:
                    event.set()

    def _is_annotated(self, info: SessionInfo, old: SessionRecord | None) -> bool:
        registration = self.registered.get(info.cluster)
        if registration is not None and registration.uid:
            return registration.uid == info.cluster_uid
        return old is not None and old.annotated and old.uid == info.cluster_uid

    def _record(self, session: Session, phase: Phase) -> None:
        key = record_key(session.source, self._management)
        old, shown = record_of(self._inputs, key), session.info.certificate
        record = SessionRecord(
            phase=phase,
            complete=phase == Phase.WARM or (old is not None and old.complete),
            replica=self._replica,
            epoch=self._turns.epoch,
            uid=session.info.cluster_uid,
            annotated=self._is_annotated(session.info, old),
            instance=session.info.instance,
            version=session.info.version,
            peer=session.info.peer,
            since=session.since if phase != Phase.CLOSED else self._now(),
            certificate_begins=shown.begins if shown else 0,
            certificate_ends=shown.ends if shown else 0,
        )
        self._turns.change(key, encode(record))
        if phase == Phase.WARM:
            self._turns.completed(session.source)


def _rejected(cluster: str) -> str:
    return f"cluster {cluster} was rejected; fingerpost cluster accept {cluster} takes that back"
