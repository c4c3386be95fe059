"""`get` and `describe`: users' objects of all clusters, with their status and how far they have arrived."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctl.commands.cluster import age
from ctl.commands.history import object_name
from ctl.exits import Code, Failed, usage
from ctl.flags import current
from ctl.known import check_a_namespace, check_cluster
from ctl.merge import objects
from ctl.names import one, split
from ctl.output import Document, emit, note, paint, remark
from ctl.server import Answers, get
from ctl.table import table

Json = dict[str, Any]


def get_objects(kind: str, name: str, all_namespaces: bool, cluster: str) -> int:
    query = {"kind": kind, "cluster": cluster}
    if name:
        query["namespace"], query["name"] = split(name)
    elif not all_namespaces:
        query["namespace"] = current().namespace
    answers = get("/objects", query, patience())
    found, about = objects(answers.bodies), answers.bodies[0]["kind"]
    if not found:
        check_cluster(cluster)
        if not name:
            check_a_namespace(query.get("namespace", ""))
    revived = _revived(answers)
    findings = [] if found or not name else [_not_found(about["kind"], name, cluster, revived).findings[0]]
    emit(
        Document(
            f"{about['kind']}List",
            text=lambda: _table(found, wide=current().output == "wide") if found else "",
            items=found,
            findings=findings,
            names=[_name(about["kind"], item) for item in found],
            server_version=answers.version,
            context=answers.context,
        )
    )
    if findings:
        note(f"error: {findings[0]['message']}")
        note(f"hint: {findings[0]['hint']}")
        return Code.FINDINGS
    if not found:
        where = f" in namespace {query['namespace']}" if query.get("namespace") else ""
        remark(f"no {about['plural']} found{where}")
    for told in revived:
        remark(told)
    return partial(answers)


def patience() -> float:
    return max(0.0, current().timeout - current().request_timeout)


def partial(answers: Answers) -> int:
    for address, trouble in answers.missing.items():
        note(f"warning: {address} does not answer ({trouble}), so what only it knows is missing")
    return Code.PARTIAL if answers.missing else Code.DONE


def _not_found(kind: str, name: str, cluster: str, revived: list[str]) -> Failed:
    where = f" in cluster {cluster}" if cluster else " in any cluster"
    hint = f"fingerpost get {kind.lower()} lists all there are"
    return Failed(Code.FINDINGS, "; ".join((f"there is no {kind} {name}{where}", *revived)), hint, "NotFound")


def _revived(answers: Answers) -> list[str]:
    """Objects that are no more and in force all the same. All replicas know of all rollbacks."""
    return [
        f"{object_name(one)} was deleted and is in force as of snapshot {one['snapshot']}, until fingerpost rollback "
        f"release {one['rollback']}"
        for one in answers.bodies[0].get("rolledBack", ())
    ]


def _name(kind: str, item: Json) -> str:
    metadata = item["metadata"]
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{kind.lower()}/{where}{metadata['name']}"


def _table(found: list[Json], *, wide: bool) -> str:
    routes = any(item.get("kind") == "RouteTable" for item in found)
    served = any("arrival" in item["status"] for item in found)
    columns = ["Cluster", "Namespace", "Name", "Workspace", "Approval"]
    columns += ["Routes"] if routes else []
    columns += ["Gateways"] if served else []
    columns += ["Missing"] if served and wide else []
    rows = []
    for item in found:
        metadata, status = item["metadata"], item["status"]
        state = status.get("common", {}).get("State", {})
        row = [item["cluster"], metadata.get("namespace", "") or "-", metadata["name"]]
        row += [status.get("workspace", ""), state.get("approval", "")]
        row += [str(len(item.get("spec", {}).get("http") or ()))] if routes else []
        arrival = status.get("arrival")
        row += [_share(arrival)] if served else []
        row += [", ".join(m["gateway"] for m in arrival["missing"]) if arrival else ""] if served and wide else []
        rows.append([*row, age(metadata.get("creationTimestamp") or "") or "-", state.get("message", "")])
    return table([*columns, "Age", "Message"], rows)


def _share(arrival: Json | None) -> str:
    if arrival is None:
        return ""
    share, bare = f"{arrival['arrived']}/{arrival['total']}", len(arrival["noProxy"])
    if not bare:
        return share
    return f"{share} (no proxy)" if bare == arrival["arrived"] else f"{share} ({bare} no proxy)"


def describe(kind: str, name: str, cluster: str) -> int:
    query = one(kind, name, cluster) | {"detail": "true"}
    answers = get("/objects", query, patience())
    found, about = objects(answers.bodies), answers.bodies[0]["kind"]
    if not found:
        check_cluster(cluster)
        raise _not_found(about["kind"], name, cluster, _revived(answers))
    if len({item["metadata"].get("namespace", "") for item in found}) > 1:
        raise usage(f"{about['kind']} {name} is in several namespaces", "write NAMESPACE/NAME")
    emit(
        Document(
            about["kind"],
            text=lambda: "\n\n".join(_described(about["kind"], item) for item in found),
            items=found,
            names=[_name(about["kind"], item) for item in found],
            server_version=answers.version,
            context=answers.context,
        )
    )
    return partial(answers)


def _described(kind: str, item: Json) -> str:
    metadata, status, report = item["metadata"], item["status"], item.get("report", {})
    state = status.get("common", {}).get("State", {})
    title = f"{kind} {_name(kind, item).partition('/')[2]}"
    lines = [paint(title, "bold"), f"cluster       {item['cluster']}"]
    if "workspace" in status:
        lines.append(f"workspace     {status['workspace'] or 'none'}")
        lines.append(f"approval      {state.get('approval', '')}, generation {state.get('observedGeneration', 0)}")
    if metadata.get("labels"):
        lines.append("labels        " + ", ".join(f"{k}={v}" for k, v in sorted(metadata["labels"].items())))
    lines += _gateways(status.get("arrival"), report.get("gateways", ()))
    for label, field in _SELECTIONS:
        if field in report:
            lines += _listed(label, report[field])
    lines += _listed("problems", [_problem(p) for p in status.get("problems", ())])
    return "\n".join(lines)


_SELECTIONS = (
    ("bound to", "allowedVirtualGateways"),
    ("destinations", "destinations"),
    ("routes of", "allowedRouteTables"),
    ("workloads", "selectedWorkloads"),
    ("backed by", "backingServices"),
)


def _listed(label: str, values: Iterable[str]) -> list[str]:
    return [f"{'' if i else label:<14}{value}" for i, value in enumerate(list(values) or ["none"])]


def _gateways(arrival: Json | None, concerned: Iterable[str]) -> list[str]:
    if arrival is None:
        return []
    lines = [f"gateways      {arrival['arrived']}/{arrival['total']} have version {arrival['configVersion']}"]
    missing = {m["gateway"]: missing_text(m) for m in arrival["missing"]}
    for gateway in concerned:
        text = missing.get(gateway, "no proxy connected" if gateway in arrival["noProxy"] else "applied")
        lines.append(f"{'':<14}{gateway}  {text}")
    return lines


def missing_text(missing: Json, gateway: str = "") -> str:
    since = age(missing.get("since", ""))
    words = ["missing", *([gateway] if gateway else []), *([f"for {since}"] if since else [])]
    return f"{' '.join(words)}: {missing['reason']}"


def _problem(problem: Json) -> str:
    where = f"{problem['path']}: " if problem["path"] and not problem["message"].startswith(problem["path"]) else ""
    return f"{problem['severity']} {problem['code']}  {where}{problem['message']}"
