"""The accepted output of a frozen table as bytes, and back."""

from __future__ import annotations

import msgspec

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.objects import Emitted, IstioObject
from mgmt.translate.graph.freezing import Accepted
from mgmt.translate.graph.istio_routes import TableObjects
from mgmt.translate.ir import Destination, Value
from mgmt.translate.scopes import RouteClass, RouteContribution


class _Objects(Value, frozen=True):
    where: tuple[str, str]
    workspace: str
    objects: tuple[IstioObject, ...]
    uses: tuple[Destination, ...]
    gateways: tuple[ObjectKey, ...]


class _Accepted(Value, frozen=True):
    routes: tuple[tuple[RouteClass, RouteContribution, tuple[Destination, ...]], ...]
    objects: tuple[_Objects, ...]


_decoder = msgspec.msgpack.Decoder(_Accepted)


def encode(accepted: Accepted) -> bytes:
    """Equal outputs give equal bytes. What was wrong about them is not kept: nothing was."""
    nothing: frozenset[Destination] = frozenset()
    return msgspec.msgpack.encode(
        _Accepted(
            routes=tuple((c, msgspec.structs.replace(r, uses=nothing), _sorted(r.uses)) for c, r in accepted.routes),
            objects=tuple(
                _Objects(
                    where=where,
                    workspace=o.workspace,
                    objects=o.emitted.objects,
                    uses=_sorted(o.uses),
                    gateways=o.gateways,
                )
                for where, o in accepted.objects
            ),
        )
    )


def decode(body: bytes) -> Accepted:
    """Raises msgspec.MsgspecError for what another version has written; the agents keep what they hold then."""
    found = _decoder.decode(body)
    return Accepted(
        routes=tuple((c, msgspec.structs.replace(r, uses=frozenset(uses))) for c, r, uses in found.routes),
        objects=tuple(
            (
                o.where,
                TableObjects(
                    workspace=o.workspace, emitted=Emitted(o.objects), uses=frozenset(o.uses), gateways=o.gateways
                ),
            )
            for o in found.objects
        ),
    )


def _sorted(uses: frozenset[Destination]) -> tuple[Destination, ...]:
    return tuple(sorted(uses, key=lambda d: (d.cluster_name, d.object)))
