"""`cluster list`: every cluster with its agent, over all servers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from ctl.contexts import chosen
from ctl.exits import Code, Failed
from ctl.merge import clusters
from ctl.output import Document, emit, note, remark
from ctl.server import get
from ctl.table import table

_COLUMNS = ("Cluster", "State", "Agent", "Since", "Objects", "Behind", "Labels")


def list_clusters() -> int:
    try:
        answers = get("/clusters")
    except Failed as failure:
        return _from_contexts(failure)
    found = clusters(answers.bodies)
    _emit(found, answers.version, answers.context)
    for address, trouble in answers.missing.items():
        note(f"warning: {address} does not answer ({trouble}), so some clusters may look unconnected")
    return Code.PARTIAL if answers.missing else Code.DONE


def _from_contexts(failure: Failed) -> int:
    """No server answers: the clusters that the API server or the contexts file knows, of unknown state (C-24)."""
    name, context = chosen()
    if failure.code != Code.UNREACHABLE:
        raise failure
    known: dict[str, dict[str, str]] = {c: {} for c in context.agents}
    if context.on_kubernetes:
        from ctl.kube.clusters import registered

        known = asyncio.run(registered(context))
    if not known:
        raise failure
    found = [{"name": c, "state": "Unknown", "registered": None, "labels": known[c]} for c in sorted(known)]
    _emit(found, "", name, failure.findings)
    note(f"error: {failure.message}")
    where = "registered in the cluster" if context.on_kubernetes else "those of the contexts file"
    remark(f"these clusters are {where}; their state is not known")
    return Code.PARTIAL


def _emit(found: list[dict[str, Any]], version: str, context: str, findings: Any = ()) -> None:
    emit(
        Document(
            "ClusterList",
            text=lambda: table(_COLUMNS, [_row(c) for c in found]),
            items=found,
            findings=findings,
            names=[c["name"] for c in found],
            server_version=version,
            context=context,
        )
    )


def _row(cluster: dict[str, Any]) -> list[str]:
    since = age(cluster.get("since", ""))
    lost = cluster.get("connected") is False and since
    labels = ",".join(f"{k}={v}" for k, v in sorted(cluster.get("labels", {}).items()))
    return [
        cluster["name"],
        cluster["state"],
        cluster.get("agent", {}).get("version", "") or "-",
        (f"{since} (x)" if lost else since) or "-",
        str(cluster.get("objects", "-")),
        str(cluster.get("behind", "-")),
        labels,
    ]


def age(since: str) -> str:
    """`40s`, `14m`, `3h`, `3d4h` since an RFC 3339 time; empty for none."""
    try:
        then = datetime.fromisoformat(since)
    except ValueError:
        return ""
    seconds = max(0, int((datetime.now(UTC) - then).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 7200:
        return f"{seconds // 60}m"
    days, hours = divmod(seconds // 3600, 24)
    return f"{days}d{hours}h" if days else f"{hours}h"
