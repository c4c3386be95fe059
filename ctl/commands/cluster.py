"""`cluster list` and `cluster describe`: clusters with their agents, over all servers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ctl import deadline
from ctl.commands.history import rollback_text
from ctl.contexts import chosen
from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.merge import clusters
from ctl.output import Document, counted, emit, note, paint, remark
from ctl.server import get
from ctl.table import table

_COLUMNS = ("Cluster", "State", "Agent", "Since", "Objects", "Behind", "Certificate", "Labels", "Rollback")
_MANAGED_BY = "app.kubernetes.io/managed-by"


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

        known = deadline.run(registered(context))
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
    labels = ",".join(f"{k}={v}" for k, v in sorted(shown_labels(cluster.get("labels", {})).items()))
    return [
        cluster["name"],
        "Rejected" if cluster.get("approval") == "rejected" else cluster["state"],
        cluster.get("agent", {}).get("version", "") or "-",
        (f"{since} (x)" if lost else since) or "-",
        str(cluster.get("objects", "-")),
        str(cluster.get("behind", "-")),
        left((cluster.get("certificate") or {}).get("until", "")) or "-",
        labels,
        ", ".join(one["id"] for one in cluster.get("rollbacks", ())) or "-",
    ]


def shown_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Without those that a chart gives all its objects; `-o wide` has them."""
    if current().output == "wide" or labels.get(_MANAGED_BY) != "Helm":
        return labels
    return {k: v for k, v in labels.items() if k != "app" and not k.startswith(("app.kubernetes.io/", "helm.sh/"))}


def describe(name: str) -> int:
    """The replica to which the agent is connected tells; what the others refuse does not count."""
    try:
        answers = get(f"/clusters/{quote(name, safe='')}")
    except Failed as failed:
        if failed.name != "UnknownCluster":
            raise
        hint = "fingerpost cluster list shows all; a new one: fingerpost cluster register"
        raise Failed(Code.FINDINGS, failed.message, hint, failed.name) from failed
    (found,) = clusters([{"clusters": [body["cluster"]]} for body in answers.bodies])
    emit(
        Document(
            "Cluster",
            text=lambda: _described(found),
            spec=found,
            names=[name],
            server_version=answers.version,
            context=answers.context,
        )
    )
    for address, trouble in answers.missing.items():
        note(f"warning: {address} does not answer ({trouble}), so some of this may be out of date")
    return Code.PARTIAL if answers.missing else Code.DONE


def _described(cluster: dict[str, Any]) -> str:
    agent = cluster.get("agent") or {}
    since = age(cluster.get("since", ""))
    lines = [paint(f"cluster {cluster['name']}", "bold")]
    lines.append(f"{'state':<14}{cluster['state']}{f' for {since}' if since else ''}")
    lines.append(f"{'registered':<14}{'yes' if cluster.get('registered') else 'no: create its KubernetesCluster'}")
    connected = cluster.get("connectedTo") if cluster.get("connected") else ""
    lines.append(
        f"{'agent':<14}{' '.join(v for v in (agent.get('version'), agent.get('instance')) if v) or 'none yet'}"
    )
    lines.append(f"{'connected to':<14}{connected or 'nobody'}{_from(agent) if connected else ''}")
    until = (cluster.get("certificate") or {}).get("until", "")
    lines.append(f"{'certificate':<14}{f'until {until} ({left(until)})' if until else 'none seen'}")
    if cluster.get("labels"):
        lines.append(f"{'labels':<14}" + ", ".join(f"{k}={v}" for k, v in sorted(cluster["labels"].items())))
    blocks = [
        ("last refusal", [cluster["conflict"]] if cluster.get("conflict") else []),
        ("conditions", [_condition(c) for c in cluster.get("conditions") or ()]),
        ("inputs", [_input(i) for i in cluster.get("inputs") or ()]),
        ("gateways", [_gateway(name, g) for name, g in sorted((cluster.get("gateways") or {}).items())]),
        ("rolled back", [rollback_text(one) for one in cluster.get("rollbacks", ())]),
        (
            "held",
            [f"{h['gateway']}: {counted(len(h['contributions']), 'contribution')}" for h in cluster.get("held") or ()],
        ),
        ("rejected", [_rejected(e) for e in cluster.get("exceptions") or ()]),
    ]
    for label, values in blocks:
        lines += [f"{'' if i else label:<14}{value}" for i, value in enumerate(values or ["none"])]
    return "\n".join(lines)


def _from(agent: dict[str, Any]) -> str:
    return f", from {agent['peer']}" if agent.get("peer") else ""


def _condition(condition: dict[str, Any]) -> str:
    since = age(condition.get("lastTransitionTime", ""))
    said = " ".join(filter(None, (condition.get("message"), f"for {since}" if since else "")))
    return f"{condition['type']}={condition['status']}{f'  {said}' if said else ''}"


def _input(of_type: dict[str, Any]) -> str:
    return f"{of_type.get('digest', '')[:12]:<12}  {of_type.get('objects', '-'):>6}  {of_type.get('type', '')}"


def _gateway(name: str, gateway: dict[str, Any]) -> str:
    reached = gateway.get("watermark")
    proxies = "" if gateway.get("proxies") is None else f", {counted(gateway['proxies'], 'proxy', 'proxies')}"
    return f"{name}  version {'none' if reached is None else reached} of {gateway.get('version')}{proxies}"


def _rejected(exception: dict[str, Any]) -> str:
    since = age(exception.get("since", ""))
    about = exception.get("object") or exception.get("scope")
    return f"{exception['code']} {about}{f' for {since}' if since else ''}: {exception['message']}"


def left(until: str) -> str:
    """`21d`, `5h` until an RFC 3339 time, `ended`; empty for none."""
    try:
        then = datetime.fromisoformat(until)
    except ValueError:
        return ""
    minutes = int((then - datetime.now(UTC)).total_seconds()) // 60
    if minutes < 0:
        return "ended"
    return f"{minutes // 1440}d" if minutes >= 2880 else f"{minutes // 60}h" if minutes >= 120 else f"{minutes}m"


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
