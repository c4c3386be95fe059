"""What an agent must not lose with its process: in the state folder, or in its cluster where that has an API server.

With an API server: the Secrets `gloo-mesh-agent-key` and `gloo-mesh-agent-gateways`, and XdsConfig objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agent.apply.disk import Disk
from agent.apply.kept import Kept, KeptInFolder, KeptInSecret
from agent.apply.twice import KeptTwice
from agent.apply.xds_configs import XdsConfigs
from agent.discovery.secret_key import load_secret_key, shared_secret_key
from agent.settings import Settings
from agent.xds.ports import Keeper
from agent.xds.tokens import DerivedTokens, GatewayTokens, Tokens
from fingerpost.cluster.protocol import Cluster
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.secrets.protocol import Secrets

KEY_SECRET, GATEWAYS_SECRET = "gloo-mesh-agent-key", "gloo-mesh-agent-gateways"


class Keeping(NamedTuple):
    """`key`: of the keyed hashes of Secrets. `certificates`: with their keys."""

    key: bytes
    tokens: GatewayTokens
    certificates: Kept
    gateways: Keeper


async def open_keeping(settings: Settings, cluster: Cluster, secrets: Secrets, leads: Callable[[], bool]) -> Keeping:
    """Raises SecretsFailed, OSError. Only who `leads()` writes to the cluster."""
    state, gateways = settings.state_dir, _gateways(settings, cluster, leads)
    if isinstance(secrets, FolderSecrets):
        folder = KeptInFolder(state / "certificates")
        return Keeping(load_secret_key(state), Tokens(state / "tokens"), folder, gateways)
    key = await shared_secret_key(secrets, KEY_SECRET)
    kept = KeptInSecret(secrets, GATEWAYS_SECRET, leads)
    await kept.begin()
    return Keeping(key, DerivedTokens(key), kept, gateways)


def _gateways(settings: Settings, cluster: Cluster, leads: Callable[[], bool]) -> Keeper:
    disk = Disk(settings.state_dir / "gateways")
    if (outputs := cluster.outputs) is None:
        return disk
    return KeptTwice(disk, XdsConfigs(outputs, settings.cluster, settings.namespace, leads))
