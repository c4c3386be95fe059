"""Identity and bytes of an object: what travels, what is hashed, what is stored.

An object is its canonical JSON (UTF-8, keys sorted, no spaces) after trimming; two objects with equal hash are equal
(relay.md §3.3 rule 2).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

_encoder = msgspec.json.Encoder(order="deterministic")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_STATUS_KEPT = {
    "core/Service": ("loadBalancer",),
    "core/Node": ("addresses",),
    "core/Pod": ("podIP", "podIPs", "conditions", "phase"),
}
_GROUP_OF_CORE = "core"


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

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where} in cluster {self.cluster}"


def type_of(api_version: str, kind: str) -> str:
    """`networking.gloo.solo.io/v2`, `RouteTable` -> `networking.gloo.solo.io/RouteTable`; `v1`, `Service` ->
    `core/Service`.
    """
    group, slash, _ = api_version.partition("/")
    return f"{group if slash else _GROUP_OF_CORE}/{kind}"


def trim(type_: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Drop what nobody downstream may depend on: managedFields, last-applied, resourceVersion and most of status
    (relay.md §2.1, M-8).
    """
    metadata = {
        k: v for k, v in obj.get("metadata", {}).items() if k not in ("managedFields", "resourceVersion", "selfLink")
    }
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _LAST_APPLIED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    out = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
    out["metadata"] = metadata
    status = obj.get("status")
    if isinstance(status, dict):
        if type_.startswith("internal.gloo.solo.io/"):
            out["status"] = status
        elif kept := {k: status[k] for k in _STATUS_KEPT.get(type_, ()) if k in status}:
            out["status"] = kept
    return out


def canonical(value: Any) -> bytes:
    return _encoder.encode(value)


def content_hash(body: bytes) -> bytes:
    """32 bytes."""
    return blake2b(body, digest_size=32).digest()
