"""The running clusters, as chapters see them: gateways, API servers, and the command line.

The clusters live in an event loop; chapters are plain functions in a thread beside it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ctl.commands.register import PATIENCE
from demo.client import Connection
from demo.ground import ROOT
from demo.kube.manifests import Object
from demo.plane import TLS, Ran
from tests.kube.cluster import Cluster

T = TypeVar("T")
MANAGEMENT, ISTIO = "mgmt", ("east", "west")
ADMIN = "gloo-mesh"
_PATIENCE = 60.0
_OF_COMMAND = PATIENCE + 30.0  # longer than the command waits by itself, so that it can say why
_JSON = {"Content-Type": "application/json"}
_MERGE = {"Content-Type": "application/merge-patch+json"}


class Answered(NamedTuple):
    """What an API server said."""

    status: int
    body: Any


class Plane:
    """`gateways`: cluster -> the address of its load balancer."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clusters: Mapping[str, Cluster],
        state: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._loop, self.clusters, self.state, self._environment = loop, clusters, state, environment
        self.gateways: dict[str, str] = {}

    @property
    def authority(self) -> Path:
        """The certificate that clients of the shop trust."""
        return self.state / "shop-ca.pem"

    def connection(self, cluster: str, host: str = "www.shop.example", port: int = 80) -> Connection:
        return Connection(self.gateways[cluster], port, host, self.authority if port == TLS else None)

    def wait(self, work: Coroutine[Any, Any, T], within: float = _PATIENCE) -> T:
        """From the chapters' thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within)

    # ---------------------------------------------------------------- API servers, as kubectl has them

    def apply(self, cluster: str, *objects: Object) -> None:
        self.wait(self.clusters[cluster].kube.apply(*objects))

    def ask(self, cluster: str, path: str, **headers: str) -> Any:
        answer = self._said(cluster, "GET", path, None, headers)
        assert answer.status < 300, f"{cluster}: GET {path}: {answer.body}"  # noqa: S101
        return answer.body

    def create(self, cluster: str, path: str, obj: Object) -> Answered:
        """As kubectl does, strict about unknown fields; for objects that may be refused."""
        return self._said(cluster, "POST", f"{path}?fieldValidation=Strict", obj, _JSON)

    def scale(self, cluster: str, where: str, name: str, replicas: int) -> None:
        path = f"/apis/apps/v1/namespaces/{where}/deployments/{name}"
        answer = self._said(cluster, "PATCH", path, {"spec": {"replicas": replicas}}, _MERGE)
        assert answer.status < 300, answer.body  # noqa: S101

    def delete_pods(self, cluster: str, where: str, app: str, *, at_once: bool = False) -> None:
        """`at_once`: without a chance to end in order."""
        path = f"/api/v1/namespaces/{where}/pods?labelSelector=app%3D{app}"
        self._said(cluster, "DELETE", path, {"gracePeriodSeconds": 0} if at_once else {}, {})

    def pods(self, cluster: str, where: str, app: str) -> list[Object]:
        """Those that are ready."""
        found = self.ask(cluster, f"/api/v1/namespaces/{where}/pods?labelSelector=app%3D{app}")["items"]
        return [pod for pod in found if _ready(pod)]

    def _said(self, cluster: str, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answered:
        http = self.clusters[cluster].kube.http
        content = None if body is None else json.dumps(body)
        answer = self.wait(http.request(method, path, content=content, headers=dict(headers)))
        return Answered(answer.status_code, answer.json())

    # ---------------------------------------------------------------- the command line

    def run(self, *arguments: str) -> Ran:
        """`fingerpost ...`, which knows no more than a kubeconfig with the contexts of all clusters."""
        command = [str(Path(sys.executable).with_name("fingerpost")), *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command,
                cwd=ROOT,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_OF_COMMAND,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace").rstrip()
            return Ran(-1, f"{said}\nno end within {_OF_COMMAND:.0f} s".lstrip())
        return Ran(done.returncode, done.stdout.decode(errors="replace"))


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    going = "deletionTimestamp" in pod["metadata"]
    return not going and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
