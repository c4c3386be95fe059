"""All settings of the agent."""

from __future__ import annotations

import msgspec

from fingerpost.config import (
    ClusterName,
    KubeconfigFile,
    ListenAddress,
    ManifestFolder,
    Namespaces,
    PeerAddress,
    Seconds,
    StateFolder,
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every field is a flag (`--state-dir`), a variable (`FINGERPOST_AGENT_STATE_DIR`) and a name in the file."""

    cluster: ClusterName
    """The name of this cluster; that of its KubernetesCluster."""
    state_dir: StateFolder
    """What this agent keeps: what it serves, tokens, gateway keys, statuses."""
    directory: ManifestFolder | None = None
    """The cluster as a folder of manifests. This, `kubeconfig` or `in_cluster` must be given."""
    kubeconfig: KubeconfigFile | None = None
    """The cluster as the API server of this kubeconfig."""
    kube_context: str = ""
    """The context of the kubeconfig; empty: its current one."""
    in_cluster: bool = False
    """The cluster that this process runs in, as its pod's service account."""
    namespaces: Namespaces = ()
    """Only these are read of an API server (`watchNamespaces`); none: all."""
    server_address: PeerAddress = "127.0.0.1:9900"
    """The management server's relay port."""
    namespace: str = "gloo-mesh"
    """Where this agent keeps its own objects in a cluster behind an API server."""
    authority: str = "gloo-mesh-mgmt-server.gloo-mesh"
    """The server's name in the requests of the relay (`:authority`)."""
    xds_address: ListenAddress = "127.0.0.1:9977"
    """Where this cluster's Envoys connect."""
    admin_address: ListenAddress = "127.0.0.1:9988"
    """Health, metrics, and the API of the command line."""
    trust_domain: str = "cluster.local"
    """The first part of the SPIFFE names in the gateways' certificates."""
    instance: str = ""
    """The name of this agent process. Empty: made from the cluster's name and the process id."""
    heartbeat: Seconds = 10.0
    """Seconds between two signs of life to the server. A stream on which nothing came for three times as long ends."""
    retry_ceiling: Seconds = 60.0
    """The longest wait, in seconds, before the agent tries again to reach the server."""
    verbose: bool = False
    """Log what helps to find a mistake, too."""
