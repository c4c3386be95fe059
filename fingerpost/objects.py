"""Identity and bytes of an object: what travels, what is hashed, what is stored.

An object is its canonical JSON (UTF-8, keys sorted, no spaces) after trimming; two objects with equal hash are equal
(relay.md §3.3 rule 2).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple, Self

import msgspec

_encoder = msgspec.json.Encoder(order="deterministic")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_STATUS_KEPT = {
    "core/Service": ("loadBalancer",),
    "core/Node": ("addresses",),
    "core/Pod": ("podIP", "podIPs", "conditions", "phase"),
}
_GROUP_OF_CORE = "core"
EXPORT_TO = "networking.istio.io/exportTo"
# Of the kinds that discovery reads and an API server has thousands of: what destinations.md §2.1 names, and no more.
_METADATA_READ = frozenset({"name", "namespace", "labels", "annotations", "uid", "generation", "creationTimestamp"})
_SERVICE = ("type", "selector", "ports", "clusterIP", "clusterIPs", "externalIPs", "externalName")
_SPEC_READ = {
    "core/Service": frozenset(_SERVICE),
    "core/Pod": frozenset({"serviceAccountName", "nodeName", "containers", "initContainers"}),
    "core/Node": frozenset[str](),
    "discovery.k8s.io/EndpointSlice": frozenset[str](),
}
_CONTAINER_READ = frozenset({"name", "args", "ports"})


class ObjectKey(NamedTuple):
    """`type` is `<group>/<Kind>` without a version: `networking.gloo.solo.io/RouteTable`, `core/Service`,
    `apps/Deployment`.
    """

    type: str
    cluster: str
    namespace: str
    name: str

    @property
    def kind(self) -> str:
        return self.type.rpartition("/")[2]

    @property
    def contribution(self) -> str:
        """The text by which pieces, pins and reports name what this root object adds."""
        return f"{self.type}/{self.cluster}/{self.namespace}/{self.name}"

    @classmethod
    def of_contribution(cls, text: str) -> Self | None:
        """None where the text names no object."""
        group, kind, cluster, namespace, name = (*text.split("/", 4), "", "", "", "")[:5]
        return cls(f"{group}/{kind}", cluster, namespace, name) if name else None

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where} in cluster {self.cluster}"


@lru_cache(maxsize=1024)
def type_of(api_version: str, kind: str) -> str:
    """`networking.gloo.solo.io/v2`, `RouteTable` -> `networking.gloo.solo.io/RouteTable`; `v1`, `Service` ->
    `core/Service`. One text for all objects of a type.
    """
    group, slash, _ = api_version.partition("/")
    return f"{group if slash else _GROUP_OF_CORE}/{kind}"


# What no API server gives away as a name (its paths would be others), and what would mean something else in ours.
_NAME = re.compile(r"(?!\.\.?\Z)[^/%\x00-\x1f\x7f-\x9f]{1,253}")
_NAMESPACE = re.compile(r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)?")
_TYPE = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z][A-Za-z0-9]{0,62}")


def is_name(namespace: str, name: str) -> bool:
    """Whether an object of whatever kind can be called so; an empty namespace is none."""
    return _NAME.fullmatch(name) is not None and _NAMESPACE.fullmatch(namespace) is not None


def is_type(type_: str) -> bool:
    return _TYPE.fullmatch(type_) is not None


_any_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_object(body: bytes) -> bool:
    """Whether it is the JSON of an object at all; its fields are not looked at."""
    try:
        if not body.isascii():
            body.decode()
        _any_object.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def trim(type_: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Drop what nobody downstream may depend on: managedFields, last-applied, resourceVersion and most of status
    (relay.md §2.1, M-8); of what discovery reads also every field that it does not. What has not its shape stays as it
    is, for whoever tells of it.
    """
    metadata = {
        k: v for k, v in obj.get("metadata", {}).items() if k not in ("managedFields", "resourceVersion", "selfLink")
    }
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _LAST_APPLIED}
    out = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
    if type_ in _SPEC_READ:
        metadata = _only(metadata, _METADATA_READ)
        annotations = {k: v for k, v in annotations.items() if k == EXPORT_TO}
        if "spec" in obj:
            out["spec"] = _spec(obj["spec"], _SPEC_READ[type_])
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    out["metadata"] = metadata
    status = obj.get("status")
    if isinstance(status, dict):
        if type_.startswith("internal.gloo.solo.io/"):
            out["status"] = status
        elif kept := {k: status[k] for k in _STATUS_KEPT.get(type_, ()) if k in status}:
            out["status"] = _status(kept)
    return out


def _only(value: Any, read: Collection[str]) -> Any:
    return {k: v for k, v in value.items() if k in read} if isinstance(value, dict) else value


def _spec(given: Any, read: Collection[str]) -> Any:
    spec = _only(given, read)
    for name in ("containers", "initContainers"):
        if isinstance(spec, dict) and isinstance(containers := spec.get(name), list):
            spec[name] = [_only(one, _CONTAINER_READ) for one in containers]
    return spec


def _status(kept: dict[str, Any]) -> dict[str, Any]:
    """Of a pod's conditions the one that is read, without the times at which somebody looked at it."""
    if isinstance(conditions := kept.get("conditions"), list):
        ready = [c for c in conditions if not isinstance(c, dict) or c.get("type") == "Ready"]
        return kept | {"conditions": [_only(one, ("type", "status")) for one in ready]}
    return kept


def canonical(value: Any) -> bytes:
    """A copy: the encoder's own result holds the room that it had for more, up to a third, as long as it lives."""
    return bytes(memoryview(_encoder.encode(value)))


def content_hash(body: bytes) -> bytes:
    """32 bytes."""
    return blake2b(body, digest_size=32).digest()
