"""An Istio object as it is published: one piece, canonical JSON, with the labels by which it is found again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fingerpost.objects import ObjectKey, canonical
from fingerpost.problems import Problem, Severity
from mgmt.translate.emit.istio.labels import Site, annotations_of, labels_of
from mgmt.translate.ir import Value

GROUP: Final = "networking.istio.io"
API_VERSION: Final = f"{GROUP}/v1beta1"
CANNOT_EXPRESS: Final = "IstioCannotExpress"
HERE: Final = ["."]  # exportTo: this namespace only


class IstioObject(Value, frozen=True):
    """`parents` are the users' objects that it comes from, sorted; what it is counted and kept under is the first."""

    key: ObjectKey
    parents: tuple[ObjectKey, ...]
    body: bytes

    @property
    def contribution(self) -> str:
        return self.parents[0].contribution


class Emitted(Value, frozen=True):
    """`problems` name what Istio cannot be told, so that it shows in a status and never goes wrong in silence."""

    objects: tuple[IstioObject, ...] = ()
    problems: tuple[Problem, ...] = ()


def build(
    kind: str,
    site: Site,
    name: str,
    parents: Iterable[ObjectKey],
    spec: Mapping[str, Any],
    annotations: Mapping[str, str] | None = None,
    *,
    api_version: str = API_VERSION,
) -> IstioObject:
    family = tuple(sorted(set(parents), key=lambda p: (p.kind, p.namespace, p.name, p.cluster)))
    labels, full = labels_of(site, family[0])
    metadata: dict[str, Any] = {"name": name, "namespace": site.namespace, "labels": labels}
    if notes := {**(annotations or {}), **full, **annotations_of(family)}:
        metadata["annotations"] = notes
    body = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    key = ObjectKey(f"{GROUP}/{kind}", site.cluster, site.namespace, name)
    return IstioObject(key=key, parents=family, body=canonical(body))


def cannot(ref: ObjectKey, path: str, message: str, *, located: bool = False) -> Problem:
    return Problem(ref=ref, path=path, severity=Severity.WARNING, code=CANNOT_EXPRESS, message=message, located=located)


def seconds(milliseconds: int) -> str:
    """A duration as protobuf's JSON has it."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}s" if rest else f"{whole}s"
