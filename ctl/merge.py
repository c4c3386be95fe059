"""One answer out of those of several replicas. Pure.

About the gateways of a cluster the replica has the last word to which its agent is connected; where none is, an
absence counts only when all agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
_WORSE = ("Not connected", "Unhealthy", "0/1")
_OF_AGENTS = ("CHK041", "CHK043", "CHK149", "CHK051")  # findings about a cluster: whoever has its agent knows better


def clusters(bodies: Sequence[Json]) -> list[Json]:
    best: dict[str, Json] = {}
    for body in bodies:
        for cluster in body["clusters"]:
            known = best.get(cluster["name"])
            if known is None or _weight(cluster) > _weight(known):
                best[cluster["name"]] = cluster
    return [best[name] for name in sorted(best)]


def _weight(cluster: Mapping[str, Any]) -> tuple[bool, ...]:
    return tuple(bool(cluster.get(what)) for what in ("connectedHere", "connected", "registered"))


def objects(bodies: Sequence[Json]) -> list[Json]:
    found: dict[tuple[str, ...], list[tuple[Json, Sequence[str]]]] = {}
    for body in bodies:
        for item in body["items"]:
            found.setdefault(_identity(item), []).append((item, body.get("connected", ())))
    out = []
    for _, answers in sorted(found.items()):
        item = answers[0][0]
        arrivals = [(a["status"]["arrival"], owned) for a, owned in answers if "arrival" in a.get("status", {})]
        if len(arrivals) > 1:
            item = {**item, "status": {**item["status"], "arrival": arrival(arrivals)}}
        out.append(item)
    return out


def _identity(item: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = item.get("metadata", {})
    return item.get("cluster", ""), item.get("kind", ""), metadata.get("namespace", ""), metadata.get("name", "")


def arrival(answers: Sequence[tuple[Json, Sequence[str]]]) -> Json:
    """`answers`: what each replica says, and the clusters whose agents are connected to it."""
    missing = [{m["gateway"]: m for m in said["missing"]} for said, _ in answers]
    gone: list[Json] = []
    for gateway in sorted({name for names in missing for name in names}):
        cluster = gateway.partition("/")[0]
        entitled = [m for m, (_, owned) in zip(missing, answers, strict=True) if cluster in owned]
        deciding = entitled or missing
        says = [m[gateway] for m in deciding if gateway in m]
        if says and (entitled or len(says) == len(deciding)):
            gone.append(says[0])
    total = max(said["total"] for said, _ in answers)
    names = {m["gateway"] for m in gone}
    bare = _bare(answers) - names
    return {
        "configVersion": max(said["configVersion"] for said, _ in answers),
        "arrived": total - len(gone),
        "total": total,
        "missing": gone,
        "noProxy": sorted(bare),
    }


def _bare(answers: Sequence[tuple[Json, Sequence[str]]]) -> set[str]:
    """A replica without the agent knows of no proxy either, so only the entitled count."""
    owned = {cluster for _, clusters_ in answers for cluster in clusters_}
    out: set[str] = set()
    for said, mine in answers:
        for gateway in said["noProxy"]:
            cluster = gateway.partition("/")[0]
            if cluster in mine or cluster not in owned:
                out.add(gateway)
    return out


def verdict(bodies: Sequence[Json]) -> Json:
    """Of `wait`: done when together nothing is missing, impossible when all say so."""
    if len(bodies) == 1:
        return bodies[0]
    outcomes = [body["outcome"] for body in bodies]
    chosen = next((b for b in bodies if b["outcome"] == "waiting"), bodies[0])
    if all(outcome == "impossible" for outcome in outcomes):
        return bodies[0]
    told = [(b["arrival"], b.get("connected", ())) for b in bodies if "arrival" in b]
    if len(told) < len(bodies):
        done = all(outcome == "done" for outcome in outcomes)
        return {**chosen, "outcome": "done" if done else "waiting"}
    together = arrival(told)
    done = not together["missing"] and together["total"] > 0 and "impossible" not in outcomes
    return {**chosen, "outcome": "done" if done else "waiting", "arrival": together}


def sections(bodies: Sequence[Json]) -> list[Json]:
    """Of `check`: each section once, rows and findings of all replicas."""
    merged: dict[str, Json] = {}
    carried = {cluster for body in bodies for cluster in body.get("connected", ())}
    for body in bodies:
        elsewhere = carried.difference(body.get("connected", ()))
        for section in body["sections"]:
            into = merged.setdefault(
                section["title"], {"title": section["title"], "info": [], "tables": [], "findings": []}
            )
            into["info"] += [line for line in section["info"] if line not in into["info"]]
            for table in section["tables"]:
                _merge_table(into["tables"], table)
            known = {_what(f) for f in into["findings"]}
            into["findings"] += [f for f in section["findings"] if _what(f) not in known and not _old(f, elsewhere)]
    return list(merged.values())


def _old(finding: Mapping[str, Any], elsewhere: Collection[str]) -> bool:
    return finding["code"] in _OF_AGENTS and finding["object"] in elsewhere


def _what(finding: Mapping[str, Any]) -> tuple[str, ...]:
    """Not the message: it tells for how long, and that differs from replica to replica."""
    return finding["code"], finding["object"], finding.get("gateway", "")


def _merge_table(tables: list[Json], table: Json) -> None:
    into = next((t for t in tables if t["columns"] == table["columns"]), None)
    if into is None:
        tables.append({"columns": table["columns"], "rows": [list(row) for row in table["rows"]]})
        return
    width = 2 if table["columns"][0] == "Namespace" else 1
    rows = {tuple(row[:width]): row for row in into["rows"]}
    for row in table["rows"]:
        known = rows.get(tuple(row[:width]))
        if known is None or (_poor(known) and not _poor(row)):
            rows[tuple(row[:width])] = list(row)
    into["rows"] = [rows[key] for key in sorted(rows)]


def _poor(row: Iterable[str]) -> bool:
    return any(cell in _WORSE for cell in row)


def ways(bodies: Sequence[Json]) -> list[Json]:
    """Of `trace`: per object the newest change that anybody knows. When it was seen is known where it came in, when it
    was applied where the cluster's agent is.
    """
    found: dict[tuple[str, str, str], list[tuple[Json, Json]]] = {}
    for body in bodies:
        for item in body["items"]:
            found.setdefault((item["cluster"], item["namespace"], item["name"]), []).append((body, item))
    return [_way(answers) for _, answers in sorted(found.items())]


def _way(answers: Sequence[tuple[Json, Json]]) -> Json:
    known = [(body, item) for body, item in answers if item["known"]]
    if not known:
        return answers[0][1] | {"unknown": [], "why": ""}
    newest = max(item["configVersion"] for _, item in known)
    parts = [(body, item) for body, item in known if item["configVersion"] == newest]
    source = next((part for part in parts if not part[1].get("elsewhere")), None)
    item = dict((source or parts[0])[1])
    best: dict[str, Json] = {}
    for _, part in parts:
        for cluster in part["clusters"]:
            before = best.get(cluster["name"])
            if before is None or _told(cluster) > _told(before):
                best[cluster["name"]] = cluster
    item["clusters"] = [best[name] for name in sorted(best)]
    item["trace"] = next((part.get("trace") for _, part in (*filter(None, [source]), *parts) if part.get("trace")), "")
    item["replicas"] = sorted(body["replica"] for body, _ in parts)
    item["unknown"] = [] if source else [s for s in ("seen", "pushed", "stored") if s not in item["stages"]]
    item["why"] = "" if source else "the server that took the change in does not answer, or has been restarted"
    return item


def _told(cluster: Json) -> tuple[bool, str]:
    return bool(cluster.get("connectedHere")), cluster.get("applied", "")
