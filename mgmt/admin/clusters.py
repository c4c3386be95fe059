"""The clusters as this replica sees them: state, agent, objects, gateways, and what is held back for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fingerpost.relay.objects import CLUSTER_SCOPE
from mgmt.admin.history import active_json
from mgmt.admin.ports import Plane
from mgmt.admin.times import rfc3339
from mgmt.ingest.kinds import PIN, SESSION
from mgmt.ingest.values import ClusterState, State
from mgmt.pins.rollback import Rollback
from mgmt.publish.arrival import GatewayState
from mgmt.relay.ports import ScopeView
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER

_INTERNAL = frozenset({SESSION, PIN})


def clusters_json(plane: Plane) -> dict[str, Any]:
    """`connectedHere` tells whose word counts about a cluster's gateways when several replicas are asked."""
    states = plane.ingest.states
    clusters = [_cluster(plane, name, state) for name, state in sorted(states.clusters.items())]
    return {
        "replica": plane.replica,
        "version": plane.version,
        "configVersion": plane.publisher.config_version,
        "management": plane.management,
        "managementState": {"state": states.management.state.value, "since": rfc3339(states.management.since)},
        "clusters": clusters,
    }


def cluster_detail(plane: Plane, name: str) -> dict[str, Any] | None:
    """All that `cluster describe` shows. None: no such cluster."""
    state = plane.ingest.states.clusters.get(name)
    if state is None:
        return None
    digests, gateways = plane.ingest.inputs.digests(name), plane.publisher.arrivals.gateways
    refused = [
        {"scope": scope, "object": e.contribution, "code": e.code, "message": e.message}
        | {"since": rfc3339(e.since_unix_nanos)}
        for (cluster, scope), gateway in sorted(gateways.items())
        for e in gateway.exceptions
        if cluster == name
    ]
    return _cluster(plane, name, state) | {
        "conditions": [dict(condition) for condition in plane.registration(name).get("conditions", ())],
        "conflict": plane.conflicts().get(name, ""),
        "inputs": [
            {"type": type_, "objects": digest.count, "digest": digest.total.hex()}
            for type_, digest in sorted(digests.items())
            if type_ not in _INTERNAL
        ],
        "exceptions": refused,
    }


def _certificate(state: ClusterState) -> dict[str, str]:
    """Of the client, as last seen. Empty when none was."""
    begins, ends = state.certificate_begins, state.certificate_ends
    return {"from": rfc3339(begins), "until": rfc3339(ends)} if ends else {}


def _cluster(plane: Plane, name: str, state: ClusterState) -> dict[str, Any]:
    scopes = plane.publisher.scopes(name)
    held = {where: h for where, h in plane.publisher.held.items() if where.startswith(f"{name}/")}
    view = plane.translator.owners.cluster(plane.translator.peek(), name)
    return {
        "name": name,
        "registered": state.state is not State.PENDING,
        "state": state.state.value,
        "approval": state.approval.value if state.approval else "",
        "ready": state.ready,
        "since": rfc3339(state.since),
        "connected": bool(state.replica),
        "connectedTo": state.replica,
        "connectedHere": plane.ingest.owns(name),
        "agent": {"version": state.version, "instance": state.instance, "peer": state.peer},
        "objects": objects_of(plane, name),
        "behind": max((_behind(plane, name, scope, view) for scope, view in scopes.items()), default=0),
        "certificate": _certificate(state),
        "labels": dict(view.labels) if view else {},
        "held": [
            {
                "gateway": where,
                "contributions": sorted(h.contributions),
                "waitingFor": sorted(h.waiting),
                "since": rfc3339(h.since_unix_nanos),
            }
            for where, h in sorted(held.items())
        ],
        "rollbacks": [active_json(one) for one in rollbacks_of(plane, name)],
        "warming": sorted({c for scope in scopes.values() for c in scope.keep}),
        "gateways": {scope: gateway_json(plane, name, scope) for scope in sorted(scopes) if scope != CLUSTER_SCOPE},
    }


def rollbacks_of(plane: Plane, cluster: str) -> list[Rollback]:
    """Those by which the gateways of the cluster get older objects, newest first."""
    return [one for one in plane.rollbacks.active if one.concerns(cluster)] if plane.rollbacks else []


def objects_of(plane: Plane, cluster: str) -> int:
    inputs = plane.ingest.inputs
    return sum(len(inputs.of(cluster, t)) for t in inputs.types(cluster) if t not in _INTERNAL)


def gateway_json(plane: Plane, cluster: str, scope: str) -> dict[str, Any]:
    state = plane.publisher.arrivals.gateways.get((cluster, scope), GatewayState())
    out: dict[str, Any] = {
        "watermark": state.watermark,
        "version": plane.publisher.scopes(cluster)[scope].version,
        "proxies": state.proxies,
        "exceptions": [
            {
                "contribution": e.contribution,
                "code": e.code,
                "message": e.message,
                "since": rfc3339(e.since_unix_nanos),
                "proxies": list(e.proxies),
            }
            for e in state.exceptions
        ],
    }
    if state.lagging:
        out["lagging"] = {"proxies": list(state.lagging), "since": rfc3339(state.lagging_since_unix_nanos)}
    return out


def _behind(plane: Plane, cluster: str, name: str, scope: ScopeView) -> int:
    """Versions published for the gateway but not acknowledged."""
    if name == CLUSTER_SCOPE or scope.gone:
        return 0
    state = plane.publisher.arrivals.gateways.get((cluster, name), GatewayState())
    reached = -1 if state.watermark is None else state.watermark
    behind = 0
    for entry in reversed(scope.log):
        if entry.version <= reached:
            break
        behind += 1
    return behind or int(scope.version > reached)


def registered_names(plane: Plane) -> Mapping[str, str]:
    """KubernetesClusters by name, with the namespace that each is in."""
    found = plane.ingest.inputs.of(plane.management, KUBERNETES_CLUSTER)
    return {name: namespace for namespace, name in found}
