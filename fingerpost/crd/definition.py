"""The CustomResourceDefinition of a kind."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from fingerpost import __version__
from fingerpost.api.kinds import KINDS, Kind
from fingerpost.crd.rules import OPEN_SPECS, RULES
from fingerpost.crd.schema import Schema, object_schema, open_object, whole_object
from fingerpost.objects import canonical

_CATEGORY = "solo-io"
# The API of Gloo Edge, which the reference shares, has no category.
_WITHOUT_CATEGORY = frozenset({"ratelimit.solo.io"})
_STATE = {"name": "State", "type": "string", "jsonPath": ".status.common.State.approval"}
_GATEWAYS = {"name": "Gateways", "type": "string", "jsonPath": ".status.arrival.gateways"}
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
# Last, since it is as long as it has to be: what stands after it would be out of sight.
_MESSAGE = {"name": "Message", "type": "string", "jsonPath": ".status.common.State.message"}
# Kinds whose status tells how far their last change has come.
_ARRIVING = frozenset({"RouteTable", "VirtualGateway", "VirtualDestination", "ExternalService"})


def users_kinds() -> tuple[Kind, ...]:
    """Those that the API server must be told of; all others are Kubernetes' own, or never leave us."""
    return tuple(kind for kind in KINDS if kind.group.endswith("solo.io"))


def definition(kind: Kind) -> dict[str, Any]:
    names: dict[str, Any] = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    if kind.group not in _WITHOUT_CATEGORY:
        names["categories"] = [_CATEGORY]
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _columns(kind),
        "schema": {"openAPIV3Schema": _schema(kind)},
    }
    spec = {"group": kind.group, "names": names, "scope": "Namespaced", "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {"app": "gloo-mesh-apis"},
            "annotations": {
                "crd.solo.io/version": __version__,
                "crd.solo.io/specHash": sha256(canonical(spec)).hexdigest()[:16],
            },
        },
        "spec": spec,
    }


def _columns(kind: Kind) -> list[dict[str, Any]]:
    if not kind.written_by_users:  # nobody writes a status of those
        return [_AGE]
    return [_STATE, *([_GATEWAYS] if kind.kind in _ARRIVING else []), _AGE, _MESSAGE]


def _schema(kind: Kind) -> Schema:
    if kind.model is None or not kind.written_by_users:
        return whole_object(OPEN_SPECS.get(kind.type, open_object()))
    return object_schema(kind.model, RULES)
