"""The node: registered with the API server, it runs what the scheduler binds to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fingerpost.cluster.kubernetes.api import Api, connected
from tests.kube.api_server import ApiServer
from tests.kube.ground import Ground
from tests.kube.kube_client import KubeClient
from tests.kube.kubelet.door import PORT, open_door
from tests.kube.kubelet.images import Images
from tests.kube.kubelet.pods import Node, PodLife
from tests.kube.kubelet.probes import Prober
from tests.kube.kubelet.volumes import NotYet, Sources
from tests.kube.kubelet.watched import CONFIG_MAPS, PODS, SECRETS, Object, Watched

_NAME = "node"
_OVER = ("Succeeded", "Failed")
_RENEWED_EVERY = 10.0


class Kubelet:
    """Use `running_kubelet`."""

    def __init__(self, api: Api, client: KubeClient, ground: Ground, images: Images, folder: Path) -> None:
        self._client = client
        self._lives: dict[str, PodLife] = {}
        self._ends: dict[str, asyncio.Task[None]] = {}
        self._refresh = asyncio.Event()
        secrets, maps = Watched(api, SECRETS, self._touched), Watched(api, CONFIG_MAPS, self._touched)
        self._pods = Watched(api, PODS, self._changed)
        sources = Sources(secrets.objects, maps.objects, client)
        self._prober = Prober()
        self._node = Node(folder, ground, images, sources, self._prober)
        self.work = (secrets.run, maps.run, self._pods.run, self._keep_volumes)

    async def register(self) -> None:
        size = {"cpu": "64", "memory": "64Gi", "pods": "200", "ephemeral-storage": "100Gi"}
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}]
        address = {"type": "InternalIP", "address": self._node.ground.node}
        labels = {"kubernetes.io/hostname": _NAME, "kubernetes.io/os": "linux"}
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NAME, "labels": labels}}
        status = {"allocatable": size, "capacity": size, "conditions": conditions, "addresses": [address]}
        endpoints = {"kubeletEndpoint": {"Port": PORT}}
        await self._client.apply({**node, "status": {**status, "daemonEndpoints": endpoints}})
        # admission taints every new node; who would take the taint away looks after leases, which are not written here
        untainted = await self._client.http.patch(
            f"/api/v1/nodes/{_NAME}",
            headers={"Content-Type": "application/merge-patch+json"},
            json={"spec": {"taints": None}},
        )
        assert untainted.is_success, untainted.text

    def log(self, namespace: str, pod: str, container: str) -> Path:
        """Of the pod that is or was there last under this name (or, with a Deployment, that begins so)."""
        found = [life.folder for life in self._lives.values() if life.name.startswith(f"{namespace}/{pod}")]
        return found[-1] / f"{container}.log"

    def network(self, namespace: str, pod: str) -> str | None:
        """Of a pod that runs here: the file of its network namespace."""
        found = [life.network for life in self._lives.values() if life.name == f"{namespace}/{pod}"]
        return found[-1] if found else None

    def _changed(self, pod: Object, gone: bool) -> None:
        uid = pod["metadata"]["uid"]
        if pod["spec"].get("nodeName") != _NAME or uid in self._ends:
            return
        if uid not in self._lives:
            if gone or pod.get("status", {}).get("phase") in _OVER:
                return
            self._lives[uid] = PodLife(self._node, pod)
        if gone or pod["metadata"].get("deletionTimestamp"):
            life, grace = self._lives[uid], pod["metadata"].get("deletionGracePeriodSeconds", 0)
            self._ends[uid] = asyncio.create_task(life.close() if gone else life.end(grace), name=f"end.{life.name}")

    def _touched(self, obj: Object, gone: bool) -> None:
        self._refresh.set()

    async def _keep_volumes(self) -> None:
        """In step with what they show, and with the age of tokens."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._refresh.wait(), _RENEWED_EVERY)
            self._refresh.clear()
            for uid, life in list(self._lives.items()):
                if uid not in self._ends:
                    with suppress(NotYet):
                        await life.volumes.refresh()

    async def close(self) -> None:
        """Every process ends, at once."""
        for task in self._ends.values():
            task.cancel()
        lives = (life.close() for life in self._lives.values())
        outcomes = await asyncio.gather(*lives, *self._ends.values(), return_exceptions=True)
        await self._prober.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


@asynccontextmanager
async def running_kubelet(server: ApiServer, ground: Ground, images: Images, folder: Path) -> AsyncIterator[Kubelet]:
    async with connected(server.kubeconfig()) as api, KubeClient(server) as client:
        kubelet = Kubelet(api, client, ground, images, folder)
        await kubelet.register()
        tasks = [asyncio.create_task(work(), name="kubelet") for work in kubelet.work]
        try:
            async with open_door(ground.node, server.folder / "pki", kubelet.network):
                yield kubelet
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await kubelet.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
