"""Labels and annotations of generated objects (relay.md §2.3, routing.md §17.1): part of the users' interface."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from fingerpost.api.kinds import BY_TYPE
from fingerpost.objects import ObjectKey, canonical
from mgmt.translate.ir import Value

PARENTS: Final = "gloo.solo.io/parents"
_LONGEST = 63
_KEPT = 54
_CONTEXT = "context.mesh.gloo.solo.io"
_PARENT = "gloo.solo.io/parent"


class Site(Value, frozen=True):
    """Where an object goes, and the workspace for which it is made. `owner` is the admin namespace of the management
    plane, `agent` the namespace of the agent that writes the object.
    """

    cluster: str
    namespace: str
    workspace: str
    owner: str = "gloo-mesh"
    agent: str = "gloo-mesh"


def label_value(text: str) -> str:
    """A longer value is cut to 63 characters, which end in a hash of the whole."""
    return text if len(text) <= _LONGEST else f"{text[:_KEPT]}-{sha256(text.encode()).hexdigest()[:8]}"


def labels_of(site: Site, parent: ObjectKey) -> tuple[dict[str, str], dict[str, str]]:
    """The labels, and the full values of those that were cut, which are annotations of the same key."""
    described = _described(parent)
    full = {
        "agent.gloo.solo.io": site.agent,
        "cluster.multicluster.solo.io": "",
        f"{_CONTEXT}/cluster": site.cluster,
        f"{_CONTEXT}/namespace": site.namespace,
        f"{_CONTEXT}/workspace": site.workspace,
        "owner.gloo.solo.io/name": site.owner,
        "reconciler.mesh.gloo.solo.io/name": "translator",
        "relay.solo.io/cluster": site.cluster,
        **{f"{_PARENT}_{name}": value for name, value in described.items()},
    }
    return {key: label_value(v) for key, v in full.items()}, {key: v for key, v in full.items() if len(v) > _LONGEST}


def annotations_of(parents: Sequence[ObjectKey]) -> dict[str, str]:
    """Only an object of several parents lists them; its labels name the first."""
    if len(parents) < 2:
        return {}
    return {PARENTS: canonical([_described(parent) for parent in parents]).decode()}


def _described(parent: ObjectKey) -> dict[str, str]:
    group = parent.type.rpartition("/")[0]
    known = BY_TYPE.get(parent.type)
    return {
        "group": "" if group == "core" else group,
        "version": known.version if known else "v1",
        "kind": parent.kind,
        "name": parent.name,
        "namespace": parent.namespace,
        "cluster": parent.cluster,
    }
