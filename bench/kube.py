"""What measurements on a real API server share: the network they run in, and our server and agent on one cluster."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figures import say
from bench.processes import command, started
from fingerpost.cluster.kubernetes.credentials import ACCOUNT
from fingerpost.crd.definition import definition
from tests.fleet import fleet_manifests as m
from tests.kube import inside
from tests.kube.api_server import ADMIN, ApiServer
from tests.kube.kube_client import KubeClient, namespace
from tests.kube.kube_fleet import stored_kinds

CLUSTER = "mgmt"
_ANY = "127.0.0.1:0"
_INSIDE = "--inside"
_SHARED: dict[str, object] = {"cluster": CLUSTER, "in_cluster": "true", "insecure": "true", "admin_address": _ANY}


def run(module: str, measure: Callable[[Path, int, int], Coroutine[Any, Any, None]]) -> int:
    """`python -m module NUMBER NUMBER`, in a network of its own; `measure` gets an empty folder and the numbers."""
    if sys.argv[3:] != [_INSIDE]:
        if lacking := inside.missing():
            say(f"nothing was measured: {lacking}")
            return 0
        return inside.run(module, *sys.argv[1:], _INSIDE)
    first, second = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        asyncio.run(measure(Path(folder), first, second))
    return 0


async def begin_world(kube: KubeClient) -> None:
    """All kinds, the cluster and a workspace; the namespace of its services."""
    await kube.install(*(definition(kind) for kind in stored_kinds()))
    await kube.apply(namespace(m.ADMIN_NAMESPACE), namespace("shop"), m.registered(CLUSTER), m.workspace())


@contextmanager
def management(root: Path, server: ApiServer) -> Iterator[dict[str, Any]]:
    """What the management server says when it is ready: the ports `relay` and `admin`."""
    flags = {**_SHARED, "state_dir": root / "state" / "mgmt", "relay_address": _ANY}
    with started("mgmt", [*_pod(server, root), *command("mgmt", **flags)], root, "mgmt.server.ready") as (_, told):
        yield told


@contextmanager
def agent(root: Path, server: ApiServer, served: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The pid of an agent, and what it says when it is ready. `served`: what the server has said."""
    flags = {**_SHARED, "state_dir": root / "state" / "agent", "xds_address": _ANY}
    flags["server_address"] = f"127.0.0.1:{served['relay']}"
    with started("agent", [*_pod(server, root), *command("agent", **flags)], root, "agent.ready") as found:
        yield found


def _pod(server: ApiServer, root: Path) -> list[str]:
    """The command after which a process finds the service account of a pod, as where it is installed."""
    account = root / "account"
    account.mkdir(exist_ok=True)
    (account / "token").write_text(server.token(ADMIN))
    (account / "ca.crt").write_bytes((server.folder / "pki" / "ca.crt").read_bytes())
    variables = ("KUBERNETES_SERVICE_HOST=127.0.0.1", f"KUBERNETES_SERVICE_PORT={server.port}")
    shown = f'mount -t tmpfs run /run && mkdir -p {ACCOUNT} && mount --bind {account} {ACCOUNT} && exec "$@"'
    return ["env", *variables, "unshare", "--mount", "sh", "-c", shown, "sh"]
