"""What one turn of the translator hands out: only what changed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fingerpost.objects import ObjectKey
from fingerpost.relay.interest import Interest
from fingerpost.relay.pieces import PieceList
from mgmt.translate.scopes import GatewayKey, ResourceKey, ScopeClass
from mgmt.translate.status import Status


class Turn(msgspec.Struct, kw_only=True):
    """`contributions`: per class the contributions that went and that came. `warming` None: unchanged; else the whole
    of it. `kept`: all contributions that whoever holds them keeps, with the reason. `accepted`: the last accepted
    output of tables that are frozen now, to be kept; None: it is of no use any more.
    """

    classes: Mapping[ScopeClass, Mapping[ResourceKey, PieceList | None]] = {}
    gateways: Mapping[GatewayKey, ScopeClass | None] = {}
    contributions: Mapping[ScopeClass, tuple[frozenset[str], frozenset[str]]] = {}
    cluster_scopes: Mapping[str, Mapping[ResourceKey, PieceList | None]] = {}
    interests: Mapping[str, Interest] = {}
    statuses: Mapping[ObjectKey, Status | None] = {}
    warming: Mapping[ScopeClass, Mapping[str, str]] | None = None
    kept: Mapping[str, str] = {}
    accepted: Mapping[ObjectKey, bytes | None] = {}
    steps: int = 0
