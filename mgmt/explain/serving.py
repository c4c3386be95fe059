"""What a route list of one gateway serves: plain Envoys share theirs by class, an Istio gateway has its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.gateway import gateway_name
from mgmt.translate.emit.istio.objects import IstioObject
from mgmt.translate.graph.istio_routes import TableSite
from mgmt.translate.scopes import RouteClass
from mgmt.translate.translator import Translator


class Serving(Protocol):
    @property
    def routes(self) -> RouteClass: ...

    def tables(self, host: str) -> Sequence[ObjectKey]:
        """Those that serve just this host, as they write it; the oldest first."""
        ...

    def hosts(self) -> Collection[str]: ...


class ClassServing:
    def __init__(self, translator: Translator, routes: RouteClass) -> None:
        self.routes = routes
        self._by_host = translator.tables.contributions_by_host

    def tables(self, host: str) -> Sequence[ObjectKey]:
        found = self._by_host.of((self.routes, host)).values()
        return tuple(c.table for c in sorted(found, key=lambda c: c.order))

    def hosts(self) -> Collection[str]:
        return {host for routes, host in self._by_host if routes == self.routes}


class IstioServing:
    """`gateway` names the Service."""

    def __init__(self, translator: Translator, gateway: ObjectKey, routes: RouteClass) -> None:
        self.routes = routes
        self._translator = translator
        self._where = (gateway.cluster, gateway.namespace)
        placed = translator.istio.routes.placed.placements.items
        self._names = {gateway_name(virtual, service) for virtual, service in placed if service == gateway}

    def tables(self, host: str) -> Sequence[ObjectKey]:
        known = self._translator.tables.tables.items
        found = [table for (_, table), site in self._sites() if self._serves(site, host) and table in known]
        return tuple(sorted(found, key=lambda table: known[table].order))

    def hosts(self) -> Collection[str]:
        return {h for _, site in self._sites() for s in site.served for h in s.hosts if self._serves(site, h)}

    def objects(self, tables: Sequence[ObjectKey]) -> list[IstioObject]:
        """What the tables became here."""
        made = self._translator.istio.routes.made.items
        found = (made.get((self._where, table)) for table in tables)
        return [obj for one in found if one for obj in one.emitted.objects]

    def _sites(self) -> list[tuple[tuple[tuple[str, str], ObjectKey], TableSite]]:
        sites = self._translator.istio.routes.sites.items
        return [(key, site) for key, site in sites.items() if key[0] == self._where]

    def _serves(self, site: TableSite, host: str) -> bool:
        port = self.routes.config.port
        return any(
            host in served.hosts
            and any(door.gateway in self._names and port in {p for _, p in door.feeds} for door in served.doors)
            for served in site.served
        )
