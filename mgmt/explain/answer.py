"""What `explain route` answers: plain values that JSON can hold. Nothing here computes."""

from __future__ import annotations

import enum

import msgspec

from fingerpost.objects import ObjectKey


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part of an explanation."""


class Named(Answer, frozen=True):
    """An object of a user, as people name it."""

    kind: str
    cluster: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def named(key: ObjectKey) -> Named:
    return Named(kind=key.kind, cluster=key.cluster, namespace=key.namespace, name=key.name)


class Place(Answer, frozen=True):
    """A field of an object: `spec.http[2]` of a RouteTable."""

    object: Named
    path: str


class Verdict(enum.StrEnum):
    ROUTE = "route"  # a route takes the request
    HTTPS_REDIRECT = "httpsRedirect"  # sent to https before any route is looked at
    NO_ROUTE = "noRoute"  # the host is served, none of its routes matches
    NO_HOST = "noHost"  # nobody serves the host on this listener
    NO_LISTENER = "noListener"  # nothing listens on that port, or not with that protocol or name
    REFUSED = "refused"  # the proxy refuses the request itself


class ListenerAnswer(Answer, frozen=True):
    """`service_port` is the port of the gateway Service, `port` the one that the proxy listens on. `fields` are the
    `spec.listeners[i]` that feed the host chosen.
    """

    service_port: int
    port: int
    protocol: str
    server_names: tuple[str, ...] = ()
    fields: tuple[Place, ...] = ()
    note: str = ""


class HostAnswer(Answer, frozen=True):
    """`chosen` is the host as the tables write it; `tables` in the order in which their routes are tried."""

    chosen: str
    how: str
    tables: tuple[Named, ...] = ()


class EndpointsAnswer(Answer, frozen=True):
    """Where requests can go in one cluster, or outside of all (`cluster` empty)."""

    cluster: str
    text: str
    local: bool = False
    ready: bool | None = None  # None: not known
    order: str = ""
    addresses: tuple[str, ...] = ()


class PolicyAnswer(Answer, frozen=True):
    """`reason` is set when the policy selects the destination and is not in force."""

    policy: Named
    reason: str = ""


class DestinationAnswer(Answer, frozen=True):
    object: Named
    host: str
    port: int
    subset: tuple[tuple[str, str], ...] = ()
    weight: int = 100
    field: Place | None = None
    envoy_cluster: str = ""
    endpoints: tuple[EndpointsAnswer, ...] = ()
    policies: tuple[PolicyAnswer, ...] = ()
    not_applied: tuple[PolicyAnswer, ...] = ()


class RouteAnswer(Answer, frozen=True):
    """`name` is what the proxy logs."""

    name: str
    field: Place
    matcher: str
    action: str
    chain: tuple[Named, ...] = ()
    destinations: tuple[DestinationAnswer, ...] = ()


class NearMiss(Answer, frozen=True):
    """A route that did not take the request, and the first of its conditions that does not hold."""

    route: str
    field: Place
    matcher: str
    reason: str
    host: str = ""  # set when the route is one of another host


class GatewayAnswer(Answer, frozen=True):
    """What one gateway does with the request. `status` is the HTTP status that the proxy itself answers, 0 when a
    destination does.
    """

    cluster: str
    gateway: str  # namespace/name of the gateway Service
    verdict: Verdict
    message: str
    status: int = 0
    listener: ListenerAnswer | None = None
    host: HostAnswer | None = None
    route: RouteAnswer | None = None
    near: tuple[NearMiss, ...] = ()
    hosts: tuple[str, ...] = ()  # the nearest hosts served, when the host is not
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class RequestAnswer(Answer, frozen=True):
    """The request as the proxy sees it, its path normalized."""

    method: str
    scheme: str
    authority: str
    path: str
    port: int


class Explanation(Answer, frozen=True):
    request: RequestAnswer
    gateways: tuple[GatewayAnswer, ...] = ()
    notes: tuple[str, ...] = ()
