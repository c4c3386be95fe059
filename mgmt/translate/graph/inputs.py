"""Objects come in as bytes and leave as typed values with what is wrong about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fingerpost.api.decode import decode, decode_again
from fingerpost.api.kinds import KINDS
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.translate.check import check_object
from mgmt.translate.engine import Collection, Context, Engine, Input
from mgmt.translate.graph.freezing import key_of_pin
from mgmt.translate.ir import Value
from mgmt.translate.routing.destination_views import SERVICE

ROUTE_TABLE = "networking.gloo.solo.io/RouteTable"
VIRTUAL_GATEWAY = "networking.gloo.solo.io/VirtualGateway"
EXTERNAL_ENDPOINT = "networking.gloo.solo.io/ExternalEndpoint"
WORKSPACE = "admin.gloo.solo.io/Workspace"
SETTINGS = "admin.gloo.solo.io/WorkspaceSettings"
KUBERNETES_CLUSTER = "admin.gloo.solo.io/KubernetesCluster"
OUTLIER_DETECTION = "resilience.policy.gloo.solo.io/OutlierDetectionPolicy"
NAMESPACE = "core/Namespace"
GATEWAY = "internal.gloo.solo.io/DiscoveredGateway"
PIN = "fingerpost.dev/Pin"  # as `mgmt.ingest` writes it
SERVICE_FACTS = "fingerpost.dev/ServiceFacts"

# Every kind with a model takes part; `StatusGraph` insists on a status step for each.
USERS = tuple(kind.type for kind in KINDS if kind.model is not None and kind.written_by_users)
FACTS = (NAMESPACE, SERVICE, GATEWAY, SERVICE_FACTS)
_BY_BODY = frozenset({ROUTE_TABLE})


class Decoded(Value, frozen=True):
    """`obj` None: not usable as it is, the problems say why. `last_valid` is kept for settings alone (W-37).

    Of a kind in `_BY_BODY` the object is made anew each time it is asked for: of its many objects each is read once per
    edit, and would take several times its body.
    """

    model: Any = None
    type: str = ""
    body: bytes | None = None
    problems: tuple[Problem, ...] = ()
    created: str = ""
    generation: int = 0
    last_valid: Any = None

    @property
    def usable(self) -> bool:
        return self.model is not None or self.body is not None

    @property
    def obj(self) -> Any:
        return decode_again(self.type, self.body) if self.body is not None else self.model

    @property
    def labels(self) -> dict[str, str]:
        return dict(obj.metadata.labels) if (obj := self.obj) is not None else {}


def _decode(key: ObjectKey, body: bytes) -> Decoded:
    obj, problems = decode(key, body)
    if obj is None:
        return Decoded(problems=problems, generation=_generation(body))
    problems += check_object(key, obj)
    meta = obj.metadata
    usable = all(p.severity < Severity.INVALID for p in problems)
    by_body = key.type in _BY_BODY
    return Decoded(
        model=obj if usable and not by_body else None,
        type=key.type,
        body=body if usable and by_body else None,
        problems=problems,
        created=meta.creation_timestamp or "",
        generation=meta.generation,
    )


class _Generation(msgspec.Struct):
    generation: int = 0


class _Head(msgspec.Struct):
    metadata: _Generation = msgspec.field(default_factory=_Generation)


_head = msgspec.json.Decoder(_Head)


def _generation(body: bytes) -> int:
    """Of an object that cannot be read otherwise, so that its status says which version of it is meant (R-172)."""
    try:
        return _head.decode(body).metadata.generation
    except msgspec.MsgspecError:
        return 0


class Inputs:
    """One input and one decoded collection per kind; kinds without a model share `others`."""

    def __init__(self, engine: Engine) -> None:
        self._raw: dict[str, Input[ObjectKey, bytes]] = {}
        self._decoded: dict[str, Collection[ObjectKey, Decoded]] = {}
        for type_ in (*USERS, *FACTS):
            self._raw[type_] = engine.input(type_)
            self._decoded[type_] = engine.step(f"decode {type_}", self._raw[type_], self._step)
        self.accepted: Input[ObjectKey, bytes] = engine.input("accepted")  # of frozen tables, by table
        self._others: Input[ObjectKey, bytes] = engine.input("others")
        self.others: Collection[ObjectKey, Decoded] = engine.step("decode others", self._others, self._step)
        self._settings: dict[ObjectKey, Any] = {}

    def __getitem__(self, type_: str) -> Collection[ObjectKey, Decoded]:
        return self._decoded[type_]

    def feed(self, key: ObjectKey, body: bytes | None) -> None:
        """None removes. Of the kinds without a model only users' kinds are kept."""
        raw = self._raw.get(key.type)
        if key.type == PIN:
            if (table := key_of_pin(key.name)) is not None:
                self.accepted.put(table, body)
            return
        if raw is None:
            if not key.type.partition("/")[0].endswith("solo.io"):
                return
            raw = self._others
        raw.put(key, body)
        if body is None:
            self._settings.pop(key, None)

    def body(self, key: ObjectKey) -> bytes | None:
        return self._raw.get(key.type, self._others).items.get(key)

    def items(self) -> Iterator[tuple[ObjectKey, bytes]]:
        """Everything that was fed and is still there."""
        for raw in (*self._raw.values(), self._others):
            yield from raw.items.items()

    def _step(self, context: Context, key: ObjectKey, body: bytes) -> dict[ObjectKey, Decoded]:
        decoded = _decode(key, body)
        if key.type != SETTINGS:
            return {key: decoded}
        # A typing error in settings must not cut off every route of a workspace (W-37), so here alone the past counts.
        if decoded.model is not None:
            self._settings[key] = decoded.model
        return {
            key: Decoded(
                model=decoded.model,
                problems=decoded.problems,
                created=decoded.created,
                generation=decoded.generation,
                last_valid=self._settings.get(key),
            )
        }
