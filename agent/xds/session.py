"""What one proxy is told, and in which order (design D15): clusters, their endpoints, the answers to both; listeners,
routes, the answers; then removals. One round at a time: what changes meanwhile is the next round. No I/O: requests come
in, bytes go out.

Secrets and endpoints are outside the rounds, since a proxy waits for them inside one.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import structlog
from envoy.config.cluster.v3 import cluster_pb2

from agent.apply.gateway import Key
from agent.discovery.locality import Locality
from agent.xds.scopes import config_of, marked
from agent.xds.subscription import Offer, Subscription
from agent.xds.wire import CDS, EDS, LDS, RDS, SDS, SERVED, SRDS, Request, Resource, Wire
from fingerpost.relay.pieces import PieceList

if TYPE_CHECKING:
    from agent.xds.gateway import Gateway, View

log = structlog.get_logger()

LATE = 1.0  # seconds after which a proxy that has not answered is named
_KIND = {CDS: "cluster", EDS: "endpoints", LDS: "listener", RDS: "routes", SRDS: "routes"}


class Phase(enum.Enum):
    IDLE = enum.auto()
    WARMING = enum.auto()  # clusters and endpoints are on their way
    SERVING = enum.auto()  # listeners and routes are on their way
    REMOVING = enum.auto()


class Session:
    def __init__(self, gateway: Gateway, wire: Wire, proxy: str, bind: str, place: Callable[[], Locality]) -> None:
        self.proxy = proxy
        self.wake = asyncio.Event()
        self.acked_version = 0
        self.acked_view: View | None = None
        self.offered_version = 0
        self.behind_since_unix_nanos = time.time_ns()
        self.lagging = False
        self._gateway = gateway
        self._bind = bind
        self._place = place
        self._phase = Phase.IDLE
        self._view: View | None = None
        self._again = False  # the proxy asked for something new: the same view needs another look
        self._subscriptions = {t: Subscription(t, wire) for t in SERVED}
        self._endpoints_due: set[str] = set()
        self._templates_seen: Mapping[str, PieceList] = {}
        self._awaits_endpoints = False  # clusters were sent whose endpoints the proxy will ask for
        self._offering = 0
        self._late: asyncio.TimerHandle | None = None
        self._delta = wire.incremental  # else every edit would send all scopes: worse than one RouteConfiguration
        self._scopable = self._delta
        self._once_scoped: set[str] = set()  # a connection may be on the listener of that time still
        self._scopes_anew = False
        self._began = time.time_ns()
        self._scopes_refused = 0

    def stir(self) -> None:
        self.wake.set()

    def endpoints_changed(self, names: Collection[str]) -> None:
        if fresh := self._subscriptions[EDS].names.intersection(names):
            self._endpoints_due |= fresh
            self.wake.set()

    def close(self) -> None:
        if self._late is not None:
            self._late.cancel()

    # ------------------------------------------------------------------ what comes in

    def receive(self, request: Request) -> None:
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            return  # a type that this server has nothing of
        self.wake.set()
        offer = subscription.answered(request)
        if subscription.update(request):
            self._again = True
        if offer is None:
            return
        lists: dict[Key, PieceList] = {}
        if kind := _KIND.get(request.type_url):
            lists = {(kind, name): pieces for name, pieces in offer.lists.items()}
        if request.error is None:
            self._gateway.accepted(lists)
        else:
            self._refused(subscription, offer, lists, request.error)

    def _refused(self, subscription: Subscription, offer: Offer, lists: dict[Key, PieceList], error: str) -> None:
        log.warning("xds.response.refused", proxy=self.proxy, type=subscription.type_url, error=error)
        self._awaits_endpoints = False
        self._scopes_refused += subscription.type_url == SRDS
        if subscription.type_url == LDS and self._may_be_the_form():
            log.warning("xds.scopes.given_up", proxy=self.proxy)
            subscription.take_back(offer)
            self._phase, self._again = Phase.IDLE, True
            return
        if self._gateway.refused(lists, error, self.proxy):
            subscription.take_back(offer)
            self._phase = Phase.IDLE

    def _may_be_the_form(self) -> bool:
        """A proxy may be built without what scopes need: the plain form is tried before anybody is blamed."""
        suspected = self._scopable and self._view is not None and bool(self._view.scoped)
        self._scopable = self._delta and not suspected  # refused in the plain form as well: it was not that
        return suspected

    # ------------------------------------------------------------------ what goes out

    def written(self) -> None:
        """What `advance` answered with is on the wire."""
        if self._offering > self.offered_version:
            self.offered_version = self._offering
            self._gateway.offered(self._offering)

    def advance(self) -> list[bytes]:
        """Everything that can be sent now."""
        if not self._gateway.state.known:
            return []  # nothing is known of this gateway yet, and "nothing" must not be mistaken for its configuration
        out: list[bytes] = []
        view = self._gateway.view()
        self._send_secrets(view, out)
        while self._step(out):
            pass
        self._send_endpoints(out)
        return out

    def _step(self, out: list[bytes]) -> bool:
        """One phase; false when it has to wait."""
        match self._phase:
            case Phase.IDLE:
                return self._begin(out)
            case Phase.WARMING:
                return self._serve(out)
            case Phase.SERVING:
                return self._clean(out)
            case Phase.REMOVING:
                return self._end()

    def _begin(self, out: list[bytes]) -> bool:
        view = self._gateway.view()
        if view is self._view and not self._again and self.acked_view is view:
            return False
        if view.version > self.acked_version and self._late is None:
            self.behind_since_unix_nanos = time.time_ns()
            self._late = asyncio.get_running_loop().call_later(LATE, self._is_late)
        self._view, self._again = view, False
        self._send_clusters(view, out)
        self._phase = Phase.WARMING
        return True

    def _serve(self, out: list[bytes]) -> bool:
        assert self._view is not None  # noqa: S101 - a round has a view
        self._send_endpoints(out)
        self._awaits_endpoints = self._awaits_endpoints and not self._subscriptions[EDS].open
        if self._awaits_endpoints or self._waits(CDS, EDS):
            return False
        self._send_listeners(self._view, out)
        self._send_scopes(self._view, out)
        self._send_routes(self._view, out)
        self._offering = self._view.version
        self._phase = Phase.SERVING
        return True

    def _clean(self, out: list[bytes]) -> bool:
        view = self._view
        assert view is not None  # noqa: S101 - a round has a view
        if self._again:  # a listener came up and asks for its routes, or listeners are asked for at last
            self._again = False
            self._send_listeners(view, out)
            self._send_scopes(view, out)
            self._send_routes(view, out)
        if self._waits(LDS, SRDS, RDS):
            return False
        if not self._complete(view):
            if self._gateway.view() is view:
                return False
            self._phase = Phase.IDLE  # the proxy takes its time to ask; what is new need not wait for that
            return True
        self._remove_clusters(view, out)
        self._phase = Phase.REMOVING
        return True

    def _end(self) -> bool:
        if self._waits(CDS):
            return False
        assert self._view is not None  # noqa: S101 - a round has a view
        self._phase = Phase.IDLE
        if self.acked_view is not self._view:
            self.acked_view, self.acked_version = self._view, self._view.version
            if self._late is not None:
                self._late.cancel()
                self._late = None
            self.lagging = False
            self._gateway.settled()
        return True

    def _complete(self, view: View) -> bool:
        """The proxy has asked for all that it needs to serve this view; before that nothing may be taken away."""
        if not view.listeners:
            return self._subscriptions[CDS].open
        needed, scoped = view.needed_routes & view.routes.keys(), self._scoped(view)
        if needed & scoped and not self._subscriptions[SRDS].open:
            return False
        return self._subscriptions[LDS].open and needed - scoped <= self._subscriptions[RDS].names

    def _scoped(self, view: View) -> frozenset[str]:
        return view.scoped if self._scopable else frozenset()

    def _waits(self, *types: str) -> bool:
        return any(self._subscriptions[t].waiting for t in types)

    def _is_late(self) -> None:
        self.lagging = True
        self._gateway.report()

    # ------------------------------------------------------------------ the types

    def _send_clusters(self, view: View, out: list[bytes]) -> None:
        """New and changed ones; what is not wanted any more goes at the end of the round."""
        sub = self._subscriptions[CDS]
        if not sub.open:
            return
        lists = {n: p for n, p in view.clusters.items() if sub.lists.get(n) is not p}
        resources = []
        for name, pieces in lists.items():
            resource = self._gateway.cluster(name, pieces)
            if sub.sent.get(name) != resource.version:
                resources.append(resource)
        sub.lists.update(lists)
        if not resources and sub.offered:
            return
        out.append(sub.offer(resources, (), {r.name: lists[r.name] for r in resources}))
        endpoints = self._subscriptions[EDS]
        changed = [r for r in resources if r.name in view.endpoints]
        if endpoints.open:
            # A changed cluster warms until its endpoints are sent again; a new one is there when they come.
            endpoints.due.update(r.name for r in changed)
        else:
            self._awaits_endpoints = any(_by_discovery(r.body) for r in changed)

    def _send_endpoints(self, out: list[bytes]) -> None:
        sub = self._subscriptions[EDS]
        if not sub.open or sub.waiting:
            return
        table = self._view.endpoints if self._view is not None else {}
        names = sub.due | self._endpoints_due | self._changed_templates(sub, table)
        if not names:
            return
        due, sub.due, self._endpoints_due = sub.due, set(), set()
        place = self._place()
        resources, lists = [], {}
        for name in sorted(names):
            pieces = table.get(name)
            resource = self._gateway.assignment(name, pieces, place)
            if name in due or sub.sent.get(name) != resource.version:
                resources.append(resource)
            if pieces is not None:
                lists[name] = pieces
        sub.lists.update(lists)
        if resources:
            out.append(sub.offer(resources, (), lists))

    def _changed_templates(self, sub: Subscription, table: Mapping[str, PieceList]) -> set[str]:
        if table is self._templates_seen:
            return set()
        self._templates_seen = table
        return {n for n in sub.names if (p := table.get(n)) is not None and sub.lists.get(n) is not p}

    def _send_listeners(self, view: View, out: list[bytes]) -> None:
        sub = self._subscriptions[LDS]
        if not sub.open:
            return
        resources: list[Resource] = []
        present: set[str] = set()
        scoped = {config: self._gateway.scopes(config, view.routes[config]).rest for config in self._scoped(view)}
        self._once_scoped.update(scoped)
        for name in sorted(view.listeners):
            resource = self._gateway.listener(name, self._bind, scoped)
            if resource is None:
                continue
            present.add(name)
            if sub.sent.get(name) != resource.version:
                resources.append(resource)
        removed = sub.sent.keys() - present
        if resources or removed or not sub.offered:
            out.append(sub.offer(resources, sorted(removed), {r.name: view.listeners[r.name] for r in resources}))
            # When the last listener with scopes has gone an Envoy forgets them, and does not ask again for the next.
            self._scopes_anew = bool(resources)

    def _send_scopes(self, view: View, out: list[bytes]) -> None:
        """One response for all; what the last listener to look it up might still need goes with its routes only."""
        sub = self._subscriptions[SRDS]
        if not sub.open or not self._delta:
            return
        anew, self._scopes_anew = self._scopes_anew and bool(view.scoped), False
        resources: list[Resource] = []
        removed: list[str] = []
        lists: dict[str, PieceList] = {}
        for config in sub.lists.keys() - view.routes.keys():
            removed += [name for name in sub.sent if config_of(name) == config]
            del sub.lists[config]
        self._once_scoped &= view.routes.keys()
        for config in sorted(self._once_scoped):
            pieces = view.routes[config]
            if sub.lists.get(config) is pieces and not anew:
                continue
            scopes = self._gateway.scopes(config, pieces)
            names = None if anew else scopes.changed_since(sub.lists.get(config))
            if names is None:
                names = scopes.resources.keys() | {n for n in sub.sent if config_of(n) == config}
            for name in sorted(names):
                resource = scopes.resources.get(name)
                if resource is not None and (anew or sub.sent.get(name) != resource.version):
                    resources.append(marked(resource, f"{self._began:x}.{self._scopes_refused}"))
                elif resource is None and name in sub.sent:
                    removed.append(name)
            lists[config] = pieces
        if resources or removed:
            out.append(sub.offer(resources, removed, lists))
        else:
            sub.lists.update(lists)

    def _send_routes(self, view: View, out: list[bytes]) -> None:
        sub = self._subscriptions[RDS]
        resources, lists = [], {}
        for name in sorted(sub.names):
            pieces = view.routes.get(name)
            if pieces is None:
                continue  # its listener goes first; the proxy then forgets the routes by itself
            if sub.lists.get(name) is pieces and name not in sub.due:
                continue
            resource = self._gateway.routes(name, pieces)
            sub.lists[name] = pieces
            if sub.sent.get(name) != resource.version or name in sub.due:
                resources.append(resource)
                lists[name] = pieces
        if resources:
            out.append(sub.offer(resources, (), lists))

    def _send_secrets(self, view: View, out: list[bytes]) -> None:
        sub = self._subscriptions[SDS]
        if not sub.open or sub.waiting:
            return
        resources = []
        for name in sorted(sub.names & view.secrets.keys()):
            version = self._gateway.secret_version(name)
            if name in sub.due or sub.sent.get(name) != version:
                resources.append(Resource(name, version, view.secrets[name]))
        if resources:
            out.append(sub.offer(resources, (), {}))

    def _remove_clusters(self, view: View, out: list[bytes]) -> None:
        sub = self._subscriptions[CDS]
        gone = sub.sent.keys() - view.clusters.keys()
        if gone:
            out.append(sub.offer([], sorted(gone), {}))


def _by_discovery(cluster: bytes) -> bool:
    return bool(cluster_pb2.Cluster.FromString(cluster).type == cluster_pb2.Cluster.EDS)
