"""`trace`: the way of an object's last change, put together from what each replica knows of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ctl.commands.objects import partial
from ctl.exits import Code, Failed
from ctl.known import check_cluster
from ctl.merge import ways
from ctl.names import one
from ctl.output import Document, emit, paint, remark
from ctl.server import get
from ctl.table import table

Json = dict[str, Any]
_STAGES = ("seen", "pushed", "translated", "stored", "published")


def trace(kind: str, name: str, cluster: str) -> int:
    query = one(kind, name, cluster)
    answers = get("/trace", query)
    found = ways(answers.bodies)
    if not found:
        check_cluster(cluster)
        about = answers.bodies[0]["kind"]
        where = f" in cluster {cluster}" if cluster else ""
        hint = f"fingerpost get {about.lower()} lists all there are"
        raise Failed(Code.FINDINGS, f"there is no {about} {name}{where}, and none went of late", hint, "NotFound")
    emit(
        Document(
            "Trace",
            text=lambda: "\n\n".join(_shown(item) for item in found),
            items=found,
            names=[f"{i['kind'].lower()}/{i['namespace']}/{i['name']}".replace("//", "/") for i in found],
            server_version=answers.version,
            context=answers.context,
        )
    )
    for item in found:
        if item["known"] and item["unknown"]:
            remark(f"{item['cluster']}: {', '.join(item['unknown'])} not known, as {item['why']}")
    return partial(answers)


def _shown(item: Json) -> str:
    where = f"{item['namespace']}/{item['name']}" if item["namespace"] else item["name"]
    lines = [paint(f"{item['kind']} {where}", "bold"), f"{'cluster':<14}{item['cluster']}"]
    if not item["known"]:
        return "\n".join([*lines, f"{'last change':<14}forgotten, or before the servers that answer began"])
    lines.append(f"{'version':<14}{item['configVersion']}")
    if item.get("trace"):
        lines.append(f"{'trace':<14}{item['trace']}")
    if item.get("together"):
        lines.append(f"{'together':<14}with {item['together']} other changes, in one turn")
    stages = {stage: item["stages"][stage] for stage in _STAGES if stage in item["stages"]}
    first = next(iter(stages.values()), "")
    rows = [[stage, "", _clock(at), _after(first, at), ""] for stage, at in stages.items()]
    for cluster in item["clusters"]:
        for gateway in cluster["gateways"]:
            at = gateway.get("applied", "")
            after = f"after the release of rollback {gateway['releasedFrom']}" if gateway.get("releasedFrom") else ""
            said = gateway.get("reason") or after or ("" if at else "not yet")
            rows.append(["applied", f"{cluster['name']}/{gateway['name']}", _clock(at), _after(first, at), said])
    lines += ["", table(("Stage", "Gateway", "Time", "After", "Message"), rows)]
    if not item["clusters"]:
        lines.append("no gateway was told: the change alters nothing that is sent")
    return "\n".join(lines)


def _clock(at: str) -> str:
    """The time of the day, UTC, to the millisecond; the date is in -o json."""
    return datetime.fromisoformat(at).strftime("%H:%M:%S.%f")[:-3] if at else "-"


def _after(first: str, at: str) -> str:
    if not (first and at):
        return "-"
    return f"{(datetime.fromisoformat(at) - datetime.fromisoformat(first)).total_seconds() * 1000:+.1f}ms"
