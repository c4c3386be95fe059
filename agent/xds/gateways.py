"""All gateways of this agent: the one place where versions, local facts and secrets come in and find the proxies they
concern.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from agent.apply.gateway import GatewayState, Key
from agent.xds.gateway import Gateway, Surroundings
from agent.xds.ports import Certificates, LocalEndpoints, Localities, Reports, Secrets, Store
from agent.xds.resolver import Resolver
from fingerpost.relay.pieces import PieceList

log = structlog.get_logger()


class Gateways:
    def __init__(
        self,
        cluster: str,
        *,
        local: LocalEndpoints,
        secrets: Secrets,
        certificates: Certificates,
        localities: Localities,
        reports: Reports,
        store: Store,
        found: Callable[[str], object],
    ) -> None:
        """`found` is called with the name of each gateway when it is first heard of: it needs a token and a
        certificate. It may raise OSError.
        """
        self.resolver = Resolver(self._hosts_changed)
        self.localities = localities
        self._around = Surroundings(cluster, local, secrets, certificates, self.resolver, reports, store)
        self._store = store
        self._found = found
        self._gateways: dict[str, Gateway] = {}

    def restore(self, states: Iterable[GatewayState]) -> None:
        """What the agent had when it ended; served before anyone was asked (M-9)."""
        for state in states:
            self._add(state)

    def get(self, name: str) -> Gateway:
        gateway = self._gateways.get(name)
        return self._add(GatewayState(name)) if gateway is None else gateway

    def _add(self, state: GatewayState) -> Gateway:
        gateway = self._gateways[state.scope] = Gateway(state, self._around)
        try:
            self._found(state.scope)
        except OSError as failed:  # a full disk must not end the agent; who asks for the token has it made
            remedy = "make room or repair the folder; `fingerpost proxy bootstrap` tries it again"
            log.error("xds.token.unwritten", gateway=state.scope, error=str(failed), remedy=remedy)
        return gateway

    def states(self) -> Mapping[str, GatewayState]:
        return {name: g.state for name, g in self._gateways.items() if g.state.known}

    def on_version(
        self,
        scope: str,
        version: int,
        changed: Mapping[Key, PieceList | None],
        keep: Mapping[str, str],
        *,
        confirmed: bool,
        seen_unix_nanos: int,
    ) -> None:
        gateway = self.get(scope)
        moved = gateway.state.apply(version, changed, keep, confirmed=confirmed, now=time.time_ns())
        gateway.moved(moved, seen_unix_nanos)
        self._store.changed(gateway.state, changed.keys())

    def on_gone(self, scope: str, version: int, *, confirmed: bool) -> None:
        """The scope was withdrawn. It is forgotten once nothing is held of it and no proxy is connected."""
        gateway = self.get(scope)
        withdrawn = list(gateway.state.wanted)
        gateway.moved(gateway.state.gone(version, confirmed=confirmed, now=time.time_ns()))
        if not gateway.state.effective and not gateway.sessions:
            del self._gateways[scope]
            self._store.removed(scope)
        else:
            self._store.changed(gateway.state, withdrawn)

    def release(self, scope: str) -> bool:
        """False: nothing was held of it."""
        gateway = self._gateways.get(scope)
        if gateway is None or not gateway.state.lost:
            return False
        gateway.moved(gateway.state.release())
        self._store.changed(gateway.state)
        return True

    def services_changed(self, services: Collection[tuple[str, str]]) -> None:
        """The local endpoints of these Services are others now."""
        for gateway in self._gateways.values():
            gateway.services_changed(services)

    def places_changed(self) -> None:
        """Some node is elsewhere now: proxies may be nearer to other endpoints."""
        for gateway in self._gateways.values():
            gateway.places_changed()

    def secrets_changed(self, secrets: Collection[tuple[str, str]]) -> None:
        namespaces = {namespace for namespace, _ in secrets}
        for name, gateway in self._gateways.items():
            if name.partition("/")[0] in namespaces:
                gateway.refresh()

    def certificate_changed(self, name: str) -> None:
        self.get(name).refresh()

    def _hosts_changed(self, hosts: Collection[str]) -> None:
        for gateway in self._gateways.values():
            gateway.hosts_changed(hosts)
