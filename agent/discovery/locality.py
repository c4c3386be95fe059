"""Where a node is: region, zone and subzone from its labels (destinations.md §2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_SUB_ZONE = ("topology.istio.io/subzone",)


class Locality(NamedTuple):
    region: str = ""
    zone: str = ""
    sub_zone: str = ""


NOWHERE = Locality()


def locality_of(labels: Mapping[str, str]) -> Locality:
    """The stable label wins over the deprecated one; without a region there is no locality at all."""
    region = _first(labels, _REGION)
    if not region:
        return NOWHERE
    zone = _first(labels, _ZONE)
    return Locality(region, zone, _first(labels, _SUB_ZONE) if zone else "")


def common(places: Iterable[Locality]) -> Locality:
    """What all of them have in common, from the region down; nowhere when they share no region."""
    known = iter(places)
    shared = next(known, NOWHERE)
    for place in known:
        same = next((i for i, (a, b) in enumerate(zip(shared, place, strict=True)) if a != b), len(shared))
        shared = Locality(*shared[:same])
    return shared if shared.region else NOWHERE


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
