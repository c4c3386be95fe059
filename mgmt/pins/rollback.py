"""A rollback: which older objects stand in for those of now, and where. A value that is kept as a pin (design D2).

It holds the older objects themselves, so it outlives the snapshot that it was made from.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Collection, Mapping
from types import MappingProxyType

import msgspec

from fingerpost.api.kinds import KINDS
from fingerpost.objects import ObjectKey, canonical

PREFIX = "rollback/"  # of the names of these pins
_KUBERNETES_CLUSTER = "admin.gloo.solo.io/KubernetesCluster"
# What users write. A registration is a fact about the fleet: no rollback ends or begins one.
RECORDED = frozenset(kind.type for kind in KINDS if kind.written_by_users) - {_KUBERNETES_CLUSTER}


class Reach(enum.StrEnum):
    ALL = "all"
    WORKSPACE = "workspace"
    CLUSTER = "cluster"


class Scope(msgspec.Struct, frozen=True):
    """What is rolled back: everything, the objects of one workspace, or the gateways of one cluster."""

    reach: Reach
    name: str = ""

    def __str__(self) -> str:
        return f"{self.reach.value} {self.name}" if self.name else "everything"


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """`objects`: all that the snapshot held within the scope. `clusters`: the homes of objects of which the snapshot
    knows; what lives elsewhere stays as it is. `spaces`: of a workspace, its namespaces as "<cluster>/<namespace>".
    """

    id: str  # the config_version at which it was asked for: a later rollback has a higher one
    snapshot: int
    scope: Scope
    at_unix_nanos: int
    clusters: frozenset[str]
    spaces: frozenset[str] = frozenset()
    by: str = ""
    objects: Mapping[ObjectKey, bytes] = MappingProxyType({})

    def covers(self, key: ObjectKey) -> bool:
        """Whether the snapshot says what this object is, or that there is none."""
        if key.type not in RECORDED or key.cluster not in self.clusters:
            return False
        return self.scope.reach is not Reach.WORKSPACE or f"{key.cluster}/{key.namespace}" in self.spaces

    def concerns(self, cluster: str) -> bool:
        """Whether the gateways of this cluster get what it pins."""
        return self.scope.reach is not Reach.CLUSTER or self.scope.name == cluster

    @property
    def name(self) -> str:
        """What people call it: no word of theirs can be the number of a snapshot."""
        return f"r{self.id}"

    def __str__(self) -> str:
        return f"rollback {self.name} of {self.scope} to snapshot {self.snapshot}"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """That a rollback was begun, or (`released`) ended. `by`: the person; `successor`: the rollback that ended it by
    taking its place; `gateways`: how many got something else, where that is known.
    """

    at: int  # Unix nanoseconds
    rollback: str  # its name
    scope: Scope
    snapshot: int
    released: bool = False
    by: str = ""
    successor: str = ""
    gateways: int | None = None

    def __str__(self) -> str:
        """Without the name."""
        done = f"released {self.scope} from" if self.released else f"rolled {self.scope} back to"
        successor = f": {self.successor} takes its place" if self.successor else ""
        return f"{done} snapshot {self.snapshot}{successor}" + (f", by {self.by}" if self.by else "")


class _Pin(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    snapshot: int
    scope: Scope
    at: int
    clusters: list[str]
    spaces: list[str]
    by: str
    objects: bytes  # compressed MessagePack: [type, cluster, namespace, name, body]


_pins = msgspec.json.Decoder(_Pin)
_objects = msgspec.msgpack.Decoder(list[tuple[str, str, str, str, bytes]])


def encode(rollback: Rollback) -> bytes:
    """Equal rollbacks give equal bytes."""
    objects = [(*key, body) for key, body in sorted(rollback.objects.items())]
    return canonical(
        _Pin(
            id=rollback.id,
            snapshot=rollback.snapshot,
            scope=rollback.scope,
            at=rollback.at_unix_nanos,
            clusters=sorted(rollback.clusters),
            spaces=sorted(rollback.spaces),
            by=rollback.by,
            objects=zlib.compress(msgspec.msgpack.encode(objects), 6),
        )
    )


def decode(body: bytes) -> Rollback:
    """Raises ValueError for what this version cannot read."""
    try:
        pin = _pins.decode(body)
        objects = _objects.decode(zlib.decompress(pin.objects))
    except (msgspec.MsgspecError, zlib.error) as e:
        raise ValueError(f"the pin of a rollback cannot be read: {e}") from e
    return Rollback(
        id=pin.id,
        snapshot=pin.snapshot,
        scope=pin.scope,
        at_unix_nanos=pin.at,
        clusters=frozenset(pin.clusters),
        spaces=frozenset(pin.spaces),
        by=pin.by,
        objects={ObjectKey(*key): body for *key, body in objects},
    )


def pin_name(id_: str) -> str:
    return f"{PREFIX}{id_}"


class Overlay:
    """Rollbacks one over the other, newest first: the first that says anything about an object decides."""

    def __init__(self, rollbacks: Collection[Rollback]) -> None:
        self.rollbacks = tuple(rollbacks)

    def over(self, key: ObjectKey) -> Rollback | None:
        return next((r for r in self.rollbacks if r.covers(key)), None)

    def body(self, key: ObjectKey, now: bytes | None) -> bytes | None:
        """What stands for the object; None: nothing does."""
        decisive = self.over(key)
        return now if decisive is None else decisive.objects.get(key)

    def all(self, now: Mapping[ObjectKey, bytes]) -> dict[ObjectKey, bytes]:
        """`now` as the rollbacks have it."""
        out = {}
        for key in {*now, *(key for r in self.rollbacks for key in r.objects)}:
            body = self.body(key, now.get(key))
            if body is not None:
                out[key] = body
        return out
