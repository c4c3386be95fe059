"""What the chart gives an account, and what of it was used: roles against the audit log of an API server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from tests.kube.charts import Rendered
from tests.kube.kube_client import Object

Event = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource of a rule, whose groups are taken together. `name` "": all; `namespace` "": all."""

    verb: str
    resource: str
    name: str
    namespace: str
    groups: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}"


def rights(rendered: Rendered, account: str) -> set[Right]:
    """By all roles that are bound to it."""
    found = set()
    for kind in ("ClusterRole", "Role"):
        roles = {(r["metadata"].get("namespace", ""), r["metadata"]["name"]): r for r in rendered.all(kind)}
        for binding in rendered.all(f"{kind}Binding"):
            if account in {subject["name"] for subject in binding["subjects"]}:
                where = binding["metadata"].get("namespace", "")
                found |= set(_of(roles[where, binding["roleRef"]["name"]], where))
    return found


def _of(role: Object, where: str) -> Iterator[Right]:
    for rule in role["rules"]:
        names = rule.get("resourceNames") or [""]
        for verb, resource, name in product(rule["verbs"], rule["resources"], names):
            yield Right(verb, resource, name, where, tuple(rule["apiGroups"]))


def unused(given: Iterable[Right], events: Iterable[Event]) -> set[Right]:
    left = set(given)
    for event in events:
        left -= {right for right in left if _uses(event, right)}
    return left


def _uses(event: Event, right: Right) -> bool:
    asked = event.get("objectRef")
    if asked is None or asked.get("apiGroup", "") not in right.groups:
        return False
    if right.namespace and asked.get("namespace") != right.namespace:
        return False
    if right.name and asked.get("name") != right.name:
        return False
    # an apply that makes the object needs both
    verbs = {event["verb"]} | ({"create"} if event.get("responseStatus", {}).get("code") == 201 else set())
    resource, sub = asked["resource"], asked.get("subresource")
    return right.verb in verbs and right.resource in ({f"{resource}/{sub}", f"*/{sub}"} if sub else {resource, "*"})
