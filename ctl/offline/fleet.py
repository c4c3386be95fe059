"""A folder per cluster becomes the objects that a server would hold: what it reads of the management cluster itself,
and what each agent would push of its own. The agents' own code makes the facts, so nothing here imitates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent.discovery.world import World
from fingerpost.cluster.directory.manifest import NAMESPACE_TYPE, declared_by_use
from fingerpost.cluster.protocol import Change
from fingerpost.objects import ObjectKey, canonical
from mgmt.ingest.kinds import KUBERNETES_CLUSTER, pushed_by_agent, read_by_server
from mgmt.snapshot.outcome import Outcome
from mgmt.translate.graph.ownership import Place
from mgmt.validate.manifests import Manifests, read_manifests
from mgmt.validate.report import Finding, Level
from mgmt.validate.sources import read_sources

_NO_SECRET = b"offline"  # digests of Secrets are for agents; nothing translated depends on them
_HEADS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Offline(NamedTuple):
    """`findings` are about the files, and about clusters that take no part."""

    outcome: Outcome
    manifests: Manifests
    findings: tuple[Finding, ...]


def translate_folder(root: Path, place: Place) -> Offline:
    """`place.cluster` is the management cluster and the name of its folder."""
    manifests = read_manifests(read_sources([str(root)], place.cluster))
    findings = list(manifests.findings)
    by_cluster: dict[str, dict[ObjectKey, bytes]] = {}
    for key, written in manifests.objects.items():
        by_cluster.setdefault(key.cluster, {})[key] = _first_generation(written.body)
    for cluster, objects in by_cluster.items():
        objects.update(_namespaces(cluster, objects))
    home = by_cluster.get(place.cluster, {})
    outcome = Outcome(place, {key: body for key, body in home.items() if read_by_server(key.type)})
    registered = {key.name for key in home if key.type == KUBERNETES_CLUSTER and key.namespace == place.admin_namespace}
    agents = {name: World(name, _NO_SECRET) for name in sorted(registered & by_cluster.keys())}
    for cluster in sorted(by_cluster.keys() - registered - {place.cluster}):
        message = f"no KubernetesCluster {place.admin_namespace}/{cluster}: its agent would wait, so it takes no part"
        findings.append(Finding(file=cluster, level=Level.WARNING, code="NotRegistered", message=message))
    _report(outcome, agents, by_cluster)
    for agent in agents.values():
        findings += [_about(manifests, key, problem) for key, problem in agent.problems.items()]
    return Offline(outcome, manifests, tuple(findings))


def _report(outcome: Outcome, agents: Mapping[str, World], by_cluster: Mapping[str, Mapping[ObjectKey, bytes]]) -> None:
    """All listings at once, then answers to what the server asks for, until it asks no more."""
    facts: list[Change] = []
    for name, agent in agents.items():
        changes = [Change(key, body) for key, body in by_cluster[name].items()]
        facts += agent.apply(changes, listed=True).facts
    interests = dict(outcome.change(()).interests)
    while True:
        turn = outcome.change(_accepted(outcome.place, facts))
        interests |= turn.interests
        facts = []
        for name, interest in interests.items():
            if name in agents:
                facts += agents[name].set_interest(interest.secrets, interest.label_keys, interest.services).facts
        if not facts:
            return
        interests = {}


def _accepted(place: Place, facts: Iterable[Change]) -> Iterable[tuple[ObjectKey, bytes | None]]:
    return [(key, body) for key, body in facts if pushed_by_agent(key.cluster, key.type, place.cluster)]


def _first_generation(body: bytes) -> bytes:
    """As an API server gives it. Neither uid nor creation time is made up, so that equal files give equal bytes."""
    obj = _HEADS.decode(body)
    metadata: dict[str, Any] = msgspec.json.decode(obj["metadata"])
    obj["metadata"] = msgspec.Raw(canonical({**metadata, "generation": 1}))
    return canonical(obj)


def _namespaces(cluster: str, objects: Iterable[ObjectKey]) -> dict[ObjectKey, bytes]:
    """A namespace exists as soon as an object is in it."""
    keys = list(objects)
    declared = {key.name for key in keys if key.type == NAMESPACE_TYPE}
    used = {key.namespace for key in keys if key.namespace} - declared
    return {(made := declared_by_use(name, cluster)).key: _first_generation(made.content) for name in sorted(used)}


def _about(manifests: Manifests, key: ObjectKey, problem: Any) -> Finding:
    written = manifests.objects[key]
    return Finding(
        file=written.file,
        line=written.line(problem.path),
        object=str(key),
        level=Level.ERROR,
        code=problem.code,
        path=problem.path,
        message=problem.message,
    )
