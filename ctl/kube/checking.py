"""The part of `check` that an API server can tell: kinds, Deployments, and what the agents there say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctl.contexts import Context
from ctl.flags import current
from ctl.kube.accepted import REGISTER, agent_findings, own_words
from ctl.kube.api import NAMES_ONLY, Kube, Object, Place, opened
from ctl.kube.deployments import Workload, remedy, said, workloads
from ctl.kube.mgmt import SERVER, agent
from ctl.kube.registration import CLIENT, TOKEN
from fingerpost import __version__
from fingerpost.cluster.kubernetes.api import ApiFailed
from fingerpost.crd.definition import users_kinds
from mgmt.admin.findings import CERTIFICATES, CONNECTIVITY, CRDS, DEPLOYMENT, LICENSE, SECURITY, finding

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_VERSION = "crd.solo.io/version"
_NAME_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_COLUMNS = ["Namespace", "Name", "Ready", "Status"]
Section = dict[str, Any]


def empty(title: str, *info: str) -> Section:
    return {"title": title, "info": list(info), "tables": [], "findings": []}


async def management(context: Context, sections: Sequence[Section]) -> list[Section]:
    """What the servers said, completed. Raises Failed."""
    namespace = context.namespace or current().admin_namespace
    async with opened(Place.of(context)) as kube:
        kinds = await _kinds(kube)
        found = await workloads(kube, namespace)
        words = await _agent_beside(kube, namespace)
    by_title = {section["title"]: section for section in sections}
    deployment = _deployment(found, by_title.get(DEPLOYMENT), namespace)
    first = [by_title.get(LICENSE) or empty(LICENSE, "no licence needed"), kinds, deployment]
    rest = [s for s in sections if s["title"] not in (LICENSE, CRDS, DEPLOYMENT)]
    by_title = {section["title"]: section for section in (*first, *rest)}
    for word in words:
        into = by_title.get(word["section"])
        if into is not None and word["message"] not in {f["message"] for f in into["findings"]}:
            into["findings"].append(word)
    return [*first, *rest]


async def workload(context: Context) -> list[Section]:
    """`check agent`: of the cluster that the context names. Raises Failed."""
    namespace = context.namespace or current().admin_namespace
    async with opened(Place.of(context)) as kube:
        kinds = await _kinds(kube, REGISTER)
        found = await workloads(kube, namespace)
        named = await agent(kube, namespace)
        cluster = named.environment.get("FINGERPOST_AGENT_CLUSTER", "") if named else ""
        words = await agent_findings(kube, namespace, cluster or str(kube.place))
        left = await _token_left(kube, namespace, cluster) if named else []
    info = [f"agent of cluster {cluster}"] if cluster else []
    secrets = [word for word in words if word["section"] == CERTIFICATES]
    away = {**empty(CONNECTIVITY, *info), "findings": [word for word in words if word not in secrets]}
    last = [{**empty(CERTIFICATES), "findings": secrets}, {**empty(SECURITY), "findings": left}]
    return [kinds, _deployment(found, None, namespace), away, *last[not secrets :]]


async def _token_left(kube: Kube, namespace: str, cluster: str) -> list[dict[str, Any]]:
    """The bootstrap token beside a client certificate has done its work. Only names are read, never what is in them."""
    if await kube.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVER}") is not None:
        return []  # the management cluster: here the server keeps it
    where = f"/api/v1/namespaces/{namespace}/secrets"
    try:
        for name in (CLIENT, TOKEN):
            if not await kube.find(f"{where}/{name}", accept=_NAME_ONLY):
                return []
    except ApiFailed as failed:
        if failed.status != 403:
            raise
        return []
    message = f"{cluster}: Secret {namespace}/{TOKEN} is still there, though the agent has its certificate"
    hint = f"delete it: kubectl -n {namespace} delete secret {TOKEN}"
    return [finding("CHK122", cluster, message, hint)]


async def _agent_beside(kube: Kube, namespace: str) -> list[dict[str, Any]]:
    found = await agent(kube, namespace)
    if found is None:
        return []
    return await own_words(kube, found, found.environment.get("FINGERPOST_AGENT_CLUSTER", ""))


async def _kinds(kube: Kube, remedy: str = "") -> Section:
    """`remedy` where kinds are missing, if it is another than the usual one."""
    section = empty(CRDS)
    try:
        found = await kube.items(_DEFINITIONS, accept=NAMES_ONLY)
    except ApiFailed as failed:
        if failed.status != 403:
            raise
        section["findings"].append(finding("CHK023", str(kube.place), f"the kinds are not checked: {failed}"))
        return section
    there = {obj["metadata"]["name"]: _version(obj) for obj in found}
    wanted = {f"{kind.plural}.{kind.group}" for kind in users_kinds()}
    missing = sorted(wanted - there.keys())
    other = sorted(name for name in wanted & there.keys() if there[name] != __version__)
    section["info"].append(f"{len(wanted) - len(missing)} of {len(wanted)} kinds, version {__version__}")
    if missing:
        section["findings"].append(finding("CHK021", str(kube.place), f"{_some(missing)}: no such kinds", remedy))
    if other:
        versions = ", ".join(sorted({there[name] or "none" for name in other}))
        message = f"{_some(other)}: version {versions}, this command line has {__version__}"
        section["findings"].append(finding("CHK022", str(kube.place), message))
    return section


def _version(definition: Object) -> str:
    return str((definition["metadata"].get("annotations") or {}).get(_VERSION, ""))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _deployment(found: Sequence[Workload], told: Section | None, namespace: str) -> Section:
    """Deployments in place of what the servers say of themselves; the agents of other clusters stay."""
    section = empty(DEPLOYMENT) if told is None else {**told, "tables": []}
    rows = [[w.namespace, w.name, f"{w.ready}/{w.wanted}", w.health] for w in found]
    rows += [r for t in (told or {}).get("tables", ()) for r in t["rows"] if r[1].startswith("agent ")]
    if rows:
        section["tables"].append({"columns": _COLUMNS, "rows": rows})
    if not found:
        message = f"no Deployment of Fingerpost is in namespace {namespace}"
        hint = "name its namespace with -n, or bring it: a server by fingerpost install, an agent by cluster register"
        section["findings"].append(finding("CHK034", namespace, message, hint))
    for one in found:
        if one.health != "Healthy":
            code = "CHK034" if one.health == "Unhealthy" else "CHK033"
            section["findings"].append(finding(code, one.name, said(one), remedy(one)))
    return section
