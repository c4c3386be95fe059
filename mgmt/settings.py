"""All settings of the management server."""

from __future__ import annotations

from typing import Literal

import msgspec

from fingerpost.config import (
    ClusterName,
    Count,
    KubeconfigFile,
    Lifetime,
    ListenAddress,
    ManifestFolder,
    NamespaceName,
    Namespaces,
    Seconds,
    Share,
    StateFolder,
    Wait,
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every field is a flag (`--state-dir`), an environment variable (`FINGERPOST_MGMT_STATE_DIR`) and a name in the
    file.
    """

    state_dir: StateFolder
    """Where this server keeps what it owns: its own Redis, its certificate authority, statuses."""
    directory: ManifestFolder | None = None
    """The management cluster as a folder of manifests. Neither this nor `kubeconfig` nor `in_cluster`: this replica
    reads none.
    """
    kubeconfig: KubeconfigFile | None = None
    """The cluster as the API server of this kubeconfig."""
    kube_context: str = ""
    """The context of the kubeconfig; empty: its current one."""
    in_cluster: bool = False
    """The cluster that this process runs in, as its pod's service account."""
    namespaces: Namespaces = ()
    """Only these are read of an API server (`watchNamespaces`); none: all."""
    cluster: ClusterName = "mgmt"
    """The name of the management cluster (`common.cluster`)."""
    admin_namespace: NamespaceName = "gloo-mesh"
    """Where Workspaces and KubernetesClusters count (`common.adminNamespace`)."""
    relay_address: ListenAddress = "127.0.0.1:9900"
    """Where agents connect, with TLS unless `insecure` is true."""
    insecure: bool = False
    """The relay in plaintext, without any proof of who an agent is (`common.insecure`). For tests."""
    secrets_dir: StateFolder | None = None
    """The relay's secrets as a folder with a sub-folder each. Absent: Secrets of the admin namespace where there is an
    API server, else `secrets` in the state folder.
    """
    disable_ca: bool = False
    """Issue no client certificates: neither token nor signing secret is needed (`relay.disableCa`)."""
    disable_ca_cert_generation: bool = False
    """Make no root, signing and server certificate: they are brought (`relay.disableCaCertGeneration`)."""
    disable_token_generation: bool = False
    """Make no token: it is brought (`relay.disableTokenGeneration`)."""
    disable_client_certificate_authentication: bool = False
    """Agents show the token on every connection (`RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION`)."""
    relay_token: str = ""
    """The token itself, in place of its secret (`RELAY_TOKEN`)."""
    root_tls_secret: str = "relay-root-tls-secret"
    """The root of the relay's certificates; `ca.crt` is what agents check the server against."""
    server_tls_secret: str = "relay-server-tls-secret"
    """`relay.tlsSecret`"""
    signing_tls_secret: str = "relay-tls-signing-secret"
    """`relay.signingTlsSecret`"""
    token_secret: str = "relay-identity-token-secret"
    """`relay.tokenSecret.name`"""
    token_secret_key: str = "token"
    """`relay.tokenSecret.key`"""
    require_cluster_token: bool = False
    """Only `relay-identity-token-<cluster>` counts, not the shared token."""
    require_approval: bool = False
    """For an agent of unknown name the server makes a KubernetesCluster, and the agent waits until a person accepts it
    (`relay.requireApproval`). Needs an API server as management cluster.
    """
    relay_authority: str = "gloo-mesh-mgmt-server.gloo-mesh"
    """The name in the server certificate that is made here; `authority` of the agents."""
    client_certificate_lifetime: Lifetime = 30 * 86400.0
    """Seconds, of what is issued to agents."""
    admin_address: ListenAddress = "127.0.0.1:9091"
    """Metrics, and the API of the command line."""
    health_address: ListenAddress | None = None
    """Liveness and readiness alone, for load balancers; absent: on `admin_address` only."""
    redis_url: str = ""
    """`redis://host:6379/0`, `rediss://...` or `unix:///socket?db=0`; `redis+sentinel://host:26379,.../master/0` asks
    Sentinels (`?sentinel_auth=true`: with user and password). Empty: the server starts its own Redis in the state
    folder.
    """
    redis_username: str = ""
    """Wins over the one in the URL."""
    redis_password: str = ""
    """Wins over the one in the URL. A flag can be seen by all users of the machine: better the environment."""
    replica: str = "mgmt-0"
    """The name of this replica; replicas on one Redis need different ones."""
    ca_dir: StateFolder | None = None
    """The certificate authority of the gateways as a folder that replicas on one Redis share. Absent: the Secret
    `gateway-root-tls-secret` of the admin namespace where there is an API server, else `ca` in the state folder.
    """
    safe_mode: Literal["on", "strict", "off"] = "on"
    """`on`: hold what depends on a cluster that has not reported since the start. `strict`: hold everything. `off`:
    nothing.
    """
    safe_start_window: Wait = 180.0
    """Seconds to wait for clusters before publishing when `safe_mode` is off."""
    guard_share: Share = 0.5
    """A loss of more than this share of the contributions, and of at least `guard_floor`, is held until the inputs were
    listed anew.
    """
    guard_floor: Count = 10
    """A smaller loss is not held, unless it is all there is."""
    history_keep: Lifetime = 7 * 86400.0
    """Seconds for which snapshots are kept: what users had written, to look at and to roll back to."""
    history_snapshots: Count = 10_000
    """The most snapshots; beyond it the oldest go."""
    history_bytes: Count = 64 * 1024 * 1024
    """The most bytes of Redis that snapshots take, besides a compressed copy of the newest objects."""
    scoped_routes_from: Count = 500
    """Where an Envoy serves at least this many hosts on one port (wildcards not counted), each gets its routes as a
    resource of its own, which makes an edit cheap; with half as many it gets one for all again. 0: never.
    """
    heartbeat: Seconds = 10.0
    """Seconds between two signs of life to an agent. A stream on which nothing came for three times as long ends."""
    drain_spread: Wait = 10.0
    """Seconds within which the agents of this server come back, each at random, when it stops. 0: at once (tests)."""
    lease: Seconds = 10.0
    """Seconds after its last sign of life until another replica may take over the management cluster."""
    leader_election: bool = True
    """Of several servers one writes statuses, by the Lease `gloo-mesh-mgmt-server` in `admin_namespace`
    (`common.leaderElection`). Without an API server, or if false: the one that Redis names.
    """
    enable_cluster_load_balancing: bool = True
    """Of several replicas one that carries more than its share of the agents lets the youngest go to others."""
    otlp_endpoint: str = ""
    """Where traces are sent by OTLP (gRPC): `http://host:4317`, or `https://` for TLS. Empty: what the variable
    `OTEL_EXPORTER_OTLP_ENDPOINT` says; without it nothing is traced.
    """
    verbose: bool = False
    """Log what helps to find a mistake, too."""
