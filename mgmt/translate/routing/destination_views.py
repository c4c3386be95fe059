"""What destinations look like to those who refer to them: a Service, a VirtualDestination or an ExternalService cut
down to what routing reads.

Small on purpose: a view that did not change ends a wave of recomputation, whatever else changed in the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fingerpost.api.common import DestinationKind, PortSelector
from fingerpost.api.core.service import Service
from fingerpost.api.networking.external_service import ExternalService, ExternalServiceSpec
from fingerpost.api.networking.virtual_destination import VirtualDestination, VirtualDestinationSpec
from fingerpost.objects import ObjectKey
from mgmt.translate.ir import Value

SERVICE = "core/Service"
VIRTUAL_DESTINATION = "networking.gloo.solo.io/VirtualDestination"
EXTERNAL_SERVICE = "networking.gloo.solo.io/ExternalService"

TYPE_OF_KIND = {
    DestinationKind.SERVICE: SERVICE,
    DestinationKind.VIRTUAL_DESTINATION: VIRTUAL_DESTINATION,
    DestinationKind.EXTERNAL_SERVICE: EXTERNAL_SERVICE,
}
KIND_OF_TYPE = {type_: kind for kind, type_ in TYPE_OF_KIND.items()}
_EXPORT_TO = "networking.istio.io/exportTo"
_HTTP2_APP_PROTOCOLS = frozenset({"http2", "grpc", "kubernetes.io/h2c"})
HTTP2_PROTOCOLS = frozenset({"GRPC", "HTTP2"})
_PROTOCOLS = frozenset({*HTTP2_PROTOCOLS, "HTTP", "HTTPS", "MONGO", "TCP", "TLS"})


class NamedPort(NamedTuple):
    """A port as a PortSelector sees it."""

    number: int
    name: str


class ServicePortView(Value, frozen=True):
    """`protocol` is that of a federated port (destinations.md §6.3)."""

    number: int
    name: str = ""
    http2: bool = False
    protocol: str = "TCP"


class ServiceView(Value, frozen=True):
    """A Kubernetes Service. `labels` are sorted pairs; `external_name` is set only for the type ExternalName."""

    key: ObjectKey
    created: str
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[ServicePortView, ...] = ()
    external_name: str = ""

    @property
    def named_ports(self) -> tuple[NamedPort, ...]:
        return tuple(NamedPort(p.number, p.name) for p in self.ports)

    def host(self, cluster_domain: str) -> str:
        return f"{self.key.name}.{self.key.namespace}.svc.{cluster_domain}"


class VirtualDestinationView(Value, frozen=True):
    """A VirtualDestination, or what looks like one (`federation`). `workspace` is its owner; `labels` are sorted
    pairs.
    """

    key: ObjectKey
    created: str
    workspace: str
    spec: VirtualDestinationSpec
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Never empty: without `hosts` there is the generated one (destinations.md §5.3)."""
        generated = f"{self.key.name}.{self.key.namespace}.{self.workspace}.vd.internal"
        return tuple(h.lower() for h in self.spec.hosts) or (generated,)

    @property
    def bare(self) -> bool:
        """Only a name: a RouteTable supplies the routes, and no route may lead to it (destinations.md §5.2)."""
        return not (self.spec.services or self.spec.external_services or self.spec.external_workloads)

    @property
    def named_ports(self) -> tuple[NamedPort, ...]:
        return tuple(NamedPort(p.number, f"{p.protocol.lower()}-{p.number}") for p in self.spec.ports)


class ExternalServiceView(Value, frozen=True):
    """An ExternalService. `workspace` is its owner; `labels` are sorted pairs."""

    key: ObjectKey
    created: str
    workspace: str
    spec: ExternalServiceSpec
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Never empty: with `addresses` only there is a generated one (destinations.md §8.3)."""
        generated = f"{self.key.name}.{self.key.namespace}.external.internal"
        return tuple(h.lower() for h in self.spec.hosts) or (generated,)

    @property
    def host(self) -> str:
        """The first that is no wildcard, else the wildcard itself (destinations.md §1.2)."""
        return next((h for h in self.hosts if not h.startswith("*")), self.hosts[0])

    @property
    def named_ports(self) -> tuple[NamedPort, ...]:
        return tuple(NamedPort(p.number, p.name or f"{p.protocol.lower()}-{p.number}") for p in self.spec.ports)


DestinationView = ServiceView | VirtualDestinationView | ExternalServiceView


def select_port(selector: PortSelector, ports: Iterable[NamedPort]) -> int | None:
    """The number of the port meant: a number against the number, a name against the name, never a target port (D-4)."""
    if selector.number:
        return next((p.number for p in ports if p.number == selector.number), None)
    return next((p.number for p in ports if selector.name and p.name == selector.name), None)


def describe_port(selector: PortSelector) -> str:
    return str(selector.number) if selector.number else f'"{selector.name}"'


def speaks_http2(app_protocol: str, port_name: str) -> bool:
    """destinations.md §3.2."""
    return app_protocol in _HTTP2_APP_PROTOCOLS or port_name.startswith(("http2", "grpc"))


def port_protocol(app_protocol: str, port_name: str) -> str:
    """destinations.md §6.3: what the port says of itself, then what its name begins with."""
    for word in (app_protocol.upper(), port_name.upper().partition("-")[0]):
        if word == "KUBERNETES.IO/H2C":
            return "HTTP2"
        if word in _PROTOCOLS:
            return word
    return "HTTP" if port_name.lower().startswith("http") else "TCP"


def service_view(key: ObjectKey, service: Service) -> ServiceView | None:
    """None when the Service hides itself (destinations.md §2.5). Ports that are not TCP are no destinations."""
    meta, spec = service.metadata, service.spec
    if meta.annotations.get(_EXPORT_TO) == "~":
        return None
    return ServiceView(
        key=key,
        created=meta.creation_timestamp or "",
        labels=tuple(sorted(meta.labels.items())),
        ports=tuple(
            ServicePortView(
                number=p.port,
                name=p.name,
                http2=speaks_http2(p.app_protocol, p.name),
                protocol=port_protocol(p.app_protocol, p.name),
            )
            for p in spec.ports
            if p.protocol == "TCP"
        ),
        external_name=spec.external_name if spec.type == "ExternalName" else "",
    )


def virtual_destination_view(key: ObjectKey, obj: VirtualDestination, workspace: str) -> VirtualDestinationView:
    meta = obj.metadata
    labels = tuple(sorted(meta.labels.items()))
    return VirtualDestinationView(
        key=key, created=meta.creation_timestamp or "", workspace=workspace, spec=obj.spec, labels=labels
    )


def external_service_view(key: ObjectKey, obj: ExternalService, workspace: str) -> ExternalServiceView:
    meta = obj.metadata
    labels = tuple(sorted(meta.labels.items()))
    return ExternalServiceView(
        key=key, created=meta.creation_timestamp or "", workspace=workspace, spec=obj.spec, labels=labels
    )
