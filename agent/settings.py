"""All settings of the agent."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every field is a flag (`--state-dir`), a variable (`FINGERPOST_AGENT_STATE_DIR`) and a name in the file."""

    cluster: str
    """The name of this cluster; that of its KubernetesCluster."""
    directory: Path
    """The cluster as a folder of manifests."""
    state_dir: Path
    """What this agent keeps: what it serves, tokens, gateway keys, statuses."""
    server_address: str = "127.0.0.1:9900"
    """The management server's relay port."""
    authority: str = "gloo-mesh-mgmt-server.gloo-mesh"
    xds_address: str = "127.0.0.1:9977"
    """Where this cluster's Envoys connect."""
    admin_address: str = "127.0.0.1:9988"
    """Health, metrics, and the API of the command line."""
    trust_domain: str = "cluster.local"
    instance: str = ""
    """The name of this agent process; default: made from its process id."""
    heartbeat: float = 10.0
    retry_ceiling: float = 60.0
    verbose: bool = False
