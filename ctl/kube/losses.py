"""What an upgrade would take away: told by the manifests of the release that stands and of the one to come. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctl.kube.charted import environment, objects

_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Workspace", "KubernetesCluster")
_CLUSTER = ("FINGERPOST_MGMT_CLUSTER", "FINGERPOST_AGENT_CLUSTER")


def losses(there: str, wanted: str) -> list[str]:
    """In words, one for each object and one for the name of the cluster. Empty: what is there stays."""
    before, after = _objects(there), _objects(wanted)
    out = [f"{kind} {namespace}/{name} goes" for kind, namespace, name in before.keys() - after.keys()]
    out.sort()
    was, becomes = _clusters(before), _clusters(after)
    if was and becomes and was != becomes:
        out.append(f"common.cluster changes from {', '.join(sorted(was))} to {', '.join(sorted(becomes))}")
    return out


def deployments(manifest: str) -> set[str]:
    """Their names."""
    return {name for kind, _, name in _objects(manifest) if kind == "Deployment"}


def _objects(manifest: str) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """(kind, namespace, name) of those that are missed when they go."""
    out: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for obj in objects(manifest):
        if obj.get("kind") in _KINDS:
            metadata = obj["metadata"]
            out[obj["kind"], metadata.get("namespace", ""), metadata["name"]] = obj
    return out


def _clusters(there: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> set[str]:
    """As which the components know theirs."""
    found = (obj for (kind, _, _), obj in there.items() if kind == "Deployment")
    return {str(e.get("value")) for obj in found for e in environment(obj) if e["name"] in _CLUSTER}
