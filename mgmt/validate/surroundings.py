"""What a set of manifests takes for granted: clusters, namespaces, a workspace, gateways. Added so that the translator
can look at the set as a whole, and said where it matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fingerpost.api.core.pod import Pod
from fingerpost.api.core.service import Service
from fingerpost.api.decode import decode
from fingerpost.api.internal.discovered_gateway import TYPE as GATEWAY
from fingerpost.api.limits import CLUSTER_NAME
from fingerpost.cluster.directory.manifest import NAMESPACE_TYPE, declared_by_use
from fingerpost.objects import ObjectKey, canonical, is_name
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER, ROUTE_TABLE, WORKSPACE
from mgmt.translate.graph.ownership import Place
from mgmt.translate.routing.binding import referenced_gateways
from mgmt.translate.routing.destination_views import SERVICE
from mgmt.validate.report import Finding, Level

_POD = "core/Pod"
_GATEWAY_LABEL = "gateway.gloo.solo.io/type"
_SERVICE_TYPES = {"NodePort": "NODE_PORT", "LoadBalancer": "LOAD_BALANCER", "ExternalName": "EXTERNAL_NAME"}
_CLUSTER_NAME = re.compile(CLUSTER_NAME)

Objects = dict[ObjectKey, bytes]


def complete(place: Place, objects: Mapping[ObjectKey, bytes]) -> tuple[Objects, tuple[Finding, ...]]:
    """The set with what it takes for granted, and notes about that."""
    out = dict(objects)
    notes: list[Finding] = []
    if not any(key.type == WORKSPACE for key in out):
        out.update([_workspace(place)])
        message = "the set has no Workspace, so one over all clusters and namespaces is assumed"
        notes.append(Finding(level=Level.NOTE, code="WorkspaceAssumed", message=message))
    for cluster in sorted({key.cluster for key in objects} - {place.cluster}):
        key = ObjectKey(KUBERNETES_CLUSTER, place.cluster, place.admin_namespace, cluster)
        if key not in out and _CLUSTER_NAME.fullmatch(cluster):
            out[key] = _body("admin.gloo.solo.io/v2", key, {})
    out.update(_gateways(out))
    spaces = {(key.cluster, key.namespace) for key in out if key.namespace}
    if notes:  # the assumed one owns also what only references name, so that these say what is missing
        spaces |= set(_named(objects))
    for cluster, namespace in sorted(spaces):
        declared = ObjectKey(NAMESPACE_TYPE, cluster, "", namespace)
        if declared not in out:
            out[declared] = declared_by_use(namespace, cluster).content
    return out, tuple(notes)


def _workspace(place: Place) -> tuple[ObjectKey, bytes]:
    key = ObjectKey(WORKSPACE, place.cluster, place.admin_namespace, "assumed")
    everywhere = {"workloadClusters": [{"name": "*", "namespaces": [{"name": "*"}]}]}
    return key, _body("admin.gloo.solo.io/v2", key, everywhere)


def _named(objects: Mapping[ObjectKey, bytes]) -> Iterable[tuple[str, str]]:
    """Cluster and namespace of the VirtualGateways that tables name."""
    for key, body in objects.items():
        if key.type == ROUTE_TABLE and (table := decode(key, body)[0]) is not None:
            for gateway in referenced_gateways(key, table.spec.virtual_gateways):
                if gateway.namespace and is_name(gateway.namespace, gateway.name):
                    yield gateway.cluster, gateway.namespace


def _body(api_version: str, key: ObjectKey, spec: Mapping[str, Any]) -> bytes:
    metadata = {"name": key.name, "namespace": key.namespace}
    return canonical({"apiVersion": api_version, "kind": key.kind, "metadata": metadata, "spec": spec})


def _gateways(objects: Mapping[ObjectKey, bytes]) -> Iterable[tuple[ObjectKey, bytes]]:
    """A Service that selects a pod labelled as a plain-Envoy gateway is a gateway, ready or not."""
    pods: dict[tuple[str, str], list[Pod]] = {}
    services: list[tuple[ObjectKey, Service]] = []
    for key, body in objects.items():
        if key.type not in (SERVICE, _POD):
            continue
        obj, _ = decode(key, body)
        if isinstance(obj, Service) and obj.spec.selector:
            services.append((key, obj))
        elif isinstance(obj, Pod) and obj.metadata.labels.get(_GATEWAY_LABEL) == "envoy":
            pods.setdefault((key.cluster, key.namespace), []).append(obj)
    for key, service in services:
        wanted = service.spec.selector.items()
        around = pods.get((key.cluster, key.namespace), ())
        if any(wanted <= pod.metadata.labels.items() for pod in around):
            gateway = key._replace(type=GATEWAY)
            yield gateway, _body("internal.gloo.solo.io/v2", gateway, _gateway_spec(service))


def _gateway_spec(service: Service) -> dict[str, Any]:
    spec = service.spec
    ports = [{"number": p.port, "name": p.name, "protocol": p.protocol, "target": p.listening_port} for p in spec.ports]
    ingress = [i.ip or i.hostname for i in service.status.load_balancer.ingress]
    addresses = dict.fromkeys(a for a in (*spec.external_ips, *ingress) if a)
    outside = {str(p.port): p.port for p in spec.ports}
    return {
        "gatewayKind": "envoy",
        "workloadLabels": dict(spec.selector),
        "serviceLabels": dict(service.metadata.labels),
        "serviceType": _SERVICE_TYPES.get(spec.type, "CLUSTER_IP"),
        "ports": ports,
        "externalAddresses": [{"address": address, "ports": outside} for address in addresses],
    }
