"""The state of each cluster, computed from registrations, session records and liveness. Pure.

What it needs comes in.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping

import msgspec

from fingerpost.api.admin.kubernetes_cluster import (
    CLUSTER_UID,
    REQUESTED_BY,
    Approval,
    KubernetesCluster,
    approval_of,
)
from fingerpost.objects import ObjectKey, canonical, content_hash
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import KUBERNETES_CLUSTER, SESSION, record_key
from mgmt.ingest.values import ClusterState, ClusterStates, State
from mgmt.store.values import SERVER, Stored, agent_source


class Phase(enum.StrEnum):
    SYNCING = "Syncing"
    WARM = "Warm"
    CLOSED = "Closed"


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept in Redis as an input, so that every replica sees who feeds a cluster and how complete it is.

    `epoch` is the one of Redis in which the owner has written all it holds: without it an absent input means nothing.
    """

    phase: Phase
    complete: bool = False  # every announced type was complete once
    replica: str = ""
    epoch: str = ""
    uid: str = ""
    annotated: bool = False  # the KubernetesCluster named it: there, a person can take it away
    instance: str = ""
    version: str = ""
    peer: str = ""
    since: int = 0
    certificate_begins: int = 0
    certificate_ends: int = 0


_record = msgspec.json.Decoder(SessionRecord)
_cluster = msgspec.json.Decoder(KubernetesCluster)


def encode(record: SessionRecord) -> Stored:
    body = canonical(msgspec.to_builtins(record))
    return Stored(content_hash(body), body)


def record_of(inputs: Inputs, key: ObjectKey) -> SessionRecord | None:
    return decode(inputs.get(key))


def decode(stored: Stored | None) -> SessionRecord | None:
    """None also for bytes of an unknown form: as if nobody had ever fed the cluster."""
    try:
        return _record.decode(stored.body) if stored is not None else None
    except msgspec.MsgspecError:
        return None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a KubernetesCluster says that matters here."""

    skip_warming: bool = False
    uid: str = ""
    approval: Approval | None = None
    requested_by: str = ""

    @property
    def accepted(self) -> bool:
        return self.approval in (None, Approval.ACCEPTED)


def registrations(inputs: Inputs, management: str, namespace: str) -> dict[str, Registration]:
    """A KubernetesCluster counts in the admin namespace only. One that cannot be read is registered all the same."""
    found: dict[str, Registration] = {}
    for (where, name), stored in inputs.of(management, KUBERNETES_CLUSTER).items():
        if where == namespace:
            try:
                cluster = _cluster.decode(stored.body)
            except msgspec.MsgspecError:
                found[name] = Registration()
            else:
                said = cluster.metadata.annotations
                found[name] = Registration(
                    skip_warming=cluster.spec.skip_warming,
                    uid=said.get(CLUSTER_UID, ""),
                    approval=approval_of(said),
                    requested_by=said.get(REQUESTED_BY, ""),
                )
    return found


def compute(
    inputs: Inputs,
    management: str,
    named: Mapping[str, Registration],
    pending: Mapping[str, int],
    alive: Callable[[str], bool],
    ever_connected: Callable[[str], bool],
    knows: Callable[[str], bool],
    doubted: Collection[str],
) -> ClusterStates:
    """`named`: all that have a KubernetesCluster. `pending`: names with a connected agent that may not take part (yet),
    and since when. `alive`: whether a replica still runs. `knows`: whether what is remembered of a cluster is the
    newest there is; else another replica may have told agents more, and what is missing here is not gone. `doubted`:
    what Redis holds of these is older than what agents were told.
    """
    clusters: dict[str, ClusterState] = {}
    for name in sorted(named):
        if not named[name].accepted:
            approval = named[name].approval
            clusters[name] = ClusterState(
                state=State.PENDING, ready=True, since=pending.get(name, 0), approval=approval
            )
            continue
        record = record_of(inputs, record_key(agent_source(name), management))
        stored = any(t != SESSION for t in inputs.types(name)) or (record is not None and record.complete)
        kept, ever = stored and name not in doubted, ever_connected(name) or name in doubted
        found = _state(record, alive, stored=kept, ever=ever, skip=named[name].skip_warming)
        ready = found.ready and (named[name].skip_warming or knows(name))
        clusters[name] = msgspec.structs.replace(found, approval=named[name].approval, ready=ready)
    for name, since in sorted(pending.items()):
        if name not in clusters:
            clusters[name] = ClusterState(state=State.PENDING, ready=True, since=since)
    own = record_of(inputs, record_key(SERVER, management))
    return ClusterStates(
        clusters=clusters, management=_state(own, alive, stored=own is not None, ever=False, skip=False)
    )


def _state(
    record: SessionRecord | None, alive: Callable[[str], bool], *, stored: bool, ever: bool, skip: bool
) -> ClusterState:
    connected = record is not None and record.phase != Phase.CLOSED and alive(record.replica)
    if record is not None and connected:
        state = State.WARM if record.phase == Phase.WARM else State.SYNCING
    elif record is not None and record.complete and stored:
        state = State.CACHED
    else:
        # a first listing that broke off is not a snapshot
        state = State.COLD if ever else State.REGISTERED
    ready = skip or state in _READY
    if record is None:
        return ClusterState(state=state, ready=ready, skip_warming=skip)
    return ClusterState(
        state=state,
        ready=ready,
        since=record.since,
        replica=record.replica if connected else "",
        instance=record.instance,
        version=record.version,
        peer=record.peer if connected else "",
        certificate_begins=record.certificate_begins,
        certificate_ends=record.certificate_ends,
        skip_warming=skip,
    )


_READY: Collection[State] = (State.REGISTERED, State.CACHED, State.WARM)
