"""Files as a change of a fleet: what each object would be after it, and which objects would go.

A file says nothing of uid, creation time and generation, so these stay those of the object that is there; of
annotations tools add their own, so they are joined. Everything else is as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agent.discovery.facts import is_hidden
from ctl.exits import usage
from ctl.known import check_one_of
from ctl.offline.given import broken, check_paths, check_readable, named, stdin
from ctl.output import remark
from fingerpost.api.core.service import Service
from fingerpost.api.kinds import AmbiguousKind, UnknownKind, find
from fingerpost.cluster.directory.manifest import NAMESPACE_TYPE, declared_by_use
from fingerpost.objects import ObjectKey, canonical
from mgmt.ingest.kinds import read_by_server
from mgmt.snapshot.outcome import Outcome
from mgmt.translate.routing.destination_views import SERVICE
from mgmt.validate.manifests import Written, read_manifests
from mgmt.validate.sources import read_sources

_GIVEN = ("uid", "creationTimestamp", "generation")
Changes = dict[ObjectKey, bytes | None]


def edits(
    outcome: Outcome, paths: Sequence[str], cluster: str = "", delete: Sequence[str] = (), prune: str = ""
) -> Changes:
    """Files are read, `-` from stdin; what is left out is told. `cluster`: where objects of files outside of a folder
    per cluster belong; empty: the management cluster. `prune`: "", "namespace" or "cluster". Raises Failed.
    """
    paths = named(paths)
    check_paths(paths)
    home = outcome.place.cluster
    if cluster:
        translator = outcome.translator
        check_one_of(cluster, {home, *translator.owners.all_clusters(translator.peek())})
    sources = read_sources(paths, home, stdin(paths))
    if cluster:
        sources = [s._replace(cluster=cluster) for s in sources]
    manifests = read_manifests(sources)
    check_readable(manifests.findings)
    if manifests.findings:
        raise broken(manifests.findings)
    if paths and not manifests.objects:
        remark(f"warning: no object in {', '.join(paths)}")
    changes: Changes = {}
    left_out: dict[str, int] = {}
    for key, written in manifests.objects.items():
        if read_by_server(key.type):
            changes[key] = merged(written.body, outcome.objects.get(key))
        elif key.type == SERVICE:
            changes |= _service(key, merged(written.body, outcome.objects.get(key)))
        else:
            left_out[key.kind] = left_out.get(key.kind, 0) + 1
    if left_out:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
        remark(f"left out, since only agents read it: {kinds}")
    if prune:
        changes |= _pruned(outcome, manifests.objects.keys(), prune)
    changes |= dict.fromkeys(_named(outcome, delete, cluster or home, manifests.objects))
    for where, namespace in {(k.cluster, k.namespace) for k, body in changes.items() if body and k.namespace}:
        own = ObjectKey(NAMESPACE_TYPE, where, "", namespace)
        if own not in outcome.objects and own not in changes:
            changes[own] = declared_by_use(namespace, where).content
    return changes


def merged(body: bytes, live: bytes | None) -> bytes:
    """The object as it would be in the cluster. An edit of anything but metadata is a new generation."""
    new: dict[str, Any] = msgspec.json.decode(body)
    if live is None:
        new["metadata"]["generation"] = 1
        return canonical(new)
    old: dict[str, Any] = msgspec.json.decode(live)
    there, given = old.get("metadata", {}), new["metadata"]
    given = {k: v for k, v in there.items() if k not in ("labels", "annotations")} | given
    given |= {k: there[k] for k in _GIVEN if k in there}
    if annotations := {**(there.get("annotations") or {}), **(given.get("annotations") or {})}:
        given["annotations"] = annotations
    elsewhere = {k: v for k, v in old.items() if k == "status" and k not in new}
    new = {**new, **elsewhere, "metadata": given}
    if "generation" in there and _content(new) != _content(old):
        given["generation"] = there["generation"] + 1
    return canonical(new)


def _content(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}


def _service(key: ObjectKey, body: bytes) -> Changes:
    """As its agent would push it."""
    try:
        hidden = is_hidden(msgspec.json.decode(body, type=Service))
    except msgspec.ValidationError as e:
        raise usage(f"{key} is not used: {e}", "correct it") from e
    return {key: None if hidden else body}


def _pruned(outcome: Outcome, written: Iterable[ObjectKey], prune: str) -> Changes:
    """Users' objects that are there and not in the files, in the namespaces, or clusters, that the files tell of."""
    if prune not in ("namespace", "cluster"):
        raise usage(f'--prune is "{prune}"', "write --prune namespace or --prune cluster")
    keys = set(written)
    clusters = {key.cluster for key in keys}
    namespaces = {(key.cluster, key.namespace) for key in keys if key.namespace}
    gone: Changes = {}
    for key in outcome.objects.keys() - keys:
        if not read_by_server(key.type) or key.type == NAMESPACE_TYPE:
            continue
        if (key.cluster in clusters) if prune == "cluster" else ((key.cluster, key.namespace) in namespaces):
            gone[key] = None
    return gone


def _named(
    outcome: Outcome, names: Iterable[str], cluster: str, written: Mapping[ObjectKey, Written]
) -> Iterable[ObjectKey]:
    """Those that would be gone. Raises Failed."""
    for text in names:
        kind, _, name = text.partition("/")
        try:
            type_ = find(kind).type
        except (UnknownKind, AmbiguousKind) as e:
            raise usage(f"--delete is {text}: {e}", "write KIND/NAMESPACE/NAME") from e
        namespace, _, own = name.rpartition("/")
        key = ObjectKey(type_, cluster, namespace, own)
        if key not in outcome.objects:
            raise usage(f"--delete is {text}: there is no {key}", f"fingerpost get {kind} lists those that are there")
        if key in written:
            remedy = "take it out of the files, or leave --delete away"
            raise usage(f"--delete is {text}, and {key} is also in {written[key].file}, as one that is there", remedy)
        yield key
