"""Which types there are for ingest, who may write them, and which are never taken.

Nothing here looks into an object.
"""

from __future__ import annotations

from collections.abc import Collection

from fingerpost.api.kinds import KINDS
from fingerpost.objects import ObjectKey
from mgmt.store.values import SERVER, SHARED, Source, agent_source

KUBERNETES_CLUSTER = "admin.gloo.solo.io/KubernetesCluster"
SESSION = "fingerpost.dev/ClusterSession"  # one per source of a cluster: who feeds it, and how complete it is
PIN = "fingerpost.dev/Pin"  # name: whatever the guards call the pin; cluster and namespace are empty
REFUSED = frozenset({"core/Secret"})  # secret data never leaves its cluster; an agent that sends it is broken

# the management cluster's agent pushes these; everything else of that cluster the server reads itself
DISCOVERED = frozenset(
    {
        "core/Service",
        "internal.gloo.solo.io/DiscoveredGateway",
        "fingerpost.dev/ServiceFacts",
        "fingerpost.dev/SecretFacts",
    }
)
_INTERNAL = "internal.gloo.solo.io"
_SERVER_RECORD = "server"
_AGENT_RECORD = "agent"


def source_of(key: ObjectKey, management: str) -> Source:
    """Every key has exactly one source, so two writers never race for one key."""
    if key.type == PIN:
        return SHARED
    if key.type == SESSION:
        return SERVER if key.name == _SERVER_RECORD else agent_source(key.cluster)
    return SERVER if key.cluster == management and key.type not in DISCOVERED else agent_source(key.cluster)


def record_key(source: Source, management: str) -> ObjectKey:
    if source == SERVER:
        return ObjectKey(SESSION, management, "", _SERVER_RECORD)
    return ObjectKey(SESSION, source.partition(":")[2], "", _AGENT_RECORD)


def pin_key(name: str) -> ObjectKey:
    return ObjectKey(PIN, "", "", name)


# patterns of what `read_by_server` takes
TYPES_OF_SERVER = ("core/Namespace", *sorted({f"{kind.group}/*" for kind in KINDS if kind.written_by_users}))


def read_by_server(type_: str) -> bool:
    """What the server reads of the management cluster: the users' kinds and Namespaces. Not what agents keep there:
    every change of a gateway would come back as an input.
    """
    group = type_.partition("/")[0]
    return type_ == "core/Namespace" or (group.endswith(".solo.io") and group != _INTERNAL)


def accepted_from_agent(cluster: str, management: str) -> Collection[str] | None:
    return DISCOVERED if cluster == management else None


def pushed_by_agent(cluster: str, type_: str, management: str) -> bool:
    if type_ in (SESSION, PIN) or type_ in REFUSED:
        return False
    return cluster != management or type_ in DISCOVERED
