"""A RouteConfiguration put together from its tables, host by host, kept up to date in proportion to what changed."""

from __future__ import annotations

from bisect import bisect_left, insort

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, PieceList, Splice
from mgmt.translate.emit.envoy.route_config import blackhole, route_config_head, virtual_host_head
from mgmt.translate.routing.gateway_plan import requires_tls
from mgmt.translate.scopes import RouteClass, RouteContribution

_REBUILD = 200  # changed hosts in one wave from which a new list is cheaper than splices


class RouteConfigReducer:
    """The reducer of one class. Hosts are sorted, so that the order of arrival never shows (R-1)."""

    def __init__(self, route_class: RouteClass) -> None:
        self._config = route_class.config
        self._tables: dict[str, dict[ObjectKey, RouteContribution]] = {}
        self._hosts: list[str] = []
        self._sizes: list[int] = []
        self._touched: dict[str, None] = {}
        self._list: PieceList | None = None
        self._present = False

    def change(self, key: object, old: RouteContribution | bool | None, new: RouteContribution | bool | None) -> None:
        """A bool stands for the class itself, which is there with or without tables."""
        if isinstance(old, RouteContribution):
            for host in old.hosts:
                self._touched[host] = None
                tables = self._tables[host]
                del tables[old.table]
                if not tables:
                    del self._tables[host]
        if isinstance(new, RouteContribution):
            for host in new.hosts:
                self._touched[host] = None
                self._tables.setdefault(host, {})[new.table] = new
        if isinstance(new, bool) or isinstance(old, bool):
            self._present = new is not None

    def _block(self, host: str) -> tuple[Piece, ...]:
        tables = self._tables.get(host)
        if tables is None and host not in self._config.redirect_hosts:
            return ()
        redirect = requires_tls(host, self._config.redirect_hosts)
        head = virtual_host_head(host, self._config.port, redirect)
        if redirect or tables is None:
            return (head,)
        if len(tables) == 1:
            (only,) = tables.values()
            return (head, *only.ordered)
        oldest_first = sorted(tables.values(), key=lambda t: t.order)
        normal = (p for t in oldest_first for p in t.normal)
        last = (p for t in oldest_first for p in t.last)
        return (head, *normal, *last)

    def result(self) -> PieceList | None:
        touched, self._touched = self._touched, {}
        if not self._present and not self._tables:
            return None
        if self._list is None or len(touched) > _REBUILD or not self._hosts:
            return self._rebuild()
        splices = []
        for host in touched:
            splice = self._splice(host)
            if splice is not None:
                splices.append(splice)
        if not self._hosts:
            return self._rebuild()
        if splices:
            self._list = self._list.spliced(splices)
        return self._list

    def _splice(self, host: str) -> Splice | None:
        block = self._block(host)
        at = bisect_left(self._hosts, host)
        there = at < len(self._hosts) and self._hosts[at] == host
        start = 1 + sum(self._sizes[:at])
        if not there:
            if not block:
                return None
            self._hosts.insert(at, host)
            self._sizes.insert(at, len(block))
            return Splice(start, 0, block)
        size = self._sizes[at]
        if block:
            self._sizes[at] = len(block)
        else:
            del self._hosts[at], self._sizes[at]
        return Splice(start, size, block)

    def _rebuild(self) -> PieceList:
        hosts: list[str] = []
        for host in {*self._tables, *self._config.redirect_hosts}:
            insort(hosts, host)
        blocks = [self._block(host) for host in hosts]
        self._hosts, self._sizes = hosts, [len(b) for b in blocks]
        pieces = [route_config_head(self._config.name), *(p for b in blocks for p in b)]
        if not hosts:
            pieces.append(blackhole(self._config.port))
        self._list = PieceList(pieces)
        return self._list
