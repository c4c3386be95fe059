"""`events`: what happened of late at the servers, and with -w what happens from now on, each event once."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ctl.commands.objects import partial
from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.known import check_cluster
from ctl.output import Document, as_yaml, emit, note
from ctl.server import Answers, get
from ctl.streams import unread
from ctl.table import table

Json = dict[str, Any]
_COLUMNS = ("Time", "Type", "Cluster", "About", "Message")
_INTERVAL = 1.0


def events(cluster: str) -> int:
    answers = _ask({}, cluster)
    found = _sorted(answers, {})
    if not found:  # of a cluster that is no more there may be some
        check_cluster(cluster)
    emit(
        Document(
            "EventList",
            text=lambda: table(_COLUMNS, [_row(e) for e in found]),
            items=found,
            names=[e["id"] for e in found],
            server_version=answers.version,
            context=answers.context,
        )
    )
    return partial(answers)


def follow(cluster: str) -> int:
    """Until Ctrl-C or --timeout. A server that is away is told once, and that it is back, maybe with other events."""
    told: dict[str, int] = {}
    code, trouble, answered = int(Code.DONE), "", False
    end = None if current().wait is None else time.monotonic() + current().timeout
    try:
        while not unread() and (end is None or time.monotonic() < end):
            try:
                answers = _ask(told, cluster)
                answered = True
                if not told and not _sorted(answers, told):
                    check_cluster(cluster)
                for event in _sorted(answers, told):
                    _line(event)
                    told[event["replica"]] = max(told.get(event["replica"], 0), int(event["id"]))
                for body in answers.bodies:
                    told.setdefault(body["replica"], 0)  # its clock may be behind those that have told something
                said, code = "; ".join(answers.missing), int(Code.PARTIAL if answers.missing else Code.DONE)
                if said and said != trouble:
                    note(f"warning: {said} does not answer, so its events are missing")
                elif trouble and not said:
                    note("all management servers answer again")
            except Failed as failure:
                if failure.code == Code.TIMEOUT and answered:
                    break
                if failure.code != Code.UNREACHABLE:
                    raise
                said, code = failure.message, int(failure.code)
                if said != trouble:  # not on stdout: with -o json only events are there
                    note(f"error: {said}")
                    note(f"hint: {failure.hint}")
            trouble = said
            time.sleep(_INTERVAL if end is None else max(0.0, min(_INTERVAL, end - time.monotonic())))
    except KeyboardInterrupt:
        pass
    return code


def _ask(told: dict[str, int], cluster: str) -> Answers:
    """Each replica has a clock of its own, so that the one furthest behind counts."""
    query = {"since": str(min(told.values(), default=0))}
    return get("/events", query | ({"cluster": cluster} if cluster else {}))


def _sorted(answers: Answers, told: dict[str, int]) -> list[Json]:
    found = [
        {"replica": body["replica"], **event}
        for body in answers.bodies
        for event in body["items"]
        if int(event["id"]) > told.get(body["replica"], 0)
    ]
    return sorted(found, key=lambda e: (int(e["id"]), e["replica"]))


def _row(event: Json) -> list[str]:
    return [
        event["time"],
        event["type"],
        event["cluster"] or "-",
        _about(event.get("about", "")) or "-",
        event["message"],
    ]


def _about(about: str) -> str:
    """`RouteTable mgmt shop/www` of a contribution; in -o json it stands in full."""
    parts = about.split("/")
    if len(parts) != 5:
        return about
    _, kind, cluster, namespace, name = parts
    return f"{kind} {cluster} {namespace}/{name}" if namespace else f"{kind} {cluster} {name}"


def _line(event: Json) -> None:
    flags = current()
    if flags.output == "json":
        text = json.dumps(event)
    elif flags.output == "yaml":
        text = f"---\n{as_yaml(event)}"
    else:
        text = "  ".join(_row(event))
    print(text)
    sys.stdout.flush()
