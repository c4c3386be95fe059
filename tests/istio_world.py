"""The translator with its output for Istio, over inputs whose gateways are all Istio's."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fingerpost.objects import ObjectKey, canonical
from mgmt.translate.graph.inputs import GATEWAY
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import Translator

Change = tuple[ObjectKey, bytes | None]


def with_istio_gateways(changes: Iterable[Change]) -> list[Change]:
    return [(key, _istio(body) if body is not None and key.type == GATEWAY else body) for key, body in changes]


def _istio(body: bytes) -> bytes:
    obj = json.loads(body)
    obj["spec"]["gatewayKind"] = "istio"
    return canonical(obj)


class IstioWorld:
    def __init__(self, place: Place) -> None:
        t = self.translator = Translator(place)
        self.graph = t.istio
        self.steps = 0
        self.changed: set[ObjectKey] = set()

    def feed(self, changes: Iterable[Change]) -> None:
        """One turn; `changed` are the Istio objects that it has changed."""
        self.translator.feed(with_istio_gateways(changes))
        engine = self.translator.engine
        self.steps = engine.turn()
        self.changed = set(self.graph.objects.delta)
        engine.settle()
        assert not engine.failures(), engine.failures()
