"""`wait`: whether a change is taken, or served everywhere; and if not, who is missing, since when and why."""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import msgspec

from fingerpost.api.admin.kubernetes_cluster import Approval, is_accepted, state_of
from fingerpost.api.common import ApprovalState
from fingerpost.objects import ObjectKey
from mgmt.admin.objects import Wanted, generation, matching, parsed
from mgmt.admin.ports import Plane
from mgmt.admin.reach import SERVED, Reach, arrival_json
from mgmt.admin.unread import is_older, unread
from mgmt.publish.arrival import ArrivalView
from mgmt.store.values import Stored
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER, ROUTE_TABLE, VIRTUAL_GATEWAY
from mgmt.translate.status import TRANSLATION_FAILED

LONGEST = 600.0
_GOOD = (ApprovalState.ACCEPTED, ApprovalState.WARNING)


class Condition(enum.StrEnum):
    APPLIED = "applied"
    ACCEPTED = "accepted"


class Outcome(enum.StrEnum):
    DONE = "done"
    WAITING = "waiting"
    IMPOSSIBLE = "impossible"  # no waiting will change it; somebody has to


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    reason: str = ""
    key: ObjectKey | None = None
    arrival: ArrivalView | None = None
    config_version: int = 0

    def as_json(self, what: Wanted, condition: Condition) -> dict[str, Any]:
        out: dict[str, Any] = {
            "outcome": self.outcome.value,
            "reason": self.reason,
            "for": condition.value,
            "kind": what.kind.kind,
            "cluster": self.key.cluster if self.key else what.cluster,
            "namespace": what.namespace,
            "name": what.name,
        }
        if self.arrival is not None:
            out["arrival"] = arrival_json(self.arrival, self.config_version)
        return out


async def wait(plane: Plane, what: Wanted, condition: Condition, timeout: float) -> Verdict:
    """Answers as soon as the condition holds or can never hold; after `timeout` with what is still missing."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(timeout, LONGEST)
    while True:
        async with asyncio.TaskGroup() as group:
            # They listen before the verdict is made, so that no change falls in between.
            changes = [
                group.create_task(plane.turns.wait(), name="admin.wait.turn"),
                group.create_task(plane.publisher.arrivals.changed.wait(), name="admin.wait.arrival"),
            ]
            await asyncio.sleep(0)
            found = verdict(plane, what, condition)
            left = end - loop.time()
            if found.outcome is Outcome.WAITING and left > 0:
                await asyncio.wait(changes, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for change in changes:
                change.cancel()
        if found.outcome is not Outcome.WAITING or left <= 0:
            return found


def verdict(plane: Plane, what: Wanted, condition: Condition) -> Verdict:
    found = list(matching(plane, what))
    if not found:
        return Verdict(
            outcome=Outcome.WAITING, reason=f"there is no {what}; apply it, or correct kind, namespace and name"
        )
    if len(found) > 1:
        clusters = ", ".join(key.cluster for key, _ in found)
        reason = f"{what} exists in the clusters {clusters}; add --cluster with one of them"
        return Verdict(outcome=Outcome.IMPOSSIBLE, reason=reason)
    key, stored = found[0]
    if (problem := unread(plane, key)) is not None and is_older(problem):
        return Verdict(outcome=Outcome.IMPOSSIBLE, reason=f"{key}: {problem.message}", key=key)
    taken = _taken(plane, key, stored)
    if taken is None and key.type == KUBERNETES_CLUSTER:
        taken = _registered(plane, key)
    return taken or _served(plane, key, condition)


def _taken(plane: Plane, key: ObjectKey, stored: Stored) -> Verdict | None:
    """None: this very generation is translated and valid."""
    status = plane.translator.status(key)
    wanted = generation(parsed(stored))
    if status is None:
        if key.type in SERVED:
            return None  # a Service has no status of ours
        return Verdict(outcome=Outcome.WAITING, reason=f"{key} has not been translated yet", key=key)
    if any(problem.code == TRANSLATION_FAILED for problem in status.problems):
        return Verdict(outcome=Outcome.IMPOSSIBLE, reason=f"{key} is FAILED: {status.message}", key=key)
    unread = status.observed_generation == 0 and status.approval not in _GOOD  # its generation could not be read either
    if wanted and status.observed_generation != wanted and not unread:
        reason = (
            f"generation {wanted} of {key} has not been translated yet (generation {status.observed_generation} has)"
        )
        return Verdict(outcome=Outcome.WAITING, reason=reason, key=key)
    if status.approval is ApprovalState.PENDING:
        return Verdict(outcome=Outcome.WAITING, reason=f"{key} is PENDING: {status.message}", key=key)
    if status.approval not in _GOOD:
        reason = f"{key} is {status.approval.value}: {status.message}"
        return Verdict(outcome=Outcome.IMPOSSIBLE, reason=reason, key=key)
    return None


def _registered(plane: Plane, key: ObjectKey) -> Verdict | None:
    """None: its agent is connected and has told all. Of agents the translator knows nothing."""
    status = plane.registration(key.name)
    if is_accepted(status):
        return None
    state, cluster = state_of(status), plane.ingest.states.clusters.get(key.name)
    rejected = cluster is not None and cluster.approval is Approval.REJECTED
    reason = f"{key} is {state.get('approval', 'PENDING')}: {state.get('message') or 'no agent has connected yet'}"
    return Verdict(outcome=Outcome.IMPOSSIBLE if rejected else Outcome.WAITING, reason=reason, key=key)


def _served(plane: Plane, key: ObjectKey, condition: Condition) -> Verdict:
    version = plane.changed_at(key)
    if condition is Condition.ACCEPTED:
        return Verdict(outcome=Outcome.DONE, key=key, config_version=version)
    if key.type not in SERVED:
        reason = f"gateways never serve the kind {key.kind}; wait --for accepted instead"
        return Verdict(outcome=Outcome.IMPOSSIBLE, reason=reason, key=key)
    view = Reach(plane).arrival(key)
    if not view.total:
        return Verdict(outcome=Outcome.IMPOSSIBLE, reason=_nowhere(plane, key), key=key, arrival=view)
    outcome = Outcome.DONE if view.complete else Outcome.WAITING
    reason = "" if view.complete else f"{view.arrived}/{view.total} gateways have {key}"
    return Verdict(outcome=outcome, reason=reason, key=key, arrival=view, config_version=version)


def _nowhere(plane: Plane, key: ObjectKey) -> str:
    status = plane.translator.status(key)
    said = f" ({status.message})" if status is not None and status.message else ""
    if key.type == ROUTE_TABLE:
        return f"no gateway serves {key}{said}; name in spec.virtualGateways one that selects a gateway"
    if key.type == VIRTUAL_GATEWAY:
        return f"{key} selects no gateway{said}; correct spec.workloads"
    return f"no gateway uses {key}{said}; a route has to name it as its destination first"
