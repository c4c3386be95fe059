"""Users' objects of all clusters in Kubernetes' shape, each with its cluster, its status and how far it has arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from fingerpost.api.kinds import KINDS, AmbiguousKind, Kind, UnknownKind, find
from fingerpost.api.likeness import did_you_mean
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.admin.answers import Refused
from mgmt.admin.ports import Plane
from mgmt.admin.reach import SERVED, Reach, arrival_json
from mgmt.admin.unread import noted, unread
from mgmt.ingest.kinds import REFUSED
from mgmt.store.values import Stored
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER

_decoder = msgspec.json.Decoder(dict[str, Any])


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects; an empty text means any."""

    kind: Kind
    cluster: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.kind} {where}".strip() + (f" in cluster {self.cluster}" if self.cluster else "")


def wanted(query: Mapping[str, str]) -> Wanted:
    """Raises Refused when the kind is missing, unknown, ambiguous or secret."""
    word = query.get("kind", "")
    if not word:
        raise Refused(400, "KindMissing", "the parameter kind is missing; write for instance kind=routetable")
    try:
        kind = find(word)
    except UnknownKind as e:
        near = did_you_mean(word, (one for k in KINDS for one in (k.kind.lower(), k.plural)))
        raise Refused(400, "UnknownKind", f"{e}{near}; kinds are written like routetable, routetables or rt") from e
    except AmbiguousKind as e:
        raise Refused(400, "AmbiguousKind", str(e)) from e
    if kind.type in REFUSED:
        raise Refused(400, "NotKept", f"the kind {kind.kind} never leaves its cluster, so the server has none to show")
    return Wanted(
        kind=kind,
        cluster=query.get("cluster", ""),
        namespace=query.get("namespace", "") if kind.namespaced else "",
        name=query.get("name", ""),
    )


def matching(plane: Plane, what: Wanted) -> Iterator[tuple[ObjectKey, Stored]]:
    """Sorted by cluster, namespace and name."""
    type_ = what.kind.type
    if type_ in REFUSED:
        return
    clusters = plane.ingest.inputs.clusters_of(type_)
    for cluster in sorted(clusters):
        if what.cluster not in ("", cluster):
            continue
        if what.name and (what.namespace or not what.kind.namespaced):
            key = ObjectKey(type_, cluster, what.namespace, what.name)
            if (stored := plane.ingest.inputs.get(key)) is not None:
                yield key, stored
            continue
        for (namespace, name), stored in sorted(clusters[cluster].items()):
            if what.namespace in ("", namespace) and what.name in ("", name):
                yield ObjectKey(type_, cluster, namespace, name), stored


def parsed(stored: Stored) -> dict[str, Any]:
    """What an agent pushed is JSON, but nobody has promised what is in it."""
    try:
        return _decoder.decode(stored.body)
    except msgspec.MsgspecError:
        return {}


def generation(obj: Mapping[str, Any]) -> int:
    metadata = obj.get("metadata")
    found = metadata.get("generation", 0) if isinstance(metadata, dict) else 0
    return found if isinstance(found, int) else 0


def shown(plane: Plane, reach: Reach, key: ObjectKey, stored: Stored, *, detail: bool = False) -> dict[str, Any]:
    """The object as `get` shows it. `detail` adds `problems`, which `describe` lists."""
    obj = parsed(stored)
    status = plane.translator.status(key)
    kept = obj.get("status")
    shown_status: dict[str, Any] = dict(kept) if isinstance(kept, dict) else {}
    if status is not None:
        shown_status |= status.as_json()
        shown_status["workspace"] = status.workspace
    if key.type == KUBERNETES_CLUSTER:
        shown_status |= plane.registration(key.name)  # the translator knows nothing of its agent
    warning = unread(plane, key)
    if warning is not None:
        shown_status = noted(shown_status, warning)
    if key.type in SERVED:
        shown_status["arrival"] = arrival_json(reach.arrival(key), plane.changed_at(key))
    if detail and (status is not None or warning is not None):
        problems = status.problems if status is not None else ()
        shown_status["problems"] = problems_json((*problems, warning) if warning else problems)
    return {**obj, "cluster": key.cluster, "status": shown_status}


def problems_json(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"severity": p.severity.name, "code": p.code, "path": p.path, "message": p.message} for p in problems]
