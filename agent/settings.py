"""All settings of the agent."""

from __future__ import annotations

import msgspec

from fingerpost.config import (
    ClusterName,
    KubeconfigFile,
    ListenAddress,
    ManifestFolder,
    Names,
    NamespaceName,
    Namespaces,
    PeerAddress,
    Ratio,
    Seconds,
    StateFolder,
    TrustDomain,
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
    mesh_configs: Names = ("istio-system/istio",)
    """The ConfigMaps with the mesh configuration of the cluster's istiods, as namespace/name. A namespace that the
    `discoverySelectors` of none of them select is left out of what is discovered (`meshConfigs`).
    """
    server_address: PeerAddress = "127.0.0.1:9900"
    """The management server's relay port."""
    authority: str = "gloo-mesh-mgmt-server.gloo-mesh"
    """The name that the server's certificate must have, whatever `server_address` is."""
    insecure: bool = False
    """The relay in plaintext; the server must say so too. For tests."""
    namespace: NamespaceName = "gloo-mesh"
    """Where this agent keeps its own objects in a cluster behind an API server, its Secrets among them."""
    secrets_dir: StateFolder | None = None
    """The relay's secrets as a folder with a sub-folder each. Absent: Secrets of `namespace` where there is an API
    server, else `secrets` in the state folder.
    """
    leader_election: bool = False
    """Of several agents of this cluster one leads, by the Lease `gloo-mesh-agent` of `namespace`
    (`common.leaderElection`, `leaderElection`).
    """
    root_tls_secret: str = "relay-root-tls-secret"
    """`ca.crt`: the roots that the server's certificate is checked against (`relay.rootTlsSecret`)."""
    client_tls_secret: str = "relay-client-tls-secret"
    """Brought, or written by this agent once the server has issued a certificate (`relay.clientTlsSecret`)."""
    token_secret: str = "relay-identity-token-secret"
    """`relay.tokenSecret.name`; needed until there is a client certificate."""
    token_secret_key: str = "token"
    """`relay.tokenSecret.key`"""
    relay_token: str = ""
    """Show this token on every connection, and no certificate (`RELAY_TOKEN`)."""
    disable_server_certificate_validation: bool = False
    """Believe any server (`RELAY_DISABLE_SERVER_CERTIFICATE_VALIDATION`)."""
    client_tls_secret_rotation_grace_period_ratio: Ratio = 0.2
    """A client certificate that the server issued is renewed when this share of its lifetime is left, or up to a
    quarter of that earlier (`relay.clientTlsSecretRotationGracePeriodRatio`).
    """
    xds_address: ListenAddress = "127.0.0.1:9977"
    """Where this cluster's Envoys connect."""
    admin_address: ListenAddress = "127.0.0.1:9988"
    """Health, metrics, and the API of the command line."""
    trust_domain: TrustDomain = "cluster.local"
    """The first part of the SPIFFE names in the gateways' certificates."""
    instance: str = ""
    """The name of this agent process. Empty: made from the cluster's name and the process id."""
    heartbeat: Seconds = 10.0
    """Seconds between two signs of life to the server. A stream on which nothing came for three times as long ends."""
    retry_ceiling: Seconds = 60.0
    """The longest wait, in seconds, before the agent tries again to reach the server."""
    otlp_endpoint: str = ""
    """Where traces are sent by OTLP (gRPC): `http://host:4317`, or `https://` for TLS. Empty: what the variable
    `OTEL_EXPORTER_OTLP_ENDPOINT` says; without it nothing is traced.
    """
    verbose: bool = False
    """Log what helps to find a mistake, too."""
