"""`wait`: returns when a change is everywhere, or says who is missing, since when and why."""

from __future__ import annotations

import time
from typing import Any

from ctl import deadline
from ctl.commands.objects import missing_text, partial
from ctl.contexts import chosen
from ctl.durations import spoken
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.known import check_cluster
from ctl.merge import verdict
from ctl.names import one
from ctl.output import Document, emit
from ctl.server import Answers, get

_DEFAULT = 60.0
_GRACE = 1.0  # a server answers when its time is over, which is that of the command
_SLICE = 0.25  # with several servers none of them alone knows when all is there


def wait(kind: str, name: str, condition: str, cluster: str) -> int:
    if condition not in ("applied", "accepted"):
        raise usage(f'--for is "{condition}"', "write applied or accepted")
    check_cluster(cluster)
    limit = _DEFAULT if current().wait is None else current().timeout
    rest = deadline.left()  # the start of this command counts, too
    query = one(kind, name, cluster) | {"for": condition}
    began = time.monotonic()
    alone = len(chosen()[1].addresses) == 1
    ends = began + (limit if rest is None else rest)
    patience = ends - began if alone else 0.0
    while True:
        answers = get("/wait", query | {"timeout": f"{patience * 1000:.0f}ms"}, patience, _GRACE)
        found = verdict(answers.bodies)
        left = ends - time.monotonic()
        if found["outcome"] != "waiting" or left <= 0.01:
            break
        patience = left if alone else min(left, _SLICE)
    return _tell(found, answers, condition, time.monotonic() - began, limit)


def _tell(found: dict[str, Any], answers: Answers, condition: str, took: float, limit: float) -> int:
    about = f"{found['kind']} {found['namespace']}/{found['name']}".replace(" /", " ")
    arrival = found.get("arrival")
    share = f"{arrival['arrived']}/{arrival['total']} gateways" if arrival else ""
    outcome = found["outcome"]
    missing = [missing_text(m, m["gateway"]) for m in arrival["missing"]] if arrival else []
    if outcome == "done":
        bare = ", no proxy on " + ", ".join(arrival["noProxy"]) if arrival and arrival["noProxy"] else ""
        text = f"{about} {condition}{f' on {share}' if share else ''} after {took:.2f}s{bare}"
        code = Code.DONE
    elif outcome == "impossible":
        text, code = f"{about} not {condition}: {found['reason']}", Code.FINDINGS
    else:
        text = f"{about} not {condition} within {spoken(limit)}: {share or found['reason']}"
        code = Code.TIMEOUT
    severity = [{"code": outcome, "severity": "error", "object": about, "message": text, "hint": ""}]
    emit(
        Document(
            "Wait",
            text=lambda: "\n".join([text, *(f"  {line}" for line in missing)]),
            spec=found,
            findings=severity if code else (),
            names=[about] if not code else (),
            server_version=answers.version,
            context=answers.context,
        )
    )
    silent = partial(answers)
    return code or silent
