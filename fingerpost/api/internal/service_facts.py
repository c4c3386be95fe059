"""ServiceFacts: the few facts about a Service's pods that other clusters need (destinations.md §2.4).

It changes when a port gains its first or loses its last ready endpoint, when a service account or a subset label value
appears or goes, and never because a deployment was scaled from 3 to 5 (D-14).
"""

from collections.abc import Mapping

from fingerpost.api.base import ApiStruct, ObjectMeta

TYPE = "fingerpost.dev/ServiceFacts"


class ServiceFactsSpec(ApiStruct, frozen=True):
    ready_ports: tuple[int, ...] = ()  # service port numbers with at least one ready endpoint, sorted
    service_accounts: tuple[str, ...] = ()  # of the ready pods, sorted
    all_sidecars: bool = False  # every ready pod has a sidecar
    pods_without_sidecar: bool = False  # at least one ready pod has none
    region: str = ""  # of the node of the first ready pod by name
    labels: tuple[
        Mapping[str, str], ...
    ] = ()  # distinct combinations among ready pods, restricted to the keys of Interest


class ServiceFacts(ApiStruct, frozen=True):
    """`metadata` names the Service."""

    metadata: ObjectMeta
    spec: ServiceFactsSpec = ServiceFactsSpec()
    api_version: str = "fingerpost.dev/v1"
    kind: str = "ServiceFacts"
