"""The note below an answer that gateways are rolled back: some have other objects than those that are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ctl.output import remark


def tell_rollbacks(rollbacks: Iterable[Mapping[str, Any]]) -> None:
    for one in rollbacks:
        remark(f"note: {_rolled_back(one)}")


def _rolled_back(one: Mapping[str, Any]) -> str:
    scope, reached = f"{one['scope']} {one['name']}", "gateways"
    if one["scope"] == "cluster":
        reached = "it"
    elif not one["name"]:
        scope = "everything"
    what = f"{scope} is rolled back to snapshot {one['snapshot']} ({one['id']})"
    return f"{what}; what is written since does not reach {reached} until fingerpost rollback release {one['id']}"
