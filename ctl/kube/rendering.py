"""What a chart makes of the values given, found out before anything is written: Helm reads its flags, the schema of the
chart refuses what it does not know, and what is wrong is told by the flag that brought it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ctl.exits import usage
from ctl.given import VALUES_FLAG, values_files
from ctl.kube.charted import environment, objects
from ctl.kube.helm import Helm, HelmFailed, Values
from ctl.kube.mgmt import AGENT

_PLACE = re.compile(r"^(?:execution error at|template:) .*?\): ?", re.DOTALL)
_DEBUG = "Use --debug flag to render out invalid YAML"
_SCHEMA = "values don't meet the specifications of the schema"
_CLUSTER = "FINGERPOST_AGENT_CLUSTER"


async def rendered(name: str, chart: Path, namespace: str, values: Values) -> str:
    """The manifests. Raises Failed: wrong usage, with the flag that is to blame if any one is."""
    values_files(values.files)
    try:
        return await Helm.manifests(name, chart, namespace, values)
    except HelmFailed as failed:
        blamed = await _blamed(name, chart, namespace, values, failed.said)
        said = _plain(failed.said)
        if not blamed:
            hint = f"give what is missing by its flag, with --set or with {VALUES_FLAG}; docs/values.md describes all"
            raise usage(f"the chart {chart.name} cannot be installed with these values: {said}", hint) from failed
        hint = "correct it; docs/values.md describes all values of the chart"
        raise usage(f"{blamed}: {said}", hint) from failed


async def _blamed(name: str, chart: Path, namespace: str, values: Values, said: str) -> str:
    """Each without which Helm would say something else. Empty: what it says is about none of them."""
    blamed = []
    for fewer, dropped in _one_less(values):
        try:
            await Helm.manifests(name, chart, namespace, fewer)
        except HelmFailed as failed:
            if failed.said == said:
                continue
        blamed.append(dropped)
    return " and ".join(blamed)


def _one_less(values: Values) -> Iterator[tuple[Values, str]]:
    """With what was left out."""
    for i, file in enumerate(values.files):
        yield values._replace(files=_without(values.files, i)), f"{VALUES_FLAG} {file}"
    for i, one in enumerate(values.sets):
        yield values._replace(sets=_without(values.sets, i)), f'--set "{one}"'


def _without(items: Sequence[str], index: int) -> Sequence[str]:
    return [*items[:index], *items[index + 1 :]]


def _plain(said: str) -> str:
    """Helm's words in one line, without where it stood in its templates."""
    if _SCHEMA in said:
        found = [line.strip()[2:] for line in said.splitlines() if line.strip().startswith("- ")]
        return "; ".join(found) or " ".join(said.split())
    return " ".join(_PLACE.sub("", said).removesuffix(_DEBUG).split())


def check_agent(manifests: str, cluster: str) -> None:
    """That these are the manifests of an agent of this cluster and of nothing else. Raises Failed."""
    found = _agents_cluster(manifests)
    if found is None:
        message = "with these values there is no agent, so the cluster would be registered for nobody"
        raise usage(message, "leave out glooAgent.enabled=false")
    if found != cluster:
        message = f"with these values the agent is that of cluster {found}, not of {cluster}"
        raise usage(message, "leave out common.cluster: the name of the cluster is the argument of the command")


def _agents_cluster(manifests: str) -> str | None:
    """None: there is no agent."""
    for obj in objects(manifests):
        if obj.get("kind") == "Deployment" and obj["metadata"]["name"] == AGENT:
            return next((str(e.get("value")) for e in environment(obj) if e["name"] == _CLUSTER), "")
    return None
