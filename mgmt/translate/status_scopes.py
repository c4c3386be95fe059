"""Statuses of objects in workload clusters travel in the scope of the cluster itself."""

from __future__ import annotations

from collections.abc import Mapping

from fingerpost.objects import ObjectKey, canonical
from fingerpost.relay.objects import STATUS, name_of
from fingerpost.relay.pieces import PieceList, Role, piece
from mgmt.translate.scopes import ResourceKey
from mgmt.translate.status import Status


def status_scopes(
    home: str, statuses: Mapping[ObjectKey, Status | None]
) -> dict[str, dict[ResourceKey, PieceList | None]]:
    """By cluster; `home` is the management cluster, whose statuses the server writes itself."""
    out: dict[str, dict[ResourceKey, PieceList | None]] = {}
    for key, status in statuses.items():
        if key.cluster == home:
            continue
        pieces = None
        if status is not None:
            pieces = PieceList([piece(Role.TOP, key.contribution, canonical(status.as_json()))])
        out.setdefault(key.cluster, {})[STATUS, name_of(key)] = pieces
    return out
