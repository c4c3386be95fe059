"""RouteTables from a few lines of YAML, and Services that exist when they are named."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from fingerpost.api.common import DestinationReference
from fingerpost.api.networking.route_table import RouteTable
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate import ir
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.plan import TablePlan
from mgmt.translate.routing.route_table import compile_table

KEY = ObjectKey("networking.gloo.solo.io/RouteTable", "east-1", "edge", "www")


def table(http: str = "[]", labels: dict[str, str] | None = None, **spec: Any) -> RouteTable:
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "labels": labels or {}}
    written = {
        "hosts": ["www.shop.example"],
        "virtualGateways": [{"name": "edge"}],
        "http": yaml.safe_load(http),
        **spec,
    }
    return msgspec.convert({"metadata": metadata, "spec": written}, RouteTable)


def compiled(http: str = "[]", labels: dict[str, str] | None = None, **spec: Any) -> TablePlan:
    return compile_table(KEY, table(http, labels, **spec))


def found(plan: TablePlan, severity: Severity = Severity.INVALID) -> list[str]:
    return [problem.message for problem in plan.problems if problem.severity == severity]


class Services:
    """A resolver that knows some Services by name, and remembers what it was asked for."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.asked: list[str] = []

    def __call__(self, ref: DestinationReference, source: ir.Source, /) -> ir.Destination | RouteError:
        assert ref.ref is not None
        self.asked.append(source.path)
        if ref.ref.name not in self._names:
            return RouteError("destination", f"destination Service shop/{ref.ref.name} in cluster east-1 not found")
        key = ObjectKey("core/Service", "east-1", "shop", ref.ref.name)
        host = f"{ref.ref.name}.shop.svc.cluster.local"
        return ir.Destination(object=key, host=host, port=8080, subset=tuple(sorted(ref.subset.items())))
