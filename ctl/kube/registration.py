"""`cluster register`: everything a workload cluster needs, in an order that can be broken off anywhere and repeated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ctl.exits import Code, Failed, usage
from ctl.kube.accepted import CLUSTERS, Registered, status_of
from ctl.kube.agent_release import refuse_another
from ctl.kube.api import Kube, Object
from ctl.kube.charts import CRDS, PLATFORM, chart
from ctl.kube.cluster_token import OURS, ClusterToken
from ctl.kube.helm import Helm, Values
from ctl.kube.plane import Plane
from ctl.kube.rendering import check_agent, rendered
from ctl.profiles import merged
from ctl.steps import Steps
from fingerpost.api.admin.kubernetes_cluster import APPROVAL, CLUSTER_UID, Approval, approval_of, holding

ROOT, TOKEN, CLIENT = "relay-root-tls-secret", "relay-identity-token-secret", "relay-client-tls-secret"


class Wish(NamedTuple):
    """What was asked for; texts are empty where nothing was said. `namespace` is that of the agent."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    profile: Mapping[str, Any]
    address: str
    domain: str
    chart: str
    crds_chart: str
    files: tuple[str, ...]
    sets: tuple[str, ...]
    rebind: bool
    keep_token: bool
    wait: bool
    timeout: float

    def values(self, plane: Plane, address: str) -> Values:
        """Of the agent's chart."""
        own = merged(self.profile, plane.agent_values(self.name, self.domain, address))
        return Values(own, self.files, self.sets)

    def cluster(self, plane: Plane, annotations: Mapping[str, str] = MappingProxyType({})) -> Object:
        """The KubernetesCluster."""
        metadata: Object = {"name": self.name, "namespace": plane.admin_namespace}
        if self.labels:
            metadata["labels"] = dict(self.labels)
        if annotations:
            metadata["annotations"] = dict(annotations)
        spec = {"clusterDomain": self.domain}
        return {"apiVersion": "admin.gloo.solo.io/v2", "kind": "KubernetesCluster", "metadata": metadata, "spec": spec}

    def secret(self, name: str, key: str, value: str) -> Object:
        """One for the agent. `value` in base64."""
        metadata = {"name": name, "namespace": self.namespace, "labels": OURS}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {key: value}}


class Registration:
    """`run`, once. Raises Failed, ApiFailed."""

    def __init__(self, plane: Plane, workload: Kube, wish: Wish, steps: Steps) -> None:
        self._plane, self._workload, self._wish, self._steps = plane, workload, wish, steps
        self._path = f"{CLUSTERS.format(plane.admin_namespace)}/{wish.name}"
        self._token = ClusterToken(plane, wish.name)
        self._secrets = f"/api/v1/namespaces/{wish.namespace}/secrets"

    async def run(self) -> None:
        wish, steps = self._wish, self._steps
        helm = Helm(self._workload, wish.namespace)
        uid = await self._look(helm)
        address = wish.address or await self._plane.relay_address(wish.timeout)
        steps.done(f"relay server {address}")
        values = wish.values(self._plane, address)
        charts = {CRDS: chart(CRDS, wish.crds_chart), PLATFORM: chart(PLATFORM, wish.chart)}
        check_agent(await rendered(PLATFORM, charts[PLATFORM], wish.namespace, values), wish.name)
        if wish.crds_chart:
            await rendered(CRDS, charts[CRDS], wish.namespace, Values())
        if steps.dry:
            self._pretend()
            return
        made = await self._workload.make_namespace(wish.namespace)
        self._tell(f"namespace {wish.namespace}", changed=made)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._install(helm, CRDS, charts[CRDS], Values()), name="crds")
                await self._register(uid)
                await self._trust()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await self._install(helm, PLATFORM, charts[PLATFORM], values)
        if wish.wait:
            await self._wait()

    async def _install(self, helm: Helm, name: str, path: Path, values: Values) -> None:
        release, changed = await helm.install(name, path, values)
        (self._steps.done if changed else self._steps.kept)(f"{name} installed in namespace {self._wish.namespace}")
        for warning in release.warnings:
            self._steps.warn(warning)

    # ---------------------------------------------------------------- what is there

    async def _look(self, helm: Helm) -> str:
        """The workload cluster's UID. Refuses what would harm one of the two."""
        version = await self._workload.get("/version")
        uid = await uid_of(self._workload)
        self._steps.done(f"cluster {self._wish.name} is Kubernetes {version['gitVersion']}, uid {uid}")
        if uid == await uid_of(self._plane.kube):
            hint = f"its own release has an agent too after: {self._plane.with_agent}"
            raise usage(f"{self._workload.place} is the management cluster itself", hint)
        found = await self._plane.kube.find(self._path)
        known = ((found or {}).get("metadata", {}).get("annotations") or {}).get(CLUSTER_UID, uid)
        if known != uid and not self._wish.rebind:
            message = f"the name {self._wish.name} belongs to the cluster with uid {known}, this one has {uid}"
            hint = "choose another name, or --rebind if that cluster was rebuilt as this one"
            raise Failed(Code.REFUSED, message, hint, "NameTaken")
        await refuse_another(
            helm,
            self._wish.name,
            f"namespace {self._wish.namespace} of {self._workload.place}",
            other="if it shall have the new name: fingerpost cluster deregister {}, and then register again",
            management="its own server gives it an agent: fingerpost install --register; or name another context",
        )
        return uid

    def _pretend(self) -> None:
        wish, steps = self._wish, self._steps
        steps.would(f"create namespace {wish.namespace} in {self._workload.place}")
        steps.would(f"create KubernetesCluster {self._plane.admin_namespace}/{wish.name} in {self._plane.kube.place}")
        if not self._plane.insecure:
            steps.would(f"copy ca.crt of {ROOT}" + (f" and the token of {TOKEN}" if self._plane.wants_token else ""))
        steps.would(f"install {CRDS} and {PLATFORM}")
        steps.would("wait until it is ACCEPTED, then remove the token" if wish.wait else "not wait")

    # ---------------------------------------------------------------- what is made

    async def _register(self, uid: str) -> None:
        wish = self._wish
        there = await self._plane.kube.find(self._path)
        body = wish.cluster(self._plane, self._said(there, uid))
        changed = there is None or not _has(there, body)
        if changed:
            await self._plane.kube.apply(self._path, body)
        what = f"KubernetesCluster {self._plane.admin_namespace}/{wish.name}"
        self._tell(what, changed=changed, verb="created" if there is None else "changed")

    def _said(self, there: Object | None, uid: str) -> Mapping[str, str]:
        """Who registers a cluster accepts it, though its agent may have asked before."""
        found = (there or {}).get("metadata", {}).get("annotations") or {}
        accepted = approval_of(found) in (None, Approval.ACCEPTED)
        rebound = {CLUSTER_UID: uid} if self._wish.rebind else {}
        return rebound if accepted else rebound | {APPROVAL: Approval.ACCEPTED.value}

    async def _trust(self) -> None:
        plane = self._plane
        if plane.insecure:
            self._steps.warn("the relay is in plaintext (insecure), so there is nothing to copy")
            return
        new_root = await self._copy(ROOT, "ca.crt", await plane.root())
        self._tell("root CA", changed=new_root, verb="copied")
        if not plane.wants_token:
            self._steps.kept(f"no token: this server issues no certificates; bring {CLIENT}")
        elif not (new_root or self._keeps_token) and await self._has_certificate():
            self._steps.kept("no token needed: the agent has its certificate")
        else:
            own = plane.requires_cluster_token or await self._token.exists()
            token = await self._token.ensure() if own else await plane.token()
            what = f"token of {self._token.name}" if own else "bootstrap token"
            self._tell(what, changed=await self._copy(TOKEN, "token", token), verb="copied")

    @property
    def _keeps_token(self) -> bool:
        return self._wish.keep_token or self._plane.shows_token_always

    async def _copy(self, name: str, key: str, value: str) -> bool:
        """Only that entry; whether anything was other than this."""
        path = f"{self._secrets}/{name}"
        there = await self._workload.find(path)
        if ((there or {}).get("data") or {}).get(key) == value:
            return False
        await self._workload.apply(path, self._wish.secret(name, key, value))
        return True

    async def _has_certificate(self) -> bool:
        """One that serves. With another root that is not known: what it last said of itself is of the root before."""
        found = await self._plane.kube.find(self._path)
        there = await self._workload.find(f"{self._secrets}/{CLIENT}")
        return bool(found and there and holding(status_of(found), "Connected"))

    async def _wait(self) -> None:
        wish, steps = self._wish, self._steps
        began = time.monotonic()
        registered = Registered(self._plane.kube, self._workload, self._path, wish.namespace)
        obj = await registered.accepted(wish.timeout)
        for condition in holding(status_of(obj), "ClientCertificateValid"):
            steps.kept(f"client certificate valid {condition.get('message', '')}")
        steps.done(f"agent connected and warm, cluster ACCEPTED after {time.monotonic() - began:.1f}s")
        if self._keeps_token:
            return
        if await self._workload.find(f"{self._secrets}/{CLIENT}") is None:
            return
        if await self._workload.delete(f"{self._secrets}/{TOKEN}"):
            steps.done("bootstrap token removed")
        if await self._token.remove():
            steps.done(f"Secret {self._token.name} and the right to read it removed")

    def _tell(self, what: str, *, changed: bool, verb: str = "created") -> None:
        if changed:
            self._steps.done(f"{what} {verb}")
        else:
            self._steps.kept(f"{what} is as it should be")


def _has(there: Object, wanted: Mapping[str, Any]) -> bool:
    """Whether all that is wanted is so already."""
    return all(
        _has(there.get(key) or {}, value) if isinstance(value, Mapping) else there.get(key) == value
        for key, value in wanted.items()
    )


async def uid_of(kube: Kube) -> str:
    return str((await kube.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"])
