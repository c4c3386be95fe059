"""Resolution of a DestinationReference to exactly one host and port (destinations.md §1.2), or to the reason why there
is none.

What it reads of the world it reads through `DestinationWorld`, so that the caller can note what a result depends on. A
message never tells whether an object of another workspace exists (W-46).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fingerpost.api.common import DestinationKind, DestinationReference, ObjectReference
from fingerpost.objects import ObjectKey
from mgmt.translate.ir import Destination
from mgmt.translate.routing import errors
from mgmt.translate.routing.destination_views import (
    TYPE_OF_KIND,
    DestinationView,
    ExternalServiceView,
    ServiceView,
    VirtualDestinationView,
    describe_port,
    select_port,
)
from mgmt.translate.routing.errors import RouteError


class DestinationWorld(Protocol):
    """Every method is a question whose answer the result depends on."""

    def service(self, key: ObjectKey) -> ServiceView | None: ...

    def virtual_destination(self, key: ObjectKey) -> VirtualDestinationView | None: ...

    def external_service(self, key: ObjectKey) -> ExternalServiceView | None: ...

    def federated(self, key: ObjectKey, workspace: str) -> VirtualDestinationView | None:
        """The Service as federation in that workspace has it; None where it is not covered (destinations.md §6)."""
        ...

    def find(self, kind: DestinationKind, namespace: str, name: str) -> Iterable[ObjectKey]:
        """The objects of that name in all clusters. Never asked for Services."""
        ...

    def available(self, key: ObjectKey, workspace: str) -> bool:
        """Owned by the workspace, or exported to it and imported there (workspaces.md §5)."""
        ...

    def owner(self, cluster: str, namespace: str) -> str | None:
        """The workspace that owns the namespace of the cluster, whether or not anything is in it."""
        ...

    def cluster_domain(self, cluster: str) -> str: ...

    def host_holder(self, host: str, workspace: str) -> ObjectKey | None:
        """Who holds the host in that workspace (destinations.md §5.3); None when nobody claims it."""
        ...


def resolve(
    ref: DestinationReference,
    holder: ObjectKey,
    holder_workspace: str,
    gateway_workspace: str,
    gateway_cluster: str | None,
    world: DestinationWorld,
) -> Destination | RouteError:
    """`gateway_cluster` None stands for any cluster in which the Service meant does not live, so that like gateways
    share the result.
    """
    if ref.aws_lambda is not None:
        return RouteError(errors.ACTION, "awsLambda destinations are not implemented in this version")
    if ref.ref is None or not ref.ref.name:
        return RouteError(errors.DESTINATION, "destination has no ref.name")
    view = _look_up(ref.kind, ref.ref, holder, holder_workspace, world)
    if isinstance(view, RouteError):
        return view
    if not world.available(view.key, gateway_workspace):
        return RouteError(
            errors.DESTINATION,
            f"{_dotted(view.key)} is available in workspace {holder_workspace} but not available in workspace "
            f"{gateway_workspace} of the gateway; its owner has to export it and {gateway_workspace} to import it",
        )
    remote = isinstance(view, ServiceView) and view.key.cluster != gateway_cluster
    federated = world.federated(view.key, gateway_workspace) if remote else None
    if remote and federated is None:
        return RouteError(
            errors.DESTINATION,
            f"destination {view.key} is not federated; reach it from gateways of other clusters through a "
            f"VirtualDestination, or have the settings of workspace {gateway_workspace} federate it",
        )
    host = federated.hosts[0] if federated else _host(view, world)
    if isinstance(host, RouteError):
        return host
    # A federated name counts where it was made: only gateways of that workspace know it.
    where = (gateway_workspace,) if federated else (holder_workspace, gateway_workspace)
    if (clash := _clash(view, host, where, world)) is not None:
        return clash
    port = _port(ref, view)
    if isinstance(port, RouteError):
        return port
    if federated and all(p.number != port for p in federated.spec.ports):
        return RouteError(
            errors.PORT,
            f"port {port} of destination {view.key} is not federated; list it in federation.ports of the settings of "
            f"workspace {gateway_workspace}",
        )
    subset = () if isinstance(view, ExternalServiceView) else tuple(sorted(ref.subset.items()))
    workspace = gateway_workspace if federated else ""
    return Destination(object=view.key, host=host, port=port, subset=subset, workspace=workspace)


def reference_warnings(ref: DestinationReference) -> tuple[str, ...]:
    """What is ignored in the reference itself (D-8)."""
    if ref.kind is DestinationKind.EXTERNAL_SERVICE and ref.subset:
        name = ref.ref.name if ref.ref else ""
        return (f"subset is ignored on EXTERNAL_SERVICE destination {name}; only Kubernetes endpoints have subsets",)
    return ()


def clusters_of_interest(ref: DestinationReference, holder: ObjectKey) -> frozenset[str]:
    """The clusters whose gateways may resolve the reference otherwise than all others do."""
    if ref.aws_lambda is not None or ref.ref is None or ref.kind is not DestinationKind.SERVICE:
        return frozenset()
    return frozenset((ref.ref.cluster or holder.cluster,))


def referenced_key(ref: ObjectReference, kind: DestinationKind, holder: ObjectKey) -> ObjectKey:
    """The key written, with namespace and cluster of the holder where absent."""
    return ObjectKey(TYPE_OF_KIND[kind], ref.cluster or holder.cluster, ref.namespace or holder.namespace, ref.name)


def _view(kind: DestinationKind, key: ObjectKey, world: DestinationWorld) -> DestinationView | None:
    if kind is DestinationKind.SERVICE:
        return world.service(key)
    if kind is DestinationKind.VIRTUAL_DESTINATION:
        return world.virtual_destination(key)
    return world.external_service(key)


def _look_up(
    kind: DestinationKind, ref: ObjectReference, holder: ObjectKey, workspace: str, world: DestinationWorld
) -> DestinationView | RouteError:
    key = referenced_key(ref, kind, holder)
    view = _view(kind, key, world)
    if view is not None and world.available(key, workspace):
        return view
    if kind is not DestinationKind.SERVICE and not ref.cluster:
        # An object out of reach counts as none: otherwise the answer would tell that it exists.
        hits = sorted(k for k in world.find(kind, key.namespace, key.name) if world.available(k, workspace))
        if len(hits) > 1:
            where = ", ".join(k.cluster for k in hits)
            return RouteError(
                errors.DESTINATION,
                f"ambiguous reference to {key.kind} {key.namespace}/{key.name}, found in clusters {where}; set "
                "ref.cluster",
            )
        found = _view(kind, hits[0], world) if hits else None
        if found is not None:
            return found
    if world.owner(key.cluster, key.namespace) == workspace:
        return RouteError(errors.DESTINATION, f"destination {key} not found")
    return RouteError(errors.DESTINATION, f"{_dotted(key)} is not available in workspace {workspace}")


def _dotted(key: ObjectKey) -> str:
    return f"{key.kind} {key.name}.{key.namespace}.{key.cluster}"


def _host(view: DestinationView, world: DestinationWorld) -> str | RouteError:
    if isinstance(view, ServiceView):
        return view.host(world.cluster_domain(view.key.cluster))
    if isinstance(view, ExternalServiceView):
        return view.host
    if view.bare:
        return RouteError(
            errors.DESTINATION,
            f"destination {view.key} selects no services, externalServices or externalWorkloads and cannot take "
            "requests",
        )
    return view.hosts[0]


def _clash(view: DestinationView, host: str, workspaces: tuple[str, ...], world: DestinationWorld) -> RouteError | None:
    """One host is one destination on a gateway: whoever lost it may not lend its name to another's endpoints (D-43).
    The name of a Service in its own cluster is its own; nobody claims it.
    """
    for workspace in workspaces:
        winner = world.host_holder(host, workspace)
        if winner is not None and winner != view.key:
            return RouteError(
                errors.DESTINATION, f"destination {view.key} does not hold its host {host} in workspace {workspace}"
            )
    return None


def _port(ref: DestinationReference, view: DestinationView) -> int | RouteError:
    ports = view.named_ports
    shown = ", ".join(f"{p.number} ({p.name})" if p.name else str(p.number) for p in ports) or "none"
    if ref.port is None or not (ref.port.number or ref.port.name):
        if len(ports) == 1:
            return ports[0].number
        return RouteError(errors.PORT, f"destination {view.key} needs a port, because it has {len(ports)}: {shown}")
    number = select_port(ref.port, ports)
    if number is None:
        return RouteError(
            errors.PORT, f"destination {view.key} has no port {describe_port(ref.port)}; its ports are {shown}"
        )
    return number
