"""DestinationRule: subsets, TLS towards endpoints and destination policies (destinations.md §§3.1, 5.5, 7, 8.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined, labelled
from mgmt.translate.emit.istio.objects import HERE, Emitted, build
from mgmt.translate.ir import Destination

KIND = "DestinationRule"


def _subsets(used: Iterable[Destination]) -> list[dict[str, Any]]:
    found = {labelled(d.subset): dict(d.subset) for d in used if d.subset}
    return [{"name": name, "labels": labels} for name, labels in sorted(found.items())]


def emit_service_rule(site: Site, service: ObjectKey, used: Iterable[Destination]) -> Emitted:
    """For the gateways of one namespace. `used` are all destinations of that Service in routes seen there; without a
    subset no object is needed.
    """
    used = tuple(used)
    subsets = _subsets(used)
    if not subsets:
        return Emitted()
    host = used[0].host
    spec = {"host": host, "exportTo": HERE, "subsets": subsets}
    name = joined(host, service.namespace, site.workspace)
    return Emitted((build(KIND, site, name, [service], spec),))
