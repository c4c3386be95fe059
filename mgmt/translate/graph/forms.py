"""In which form an Envoy gets the routes of a RouteConfiguration: all in one, or one scope per host.

An Envoy takes an edit in proportion to the resource that it is in. The form depends on nothing but the number of hosts,
so that equal inputs give equal outputs; between half the number and the number the gateway keeps what it has, or one
host that comes and goes would change its listener each time.
"""

from __future__ import annotations

from collections import Counter

from fingerpost.relay.route_forms import Form
from mgmt.translate.scopes import RouteClass, RouteContribution


def form_of(hosts: int, scoped_from: int) -> Form:
    """`hosts` that are no wildcards; `scoped_from` 0: never scoped."""
    if not scoped_from or hosts <= scoped_from // 2:
        return Form.PLAIN
    return Form.SCOPED if hosts >= scoped_from else Form.AS_BEFORE


class FormReducer:
    """The reducer of one class."""

    def __init__(self, _: RouteClass, scoped_from: int) -> None:
        self._scoped_from = scoped_from
        self._tables: Counter[str] = Counter()  # by host

    def change(self, key: object, old: RouteContribution | bool | None, new: RouteContribution | bool | None) -> None:
        before, after = _hosts(old), _hosts(new)
        if before == after:
            return
        self._tables.update(after)
        for host in before:
            self._tables[host] -= 1
            if not self._tables[host]:
                del self._tables[host]

    def result(self) -> Form | None:
        return form_of(len(self._tables), self._scoped_from) if self._tables else None


def _hosts(contribution: RouteContribution | bool | None) -> tuple[str, ...]:
    if not isinstance(contribution, RouteContribution):
        return ()
    return tuple(host for host in contribution.hosts if not host.startswith("*"))
