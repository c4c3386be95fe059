"""One gateway as its proxies see it: the effective lists turned into Envoy resources on demand, and what all its
proxies acknowledged.

Without a proxy nothing is joined, and of all resources only listeners are parsed, since a missing secret must be
reported anyway.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeVar

from agent.apply.exceptions import SECRET_MISSING, Deviation
from agent.apply.gateway import GatewayState, Key
from agent.discovery.locality import Locality
from agent.xds import endpoints, listeners, secrets
from agent.xds.joined import Joined
from agent.xds.ports import Applied, Certificates, LocalEndpoints, Reports, Secrets, Store
from agent.xds.resolver import Resolver
from agent.xds.scopes import Scopes, can_be_scoped
from agent.xds.session import Session
from agent.xds.wire import Resource, body_version, list_version
from fingerpost.relay.pieces import PieceList, join
from fingerpost.relay.route_forms import Form
from fingerpost.relay.v1.endpoints_pb2 import EndpointsTemplate

K = TypeVar("K")
TYPES = ("cluster", "endpoints", "listener", "routes")


class Surroundings(NamedTuple):
    """What all gateways of an agent share."""

    cluster: str
    local: LocalEndpoints
    secrets: Secrets
    certificates: Certificates
    resolver: Resolver
    reports: Reports
    store: Store


class View(NamedTuple):
    """What is to be served at one moment. A mapping that did not change is the same object in the next view."""

    version: int
    seen_unix_nanos: int
    clusters: Mapping[str, PieceList]
    endpoints: Mapping[str, PieceList]
    listeners: Mapping[str, PieceList]
    routes: Mapping[str, PieceList]
    secrets: Mapping[str, bytes]  # those the listeners name and that can be served
    needed_routes: frozenset[str]
    scoped: frozenset[str]  # RouteConfigurations that are served as scopes


class Gateway:
    def __init__(self, state: GatewayState, around: Surroundings) -> None:
        self.state = state
        self.around = around
        self.sessions: set[Session] = set()
        self._view: View | None = None
        self._seen = 0
        self._types: dict[str, dict[str, PieceList]] = {}
        self._joined: dict[str, Joined] = {}
        self._scopes: dict[str, Scopes] = {}
        self._scoped: frozenset[str] = frozenset()
        self._parts: dict[str, tuple[PieceList, listeners.Parts]] = {}
        self._missing: dict[tuple[str, str], Deviation] = {}
        self._secrets: dict[str, bytes] = {}
        self._templates: dict[str, tuple[PieceList, EndpointsTemplate]] = {}
        self._by_service: dict[tuple[str, str], set[str]] = {}
        self._by_host: dict[str, set[str]] = {}
        self._reported: Applied | None = None
        self.refresh()

    @property
    def name(self) -> str:
        return self.state.scope

    # ------------------------------------------------------------------ what changes

    def moved(self, keys: Collection[Key], seen_unix_nanos: int = 0) -> None:
        """The state is another one: at least its version, and the effective lists of `keys`."""
        self._seen = seen_unix_nanos
        self._view = None
        fresh: dict[str, dict[str, PieceList]] = {}
        for key in keys:
            type_, name = key
            if type_ not in self._types:
                continue
            table = fresh.get(type_)
            if table is None:
                table = fresh[type_] = dict(self._types[type_])
            pieces = self.state.effective.get(key)
            if pieces is None:
                table.pop(name, None)
            else:
                table[name] = pieces
        self._types.update(fresh)
        if any(type_ == "listener" for type_, _ in keys):
            self._parse_listeners()
        self._wake()
        if not self.sessions or (self._reported and self._deviations() != self._reported.deviations):
            self.report()  # else the proxies' answer is the next thing to tell
        if not self.sessions:
            self.around.reports.on_offered(self.name, self.state.version, seen_unix_nanos)

    def refresh(self) -> None:
        """Secrets or the gateway's certificate may be others now."""
        self._parse_listeners()
        self._view = None
        self._wake()
        self.report()

    def services_changed(self, services: Iterable[tuple[str, str]]) -> None:
        self._endpoints_changed(self._by_service, services)

    def hosts_changed(self, hosts: Iterable[str]) -> None:
        self._endpoints_changed(self._by_host, hosts)

    def places_changed(self) -> None:
        for session in self.sessions:
            session.endpoints_changed(self._table("endpoints"))

    # ------------------------------------------------------------------ what the proxies get

    def view(self) -> View:
        if self._view is None:
            clusters, assigned, listening, routed = (self._table(t) for t in TYPES)
            needed = frozenset().union(*(p.routes(frozenset(self._secrets)) for _, p in self._parts.values()))
            self._choose_forms(routed)
            self._view = View(
                self.state.version,
                self._seen,
                clusters,
                assigned,
                listening,
                routed,
                self._secrets,
                needed,
                self._scoped,
            )
        return self._view

    def _choose_forms(self, routed: Mapping[str, PieceList]) -> None:
        """Near the number of hosts that decides the form stays as it was, so that no gateway goes to and fro."""
        wanted: dict[str, Form] = {}
        for _, parts in self._parts.values():
            wanted.update(parts.forms)
        for config in self._scopes.keys() - routed.keys():
            del self._scopes[config]
        self._scoped = frozenset(
            config
            for config in routed.keys() & wanted.keys()
            if can_be_scoped(config)
            and (wanted[config] is Form.SCOPED or (wanted[config] is Form.AS_BEFORE and config in self._scoped))
        )

    def cluster(self, name: str, pieces: PieceList) -> Resource:
        return Resource(name, list_version(pieces), join(pieces))

    def routes(self, name: str, pieces: PieceList) -> Resource:
        joined = self._joined.setdefault(name, Joined())
        return Resource(name, list_version(pieces), joined.value(pieces))

    def scopes(self, config: str, pieces: PieceList) -> Scopes:
        scopes = self._scopes.setdefault(config, Scopes(config))
        scopes.update(pieces)
        return scopes

    def listener(self, name: str, bind: str, scoped: Mapping[str, bool]) -> Resource | None:
        """None when no filter chain is left."""
        body, _ = listeners.render(self._parts[name][1], bind, frozenset(self._secrets), scoped)
        return Resource(name, body_version(body), body) if body else None

    def secret_version(self, name: str) -> str:
        return body_version(self._secrets[name])

    def assignment(self, name: str, pieces: PieceList | None, proxy: Locality) -> Resource:
        """A cluster without a template has no endpoints: a proxy that asks must be answered, or the cluster never gets
        warm.
        """
        template = self._template(name, pieces) if pieces is not None else EndpointsTemplate(cluster_name=name)
        around = self.around
        body = endpoints.load_assignment(template, around.cluster, proxy, around.local, around.resolver.addresses)
        return Resource(name, body_version(body), body)

    # ------------------------------------------------------------------ what the proxies say

    def attach(self, session: Session) -> None:
        self.sessions.add(session)
        self.report()

    def detach(self, session: Session) -> None:
        self.sessions.discard(session)
        if not self.sessions:
            self._types.clear()
            self._joined.clear()
            self._scopes.clear()
        self.report()

    def accepted(self, lists: Mapping[Key, PieceList]) -> None:
        self.state.accepted(lists)

    def refused(self, lists: Mapping[Key, PieceList], message: str, proxy: str) -> bool:
        """False when nothing can be taken back: sending the same again would only be refused again."""
        moved = self.state.refuse(lists, message, proxy, time.time_ns())
        if moved:
            self.moved(moved, self._seen)
        else:
            self.report()
        self.around.store.changed(self.state)
        return bool(moved)

    def offered(self, version: int) -> None:
        if all(s.offered_version >= version for s in self.sessions):
            self.around.reports.on_offered(self.name, version, self._seen)

    def settled(self) -> None:
        """A proxy has acknowledged a whole view."""
        if self.state.trying and all(s.acked_view is self._view for s in self.sessions if not s.lagging):
            self.moved(self.state.readmit(), self._seen)
            self.around.store.changed(self.state)
        else:
            self.report()

    def report(self) -> None:
        state = self.state
        if not state.known:
            return
        watermark = min((s.acked_version for s in self.sessions), default=state.version)
        if state.trying:  # acknowledged is only the part that was admitted so far
            watermark = min(watermark, self._reported.watermark if self._reported else 0)
        late = sorted((s for s in self.sessions if s.lagging), key=lambda s: s.proxy)
        applied = Applied(
            state.scope,
            watermark,
            len(self.sessions),
            self._deviations(),
            tuple(s.proxy for s in late),
            min((s.behind_since_unix_nanos for s in late), default=0),
        )
        if applied != self._reported:
            self._reported = applied
            self.around.reports.on_applied(applied)

    # ------------------------------------------------------------------ inside

    def _deviations(self) -> tuple[Deviation, ...]:
        return tuple(sorted([*self.state.deviations(), *self._missing.values()]))

    def _wake(self) -> None:
        for session in self.sessions:
            session.stir()

    def _table(self, type_: str) -> dict[str, PieceList]:
        if type_ not in self._types:
            self._types[type_] = {n: pieces for (t, n), pieces in self.state.effective.items() if t == type_}
        return self._types[type_]

    def _template(self, name: str, pieces: PieceList) -> EndpointsTemplate:
        known = self._templates.get(name)
        if known is not None and known[0] is pieces:
            return known[1]
        template = EndpointsTemplate.FromString(join(pieces))
        self._templates[name] = (pieces, template)
        for service in endpoints.services_of(template, self.around.cluster):
            self._by_service.setdefault(service, set()).add(name)
        for host in endpoints.hosts_of(template, self.around.cluster):
            self._by_host.setdefault(host, set()).add(name)
        return template

    def _endpoints_changed(self, index: Mapping[K, set[str]], keys: Iterable[K]) -> None:
        names: set[str] = set().union(*(index.get(k, ()) for k in keys))
        if names:
            for session in self.sessions:
                session.endpoints_changed(names)

    def _parse_listeners(self) -> None:
        table = {n: p for (t, n), p in self.state.effective.items() if t == "listener"}
        parts: dict[str, tuple[PieceList, listeners.Parts]] = {}
        for name, pieces in table.items():
            known = self._parts.get(name)
            parts[name] = known if known and known[0] is pieces else (pieces, listeners.parse(pieces))
        self._parts = parts
        self._read_secrets()

    def _read_secrets(self) -> None:
        around = self.around
        wanted = frozenset().union(*(p.secrets for _, p in self._parts.values())) | {secrets.OWN, secrets.ROOTS}
        own = around.certificates.of(self.name)
        found: dict[str, bytes] = {}
        reasons: dict[str, str] = {}
        for name in sorted(wanted):
            body = secrets.render(name, self.name, around.cluster, around.secrets, own)
            if isinstance(body, secrets.Unusable):
                reasons[name] = body.reason
            else:
                found[name] = body
        missing: dict[tuple[str, str], Deviation] = {}
        for _, parts in self._parts.values():
            for chain in parts.chains:
                for name in sorted(chain.secrets & reasons.keys()):
                    key = (chain.contribution, reasons[name])
                    fresh = Deviation(chain.contribution, SECRET_MISSING, reasons[name], time.time_ns())
                    missing[key] = self._missing.get(key, fresh)
        self._missing = missing
        if found != self._secrets:
            self._secrets = found
