"""Values: a destination that Istio has to be told of, as the gateways of one cluster see it."""

from __future__ import annotations

from fingerpost.objects import ObjectKey
from mgmt.translate.ir import Address, ClientTls, DestinationSettings, Value

Labels = tuple[tuple[str, str], ...]  # sorted


class Port(Value, frozen=True):
    number: int
    protocol: str  # upper case
    name: str
    settings: DestinationSettings = DestinationSettings()
    tls: ClientTls | None = None


class Local(Value, frozen=True):
    """The Service that backs a destination in the cluster at hand. `targets` maps the destination's ports to those of
    the pods; 0 where only the pods know the number.
    """

    namespace: str
    selector: Labels
    targets: tuple[tuple[int, int], ...]
    all_sidecars: bool = False

    @property
    def unusable(self) -> str:
        """Why a ServiceEntry cannot select the pods; empty when it can."""
        if not self.selector:
            return "has no selector; add one"
        if any(target == 0 for _, target in self.targets):
            return "has a named targetPort, which a ServiceEntry cannot have; use a number"
        return ""

    def target(self, number: int) -> int | None:
        return next((target for port, target in self.targets if port == number), None)


class Remote(Value, frozen=True):
    """An address of another cluster's east-west gateway. `ports` maps the destination's ports to those of the gateway;
    `labels` are the combinations, restricted to what subsets ask for, that ready pods behind it have.
    """

    cluster: str
    address: str
    ports: tuple[tuple[int, int], ...]
    region: str = ""
    labels: tuple[Labels, ...] = ((),)


class VirtualHost(Value, frozen=True):
    """One host of a VirtualDestination in one cluster. `subsets` are those that routes there use; `audience` the
    namespaces whose proxies may see it, sorted; `mutual`: callers and pods speak mutual TLS end to end.
    """

    parent: ObjectKey
    host: str
    workspace: str
    ports: tuple[Port, ...]
    local: Local | None = None
    remote: tuple[Remote, ...] = ()
    external: tuple[tuple[int, tuple[Address, ...]], ...] = ()  # by port of the destination
    identities: tuple[str, ...] = ()
    mutual: bool = False
    subsets: tuple[Labels, ...] = ()
    audience: tuple[str, ...] = ()


class ExternalEndpoint(Value, frozen=True):
    """`ports` are by name of the ExternalService's port; empty for a unix socket."""

    address: str
    ports: tuple[tuple[str, int], ...] = ()
    labels: Labels = ()
    locality: str = ""


class External(Value, frozen=True):
    """An ExternalService. `targets` are the ports to dial where it has no `endpoints`."""

    parent: ObjectKey
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: tuple[Port, ...]
    targets: tuple[tuple[int, int], ...] = ()
    endpoints: tuple[ExternalEndpoint, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
