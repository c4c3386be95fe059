"""A gateway's proxy reduced to its configuration: it speaks delta ADS to its agent as an Envoy does, holds what it was
given when the agent is gone, and looks at every single change. It forwards nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Never

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.service.discovery.v3 import discovery_pb2

from tests.chaos.manifests import GATEWAY
from tests.chaos.world import Key

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs do not have it
_TYPES = "type.googleapis.com/"
CDS = f"{_TYPES}envoy.config.cluster.v3.Cluster"
EDS = f"{_TYPES}envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = f"{_TYPES}envoy.config.listener.v3.Listener"
RDS = f"{_TYPES}envoy.config.route.v3.RouteConfiguration"
_MESSAGES: dict[str, Any] = {
    CDS: cluster_pb2.Cluster,
    EDS: endpoint_pb2.ClusterLoadAssignment,
    LDS: listener_pb2.Listener,
    RDS: route_pb2.RouteConfiguration,
}
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
_PAUSE = 0.05
_ANSWERS = 40  # of which one can be told


class Proxy:
    """`look(cluster, served)` is called after every answer of the agent."""

    def __init__(self, cluster: str, port: int, tokens: Path, look: Callable[[str, dict[Key, str]], None]) -> None:
        self.cluster, self._port, self._tokens, self._look = cluster, port, tokens, look
        self.held: dict[str, dict[str, Any]] = {t: {} for t in _MESSAGES}
        self._versions: dict[str, dict[str, str]] = {t: {} for t in _MESSAGES}
        self._asked: dict[str, set[str]] = {EDS: set(), RDS: set()}
        self.connected = False
        self._answers: deque[tuple[float, str, list[str], list[str]]] = deque(maxlen=_ANSWERS)

    async def run(self) -> Never:
        while True:
            try:
                await self._session()
            except (grpc.RpcError, asyncio.InvalidStateError, OSError):
                self.connected = False
            await asyncio.sleep(_PAUSE)

    async def _session(self) -> None:
        token = (self._tokens / GATEWAY.replace("/", "_")).read_text().strip()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options=_OPTIONS) as channel:
            call: Any = channel.stream_stream(
                _METHOD,
                discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
                discovery_pb2.DeltaDiscoveryResponse.FromString,
            )(None, metadata=(("authorization", f"Bearer {token}"),))
            for request in self._first():
                await call.write(request)
            while (answer := await call.read()) is not _EOF:
                self.connected = True
                self._take(answer)
                await call.write(
                    discovery_pb2.DeltaDiscoveryRequest(type_url=answer.type_url, response_nonce=answer.nonce)
                )
                for request in self._next():
                    await call.write(request)
                self._look(self.cluster, self.served())
        self.connected = False

    def _first(self) -> Iterator[discovery_pb2.DeltaDiscoveryRequest]:
        """With what is held from the stream before this one."""
        for type_url, versions in self._versions.items():
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, initial_resource_versions=versions)
            request.node.id, request.node.cluster = f"{GATEWAY}/chaos", self.cluster
            request.node.metadata["FINGERPOST_GATEWAY"] = GATEWAY
            if type_url in self._asked:
                if not self._asked[type_url]:
                    continue
                request.resource_names_subscribe.extend(sorted(self._asked[type_url]))
            yield request

    def _take(self, answer: discovery_pb2.DeltaDiscoveryResponse) -> None:
        held, versions = self.held[answer.type_url], self._versions[answer.type_url]
        given: list[str] = []
        self._answers.append((time.monotonic(), answer.type_url, given, list(answer.removed_resources)))
        for resource in answer.resources:
            held[resource.name] = _MESSAGES[answer.type_url].FromString(resource.resource.value)
            versions[resource.name] = resource.version
            given.append(_short(resource.name, held[resource.name]))
        for name in answer.removed_resources:
            held.pop(name, None)
            versions.pop(name, None)

    def _next(self) -> Iterator[discovery_pb2.DeltaDiscoveryRequest]:
        """Subscriptions that follow from the clusters and listeners."""
        by_discovery = {c.eds_cluster_config.service_name or c.name for c in self.held[CDS].values() if c.type == c.EDS}
        for type_url, names in ((EDS, by_discovery), (RDS, {name for name, _ in self._tables() if name})):
            asked = self._asked[type_url]
            if names != asked:
                yield discovery_pb2.DeltaDiscoveryRequest(
                    type_url=type_url,
                    resource_names_subscribe=sorted(names - asked),
                    resource_names_unsubscribe=sorted(asked - names),
                )
                for gone in asked - names:
                    self.held[type_url].pop(gone, None)
                    self._versions[type_url].pop(gone, None)
                self._asked[type_url] = names

    def told(self, since: float = 0.0) -> list[str]:
        """The last answers of the agent, oldest first; `since` makes their moments comparable."""
        return [
            f"{at - since:.3f} {type_url.rpartition('.')[2]} {' '.join(given)}"
            + f" without {' '.join(gone)}" * bool(gone)
            for at, type_url, given, gone in self._answers
        ]

    # ---------------------------------------------------------------- what a client would get

    def _tables(self) -> Iterator[tuple[str, Any]]:
        """(name, None) of the routes of each listener; ("", routes) where they are inside."""
        for listener in self.held[LDS].values():
            for chain in (
                *listener.filter_chains,
                *([listener.default_filter_chain] if listener.HasField("default_filter_chain") else []),
            ):
                for network_filter in chain.filters:
                    if not network_filter.typed_config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
                        continue
                    manager = hcm_pb2.HttpConnectionManager.FromString(network_filter.typed_config.value)
                    if manager.HasField("rds"):
                        yield manager.rds.route_config_name, None
                    else:
                        yield "", manager.route_config

    def served(self) -> dict[Key, str]:
        """In the words of `World.wanted`."""
        found: dict[Key, str] = {}
        for name, inside in self._tables():
            table = inside or self.held[RDS].get(name)
            for host in table.virtual_hosts if table is not None else ():
                for route in host.routes:
                    found |= self._route(sorted(host.domains, key=len)[0], route)
        return found

    def _route(self, domain: str, route: Any) -> Iterable[tuple[Key, str]]:
        path = route.match.path or route.match.path_separated_prefix or route.match.prefix
        if not route.HasField("route"):
            yield ("route", domain, path), f"says {route.direct_response.body.inline_string}"
            return
        destination = _destination(route.route.cluster)
        yield ("route", domain, path), f"to {destination}"
        for group in self._endpoints(route.route.cluster):
            for member in group.lb_endpoints:
                address = member.endpoint.address.socket_address
                yield ("endpoint", destination, f"{address.address}:{address.port_value}"), ""

    def _endpoints(self, cluster: str) -> Iterable[Any]:
        held = self.held[CDS].get(cluster)
        if held is None:
            return ()
        if held.type != held.EDS:
            return tuple(held.load_assignment.endpoints)
        assignment = self.held[EDS].get(held.eds_cluster_config.service_name or held.name)
        return () if assignment is None else tuple(assignment.endpoints)


def _short(name: str, resource: Any) -> str:
    if not isinstance(resource, endpoint_pb2.ClusterLoadAssignment):
        return name
    members = [
        member.endpoint.address.socket_address.address for group in resource.endpoints for member in group.lb_endpoints
    ]
    return f"{name} ({' '.join(members)})"


def _destination(cluster: str) -> str:
    """Its VirtualDestination, after whose host it is called."""
    return next((part.partition(".")[0] for part in cluster.split("|") if part.endswith(".shop.example")), cluster)
