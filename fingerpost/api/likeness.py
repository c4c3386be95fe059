"""What a misspelled apiVersion or kind was probably meant to be.

Folders hold objects of all sorts, so only what is near to a kind that is read here is doubted; a Deployment, an Ingress
or a Certificate is somebody else's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

from fingerpost.api.kinds import BY_TYPE, KINDS, Kind
from fingerpost.api.schema import Mistake
from fingerpost.objects import type_of

_CORE = "core"
_USERS = {kind.group for kind in KINDS if kind.written_by_users}
_INTERNAL = {kind.group for kind in KINDS} - _USERS
_NAMES = {"gloo", "solo"}  # in a group with one of these, a kind of ours is meant to be ours
_GROUP_LIKE = 0.85  # networging.gloo.solo 0.88; networking.istio.io and networking.k8s.io 0.76
_KIND_LIKE = 0.65  # within a group of ours
# All that Kubernetes has without a group, so that "Servcie" is known to be a mistake.
_CORE_KINDS = [
    "Binding",
    "ComponentStatus",
    "ConfigMap",
    "Endpoints",
    "Event",
    "LimitRange",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ReplicationController",
    "ResourceQuota",
    "Secret",
    "Service",
    "ServiceAccount",
]


def nearest(word: str, words: Iterable[str], likeness: float = 0.6) -> str:
    """Whatever the case; empty when none is near."""
    known = {one.lower(): one for one in sorted(words)}
    found = get_close_matches(word.lower(), known, 1, likeness)
    return known[found[0]] if found else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The end of a message; empty when nothing is near."""
    found = nearest(word, words)
    return f"; did you mean {found}?" if found else ""


@lru_cache(1024)
def doubt(api_version: str, kind: str) -> Mistake | None:
    """None: a kind that is read, or none of our business."""
    type_ = type_of(api_version, kind)
    group = type_.rpartition("/")[0]
    known = BY_TYPE.get(type_)
    if known is not None:
        return _version(known, api_version)
    if group in _USERS:
        return _kind_of_ours(group, kind)
    if group == _CORE:
        return _without_group(api_version, kind)
    return None if group in _INTERNAL else _group(group, api_version, kind)


def _version(known: Kind, api_version: str) -> Mistake | None:
    if api_version == known.api_version or not known.written_by_users:
        return None
    return Mistake(
        "apiVersion", "WrongVersion", f'{known.kind} is served as "{known.api_version}", not as "{api_version}"'
    )


def _kind_of_ours(group: str, kind: str) -> Mistake:
    elsewhere = _named(kind)
    near = nearest(kind, (k.kind for k in KINDS if k.group == group), _KIND_LIKE)
    if elsewhere is not None and elsewhere.group != group:
        remedy = f'{elsewhere.kind} belongs to "{elsewhere.api_version}"'
    else:
        remedy = f"did you mean {near}?" if near else "correct it, or remove the object"
    return Mistake("kind", "UnknownKind", f'"{kind}" is no kind of {group}; {remedy}')


def _without_group(api_version: str, kind: str) -> Mistake | None:
    if kind in _CORE_KINDS:
        return None
    if (ours := _named(kind)) is not None and ours.written_by_users:
        return _meant(api_version, ours)
    near = nearest(kind, _CORE_KINDS, _GROUP_LIKE)
    return (
        Mistake("kind", "UnknownKind", f'"{kind}" is no kind of "{api_version}"; did you mean {near}?')
        if near
        else None
    )


def _group(group: str, api_version: str, kind: str) -> Mistake | None:
    near = nearest(group, (*_USERS, "discovery.k8s.io"), _GROUP_LIKE)
    if near:
        kinds = {k.kind: k for k in KINDS if k.group == near}
        meant = kinds.get(nearest(kind, kinds, _KIND_LIKE)) or next(iter(kinds.values()))
        return _meant(api_version, meant, kind)
    ours = _named(kind)
    if ours is not None and ours.written_by_users and _NAMES & set(group.split(".")):
        return _meant(api_version, ours)
    return None


def _meant(api_version: str, meant: Kind, kind: str = "") -> Mistake:
    also = f" and kind {meant.kind}" if kind not in ("", meant.kind) else ""
    text = f'the group of "{api_version}" is not known; did you mean "{meant.api_version}"{also}?'
    return Mistake("apiVersion", "UnknownKind", text)


def _named(kind: str) -> Kind | None:
    return next((k for k in KINDS if k.kind.lower() == kind.lower()), None)
