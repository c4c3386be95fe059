"""One pod: its sandbox, its containers in their order, its status, its end."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.kube.ground import Ground
from tests.kube.kubelet.containers import Around, Container
from tests.kube.kubelet.environment import environment, expanded, field_of
from tests.kube.kubelet.images import PATH, Images, image_of
from tests.kube.kubelet.probes import Prober
from tests.kube.kubelet.sandbox import Contained, Mount, Sandbox
from tests.kube.kubelet.volumes import NotYet, Sources, Volumes
from tests.kube.kubelet.watched import Object

_RETRY = 0.2
_STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


class Node(NamedTuple):
    """What all pods of a node share."""

    folder: Path
    ground: Ground
    images: Images
    sources: Sources
    prober: Prober


class PodLife:
    def __init__(self, node: Node, pod: Object) -> None:
        self._node, self._pod = node, pod
        metadata, spec = pod["metadata"], pod["spec"]
        self.name = f"{metadata['namespace']}/{metadata['name']}"
        self.folder = node.folder / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid'][:8]}"
        address, self._link = node.ground.pod()
        self._status: Object = {"podIP": address, "hostIP": node.ground.node, "startTime": _now()}
        self.volumes = Volumes(pod, self._status, self.folder / "volumes", node.sources)
        grace = float(spec.get("terminationGracePeriodSeconds", 30))
        policy = spec.get("restartPolicy", "Always")
        self._sandbox: Sandbox | None = None
        self._conditions: dict[str, Object] = {}
        self._failed = ""
        self._initialized = False
        self._changed = asyncio.Event()
        around = Around(self._start, self._changed.set, node.prober, address, policy, grace)
        once = around._replace(policy="Never" if policy == "Never" else "OnFailure")
        self._first = [Container(c, once) for c in spec.get("initContainers") or ()]
        self._main = [Container(c, around) for c in spec["containers"]]
        self._running = asyncio.create_task(self._run(), name=f"pod.{self.name}")
        self._telling = asyncio.create_task(self._tell(), name=f"status.{self.name}")

    @property
    def network(self) -> str | None:
        """The file of its network namespace, once there is one."""
        return self._sandbox.network if self._sandbox is not None else None

    async def _run(self) -> None:
        self._failed = _refused(self._pod["spec"])
        self._changed.set()
        if self._failed:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sandbox = await Sandbox.opened(str(self._status["podIP"]), self._link)
        for container in self._first:
            if await container.run() != 0:
                self._failed = f"the init container {container.spec['name']} failed with {container.exit_code}"
                self._changed.set()
                return
        self._initialized = True
        async with asyncio.TaskGroup() as group:
            for container in self._main:
                group.create_task(container.run(), name=f"container.{self.name}/{container.spec['name']}")

    async def _start(self, container: Object) -> Contained:
        image = image_of(container.get("image", ""), self._node.images)
        if image is None:
            known = ", ".join(sorted(self._node.images))
            raise NotYet(f"no image {container.get('image')!r} in the test's table, which has {known}; add it there")
        await self.volumes.refresh()
        try:
            env = environment(container, self._base(dict(image.environment)), self._field, self._data)
        except KeyError as unknown:
            raise NotYet(f"the environment of {container['name']}: {unknown.args[0]}") from unknown
        command = [expanded(word, env) for word in container.get("command") or image.entrypoint]
        command += [expanded(word, env) for word in container.get("args") or ()]
        hosts = self._files()
        assert self._sandbox is not None
        frozen = bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))
        workdir = container.get("workingDir") or image.workdir
        log = self.folder / f"{container['name']}.log"
        mounts = [*hosts, *self.volumes.mounts(container)]
        return await self._sandbox.start(command, env, workdir, mounts, log, frozen=frozen)

    def _base(self, image: dict[str, str]) -> dict[str, str]:
        api = {"KUBERNETES_SERVICE_HOST": self._node.ground.api, "KUBERNETES_SERVICE_PORT": "443"}
        return {"PATH": PATH, "HOME": "/root", "HOSTNAME": self._pod["metadata"]["name"], **api, **image}

    def _field(self, path: str) -> str:
        return field_of(self._pod, self._status, path)

    def _data(self, kind: str, name: str, optional: bool) -> dict[str, bytes]:
        return self._node.sources.data(kind, self._pod["metadata"]["namespace"], name, optional=optional)

    def _files(self) -> list[Mount]:
        """The name service of the cluster, and nothing of the machine's."""
        namespace, name = self._pod["metadata"]["namespace"], self._pod["metadata"]["name"]
        search = f"search {namespace}.svc.cluster.local svc.cluster.local cluster.local"
        resolve = f"{search}\nnameserver {self._node.ground.dns}\noptions ndots:5\n"
        hosts = f"127.0.0.1 localhost\n{self._status['podIP']} {name}\n"
        return _written(self.folder, {"/etc/resolv.conf": resolve, "/etc/hosts": hosts})

    async def _tell(self) -> None:
        """The last status, again until the API server has taken it."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            metadata = self._pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
            body = {"metadata": {"uid": metadata["uid"]}, "status": self.status()}
            try:
                answer = await self._node.sources.client.http.patch(path, headers=_STRATEGIC, json=body)
                done = answer.is_success or answer.status_code in (404, 409)
            except httpx.HTTPError:
                done = False
            if not done:
                self._changed.set()
                await asyncio.sleep(_RETRY)

    def status(self) -> Object:
        ready = self._initialized and all(c.ready for c in self._main)
        for kind, holds in (
            ("PodScheduled", True),
            ("Initialized", self._initialized),
            ("ContainersReady", ready),
            ("Ready", ready),
        ):
            before = self._conditions.get(kind, {})
            if before.get("status") != str(holds):
                self._conditions[kind] = {"type": kind, "status": str(holds), "lastTransitionTime": _now()}
        out: Object = {**self._status, "phase": self._phase(), "podIPs": [{"ip": self._status["podIP"]}]}
        if self._failed:
            out["message"] = self._failed
        out["initContainerStatuses"] = [c.status() for c in self._first]
        return {
            **out,
            "conditions": list(self._conditions.values()),
            "containerStatuses": [c.status() for c in self._main],
        }

    def _phase(self) -> str:
        codes = [c.exit_code for c in self._main]
        if self._failed:
            return "Failed"
        if all(code is not None for code in codes):
            return "Failed" if any(codes) else "Succeeded"
        return "Running" if any("waiting" not in c.status()["state"] for c in self._main) else "Pending"

    async def end(self, grace: float) -> None:
        """As the API server was asked to: gracefully, then the object goes."""
        async with asyncio.TaskGroup() as group:
            for container in (*self._first, *self._main):
                group.create_task(container.end(grace))
        await self.close()
        metadata = self._pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        while True:
            try:
                answer = await self._node.sources.client.http.request("DELETE", path, json=body)
                if answer.is_success or answer.status_code in (404, 409):
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(_RETRY)

    async def close(self) -> None:
        """At once. Raises what went wrong in this pod's tasks."""
        for container in (*self._first, *self._main):
            container.kill()
        tasks = (self._running, self._telling)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        if self._sandbox is not None:
            await self._sandbox.close()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome


def _refused(spec: Object) -> str:
    asked = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"{', '.join(asked)} is not imitated here; leave it out" if asked else ""


def _written(folder: Path, files: dict[str, str]) -> list[Mount]:
    out = []
    for target, text in files.items():
        source = folder / Path(target).name
        source.write_text(text)
        out.append(Mount(source, target, read_only=False))
    return out


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
