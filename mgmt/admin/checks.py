"""`check`: the health of the plane in sections, as this replica sees it. It finds and says, it changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from fingerpost.api.admin.kubernetes_cluster import Approval
from fingerpost.api.common import ApprovalState
from fingerpost.api.kinds import BY_TYPE
from fingerpost.objects import ObjectKey
from mgmt.admin import findings as f
from mgmt.admin.findings import finding
from mgmt.admin.history import revived
from mgmt.admin.ports import Plane, StoreInfo, connected_here
from mgmt.admin.sections import Found, section, table
from mgmt.admin.source_findings import source_finding
from mgmt.admin.times import ago
from mgmt.admin.trust import certificates, security, versions
from mgmt.ingest.values import ClusterState, State
from mgmt.pins.notes import only_held_back
from mgmt.publish.arrival import GatewayState
from mgmt.translate.status import Status

MOST_BAD = 10
_SAFE_EVICTION = ("", "noeviction")
_BAD = (ApprovalState.FAILED, ApprovalState.INVALID, ApprovalState.WARNING, ApprovalState.PENDING)
_CODE_OF = {ApprovalState.WARNING: "CHK072", ApprovalState.PENDING: "CHK073"}


async def check(plane: Plane) -> dict[str, Any]:
    store = await plane.store()
    source = f"management cluster {plane.management}: " + (
        f"folder {plane.folder}" if plane.folder else "no folder here"
    )
    sections = [
        section(f.LICENSE, info=["no licence needed"], tables=[], found=iter(())),
        section(f.CRDS, info=[f"{source}; the models of this server are checked, no CRDs"], tables=[], found=iter(())),
        _deployment(plane),
        _connectivity(plane),
        section(f.WARM_UP, info=[], tables=[], found=_warm_up(plane)),
        certificates(plane),
        section(f.REDIS, info=_redis_lines(plane, store), tables=[], found=_redis(plane, store)),
        _resources(plane),
        versions(plane),
        security(plane),
        section(f.GUARDS, info=[], tables=[], found=_guards(plane)),
        section(f.GATEWAYS, info=[], tables=[], found=_gateways(plane)),
        section(f.SOURCES, info=[], tables=[], found=_sources(plane)),
    ]
    return {
        "replica": plane.replica,
        "version": plane.version,
        "connected": connected_here(plane),
        "sections": sections,
    }


def _deployment(plane: Plane) -> dict[str, Any]:
    serving, namespace = plane.serving(), plane.admin_namespace
    rows = [[namespace, f"mgmt-server {plane.replica}", "1/1" if serving else "0/1", _health(serving)]]
    for name, state in sorted(plane.ingest.states.clusters.items()):
        if state.state is State.PENDING:
            continue  # not a part of the installation; the next section tells of it
        up = bool(state.replica)
        syncing = up and state.state is State.SYNCING
        rows.append([namespace, f"agent {name}", f"{int(up)}/1", "Progressing" if syncing else _health(up)])

    def found() -> Found:
        if not serving:
            yield finding("CHK031", plane.replica, f"management server {plane.replica} is not ready yet")

    return section(f.DEPLOYMENT, info=[], tables=[table(("Namespace", "Name", "Ready", "Status"), rows)], found=found())


def _health(healthy: bool) -> str:
    return "Healthy" if healthy else "Unhealthy"


def _connectivity(plane: Plane) -> dict[str, Any]:
    states = plane.ingest.states.clusters
    rows, carried = [], Counter[str]()
    for name, state in sorted(states.items()):
        at = state.replica or (plane.replica if state.state is State.PENDING else "")
        rows.append([name, str(state.state is not State.PENDING).lower(), at or "Not connected"])
        if at:
            carried[at] += 1
    tables = [table(("Cluster", "Registered", "Connected Pod"), rows)]
    if len(carried) > 1:
        tables.append(table(("Connected Pod", "Clusters"), [[at, str(n)] for at, n in sorted(carried.items())]))

    def found() -> Found:
        for name, state in sorted(states.items()):
            yield from _cluster(plane, name, state)
        for name, said in sorted(plane.conflicts().items()):
            yield finding("CHK046", name, f"{name}: {said}")

    info = [] if states else ["no cluster is registered: create a KubernetesCluster for each"]
    return section(f.CONNECTIVITY, info=info, tables=tables, found=found())


def _cluster(plane: Plane, name: str, state: ClusterState) -> Found:
    now = plane.now()
    if state.state is State.PENDING:
        if state.approval is None:
            yield finding("CHK042", name, f"{name}: agent connected, no KubernetesCluster of that name")
        elif state.approval is Approval.PENDING:
            connected = (
                f"agent connected for {ago(state.since, now)}" if state.since else "its agent is not connected here now"
            )
            yield finding("CHK049", name, f"{name}: asks to be accepted, {connected}")
    elif not state.replica and not plane.ingest.knows(name):
        yield finding("CHK149", name, f"{name}: not connected to {plane.replica}, and redis cannot be used")
    elif not state.replica:
        since = f"no agent for {ago(state.since, now)}" if state.since else "no agent has connected yet"
        last = f" (last seen: agent {state.version}, {state.state.value})" if state.version else ""
        yield finding("CHK041", name, f"{name}: registered, {since}{last}")
    elif state.state is State.SYNCING:
        yield finding("CHK043", name, f"{name}: connected, first listing not complete for {ago(state.since, now)}")


def _warm_up(plane: Plane) -> Found:
    for name, state in sorted(plane.ingest.states.clusters.items()):
        if not state.ready and state.state is not State.PENDING:
            why = state.state.value if state.awaits_agent else "redis, which knows what others were told of it, is away"
            yield finding("CHK051", name, f"{name}: {why}; what depends on it keeps its last version")


def _redis_lines(plane: Plane, store: StoreInfo) -> list[str]:
    parts = [f"{'embedded ' if store.embedded else ''}at {store.where}", f"seq {plane.ingest.seq}"]
    parts += [f"persistence {store.persistence}"] if store.persistence else []
    parts += [f"eviction {store.eviction}"] if store.eviction else []
    return [", ".join(parts)]


def _redis(plane: Plane, store: StoreInfo) -> Found:
    where = store.where
    if not plane.ingest.synced or not store.reachable:
        why = plane.ingest.trouble or f"redis at {where} does not answer"
        since = "" if plane.ingest.reached else ", since its start"
        message = f"{why}; {plane.replica} goes on from memory{since}"
        yield finding("CHK061", where, message)
        return
    if store.eviction not in _SAFE_EVICTION:
        yield finding("CHK062", where, f"redis at {where} has maxmemory-policy {store.eviction}, it must be noeviction")
    if plane.rollbacks is not None and plane.rollbacks.trouble:
        yield finding("CHK088", where, f"snapshots are not recorded: {plane.rollbacks.trouble}")
    if store.persistence == "none":
        yield finding("CHK063", where, f"Redis at {where} has appendonly no: what it knows is lost when it restarts")


def _resources(plane: Plane) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    bad: dict[ApprovalState, list[tuple[ObjectKey, Status]]] = {state: [] for state in _BAD}
    for key, status in plane.translator.all_statuses():
        counts[status.approval.value] += 1
        if any(p.code == "NotImplemented" and not p.path for p in status.problems):
            missing[key.type] += 1
        elif status.approval in bad:
            bad[status.approval].append((key, status))
    rows = [[state.value, str(counts[state.value])] for state in ApprovalState if counts[state.value]]

    def found() -> Found:
        # what only waits for a release is in order: it comes last among its like
        ranked = {state: sorted(bad[state], key=lambda i: (only_held_back(i[1]), i[0])) for state in _BAD}
        worst = [item for state in _BAD for item in ranked[state]]
        for key, status in worst[:MOST_BAD]:
            code = _CODE_OF.get(status.approval, "CHK071")
            yield finding(
                code, str(key), f"{key} is {status.approval.value}: {status.message}", _hint(plane, key, status)
            )
        if len(worst) > MOST_BAD:
            code = "CHK071" if any(_CODE_OF.get(s.approval) is None for _, s in worst[MOST_BAD:]) else "CHK072"
            yield finding(code, "", f"{len(worst) - MOST_BAD} more objects; fingerpost get KIND lists them")
        for type_, count in sorted(missing.items()):
            kind = type_.rpartition("/")[2]
            yield finding("CHK074", kind, f"{kind} is not implemented in this version: {count} have no effect")
        for step, about, wrong in plane.translator.failures():
            message = f"{about}: {step} failed with {type(wrong).__name__}: {wrong}"
            yield finding("CHK075", str(about), message)

    return section(f.RESOURCES, info=[], tables=[table(("Approval", "Objects"), rows)], found=found())


def _hint(plane: Plane, key: ObjectKey, status: Status) -> str:
    """Empty: that of the code."""
    if only_held_back(status):
        return _release_hint(plane, key)
    if key.type not in BY_TYPE:  # no command can be asked about it
        return "correct apiVersion and kind where the object is written, or remove it"
    return ""


def _release_hint(plane: Plane, key: ObjectKey) -> str:
    over = plane.outputs.over(key) if plane.outputs else ()
    ends = " and ".join(f"fingerpost rollback release {one.name}" for one in over) or "fingerpost rollback release"
    return f"nothing is wrong with the object; it goes out with: {ends}"


def _guards(plane: Plane) -> Found:
    for one in plane.rollbacks.active if plane.rollbacks else ():
        by = f" by {one.by}" if one.by else ""
        since = ago(one.at_unix_nanos, plane.now())
        message = f"{one.scope} is rolled back to snapshot {one.snapshot} for {since}{by}"
        if kept := revived(plane, one):
            others = f" and {len(kept) - 1} more" if kept[1:] else ""
            message += f"; in force although deleted since: {kept[0]}{others}"
        yield finding("CHK087", one.name, message)
    for where, held in sorted(plane.publisher.held.items()):
        cluster = where.partition("/")[0]
        waiting = f", waiting for a new listing of {', '.join(sorted(held.waiting))}" if held.waiting else ""
        count = len(held.contributions)
        message = (
            f"gateway {where}: the loss of {count} contributions is held for {ago(held.since_unix_nanos, plane.now())}"
        )
        hint = f"if the loss is meant: fingerpost release {cluster}"
        yield finding("CHK081", where, message + waiting, hint)
    for (cluster, name), state in sorted(plane.publisher.arrivals.gateways.items()):
        held_there = [e for e in state.exceptions if e.code == "MassDeletionHeld"]
        if held_there:
            message = f"gateway {cluster}/{name}: its agent holds the loss of {len(held_there)} contributions"
            yield finding("CHK082", f"{cluster}/{name}", message, f"if the loss is meant: fingerpost release {cluster}")


def _gateways(plane: Plane) -> Found:
    states = plane.ingest.states.clusters
    for (cluster, name), state in sorted(plane.publisher.arrivals.gateways.items()):
        if cluster in states and states[cluster].replica and not plane.ingest.owns(cluster):
            continue  # what its agent once said here is old: it is connected to another replica
        yield from _gateway(f"{cluster}/{name}", state, plane.now)


def _gateway(where: str, state: GatewayState, now: Callable[[], int]) -> Found:
    if state.watermark is not None and state.proxies == 0:
        yield finding("CHK086", where, f"gateway {where}: no proxy is connected")
    for exception in state.exceptions:
        if exception.code in ("MassDeletionHeld", "Kept"):
            continue
        code = "CHK083" if exception.code == "Refused" else "CHK084"
        about = exception.contribution or where
        since = f" for {ago(exception.since_unix_nanos, now())}" if exception.since_unix_nanos else ""
        message = f"gateway {where}: {about} {exception.code}{since}: {exception.message}"
        yield finding(code, about, message) | {"gateway": where}
    if state.lagging:
        late = ago(state.lagging_since_unix_nanos, now())
        proxies = ", ".join(state.lagging)
        yield finding("CHK085", where, f"gateway {where}: proxy {proxies} has not acknowledged for {late}")


def _sources(plane: Plane) -> Found:
    for found in plane.ingest.findings:
        yield source_finding(plane.management, found.source, found.code, found.message)
