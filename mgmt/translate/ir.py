"""What the translator knows about one gateway, before any data plane's words: routes, destinations, listeners, and
where each came from.

Values only. Policies write it, only `emit` turns it into Istio or Envoy. Provenance (`Source`) is carried from the
start, because explain, diff, status and the labels of emitted objects read it.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec

from fingerpost.objects import ObjectKey


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of every value in this module."""


class Source(NamedTuple):
    """The field of the user's object that a value came from, as in `spec.http[2].forwardTo`."""

    ref: ObjectKey
    path: str


class MatchKind(enum.Enum):
    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"


class PathMatch(Value, frozen=True):
    kind: MatchKind = MatchKind.PREFIX
    value: str = "/"
    ignore_case: bool = False


class HeaderMatch(Value, frozen=True):
    name: str  # lower case
    kind: MatchKind = MatchKind.PRESENT
    value: str = ""
    invert: bool = False


class QueryMatch(Value, frozen=True):
    name: str
    kind: MatchKind = MatchKind.PRESENT
    value: str = ""


class Matcher(Value, frozen=True):
    """All conditions hold. `path` None: any path; `port` 0: any, else the (service) port of the VirtualGateway's
    listener.
    """

    path: PathMatch | None = None
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    method: str = ""
    port: int = 0

    @property
    def catch_all(self) -> bool:
        """Path prefix `/` or regex `.*`, and no further condition (routing.md §4.7)."""
        anywhere = self.path is None or (self.path.kind, self.path.value) in (
            (MatchKind.PREFIX, "/"),
            (MatchKind.REGEX, ".*"),
        )
        return anywhere and not (self.headers or self.query or self.method)


class Destination(Value, frozen=True):
    """A resolved destination: exactly one hostname and port. Equal values are one Envoy cluster. `workspace` is set for
    a federated Service alone: the one whose settings federate it, which is that of the gateway.
    """

    object: ObjectKey  # the Service, VirtualDestination or ExternalService
    host: str
    port: int
    subset: tuple[tuple[str, str], ...] = ()  # sorted
    workspace: str = ""

    @property
    def subset_name(self) -> str:
        return "-".join(f"{k}-{v}" for k, v in self.subset)

    @property
    def cluster_name(self) -> str:
        name = f"outbound|{self.port}|{self.subset_name}|{self.host}"
        # A VirtualDestination may bear the name of a Service (destinations.md §5.3); it must not take that
        # Service's cluster on a shared gateway.
        return f"{name}|{self.object.kind}" if ".svc." in self.host and self.object.kind != "Service" else name


class WeightedDestination(Value, frozen=True):
    destination: Destination
    weight: int  # of 100; of a single destination always 100
    source: Source
    host_rewrite: str = ""  # autoHostRewrite with several destinations


class Forward(Value, frozen=True):
    destinations: tuple[WeightedDestination, ...]
    path_rewrite: str = ""
    regex_rewrite: tuple[str, str] | None = None  # pattern, substitution
    host_rewrite: str = ""


class Redirect(Value, frozen=True):
    host: str = ""
    path: str = ""
    status: int = 301


class DirectResponse(Value, frozen=True):
    status: int
    body: str = ""


Action = Forward | Redirect | DirectResponse


class Route(Value, frozen=True):
    """A flattened route: one leaf route with its merged matchers, in the order in which it is tried."""

    name: str  # the full name of routing.md §4.6, which Envoy logs
    source: Source
    chain: tuple[ObjectKey, ...]  # tables from the root to the leaf
    matchers: tuple[Matcher, ...]  # never empty: a route for everything has one empty Matcher
    action: Action
    labels: tuple[tuple[str, str], ...] = ()


class OutlierDetection(Value, frozen=True):
    """When an endpoint is taken out. `max_ejection_percent` None: the data plane's own default; `gateway_errors` 0:
    not counted.
    """

    consecutive_errors: int = 5
    gateway_errors: int = 0
    interval_ms: int = 10_000
    base_ejection_ms: int = 30_000
    max_ejection_percent: int | None = 100


class DestinationSettings(Value, frozen=True):
    """What the destination policies have settled for one port of one destination. `policies` are those in force, at
    most one of a kind, sorted: what an emitter cannot express is said of them.
    """

    outlier_detection: OutlierDetection | None = None
    policies: tuple[ObjectKey, ...] = ()

    @property
    def prefer_locality(self) -> bool:
        """Priorities by locality, only where bad endpoints are taken out (destinations.md §7.1)."""
        return self.outlier_detection is not None


class MeshTls(Value, frozen=True):
    """Mutual TLS with the workload certificate towards endpoints of the fleet. `identities` are the SPIFFE URIs
    accepted, sorted.
    """

    sni: str
    identities: tuple[str, ...]


class ClientTls(Value, frozen=True):
    """TLS that the gateway starts towards an external endpoint. `sni` empty and `host_sni`: the host name of the
    endpoint dialled.
    """

    sni: str = ""
    host_sni: bool = False
    verify: bool = True
    subject_alt_names: tuple[str, ...] = ()
    certificate_file: str = ""
    key_file: str = ""
    ca_file: str = ""  # empty: the system's
    credential: str = ""  # the name of a Secret in the gateway's namespace, instead of files
    mesh_certificate: bool = False  # ISTIO_MUTUAL: the workload certificate


class Address(Value, frozen=True):
    """`host` is an IP, a host name, or `unix:///path`. `tls_mode` names the TLS of the upstream, "" for plain text,
    MESH for MeshTls.
    """

    host: str
    port: int
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    tls_mode: str = ""


MESH = "istio"  # the value of tlsMode in endpoint metadata, as Istio writes it


class LocalService(Value, frozen=True):
    """A Kubernetes Service port, whose endpoints the agent of its cluster fills in."""

    namespace: str
    name: str
    port: int


class ClusterPart(Value, frozen=True):
    """What one cluster adds to a destination: `local` for its own gateways, `remote` (its east-west gateways) for
    those of all others.
    """

    cluster: str
    local: LocalService | None = None
    remote: tuple[Address, ...] = ()


class Endpoints(Value, frozen=True):
    """Where a destination's requests can go, seen from any cluster. `parts` are sorted by cluster."""

    parts: tuple[ClusterPart, ...] = ()
    external: tuple[Address, ...] = ()


class Upstream(Value, frozen=True):
    """All that an emitter needs of a destination, except who may use it and where its endpoints are just now.

    `inline` are the addresses of a destination that has no endpoints of its own kind in any cluster (an
    ExternalService, an ExternalName); None means that endpoints come from the agents. `tls` maps each tlsMode that an
    address may have to its TLS; for `inline` the mode is "".
    """

    destination: Destination
    http2: bool = False
    inline: tuple[Address, ...] | None = None
    mesh: MeshTls | None = None
    tls: tuple[tuple[str, ClientTls], ...] = ()
    settings: DestinationSettings = DestinationSettings()
