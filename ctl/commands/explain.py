"""`explain route URL` asks a server what happens to a request; `explain CHK041` reads the table of findings."""

from __future__ import annotations

from collections.abc import Sequence

from ctl.exits import Code, usage
from ctl.output import Document, emit
from ctl.rolled_back import tell_rollbacks
from ctl.server import first, post


def explain_route(url: str, method: str, headers: Sequence[str], query: Sequence[str], gateway: str) -> int:
    question = {
        "url": url,
        "method": method,
        "headers": [_pair(h, "--header") for h in headers],
        "query": [_pair(q, "--query") for q in query],
    }
    if gateway:
        if gateway.count("/") != 2:
            raise usage(f'--gateway is "{gateway}"', "write CLUSTER/NAMESPACE/NAME of the gateway's Service")
        question["gateway"] = gateway
    answers = post("/explain/route", question)
    found = first(answers)
    rollbacks = found.get("rollbacks", ())  # an earlier server names none
    tell_rollbacks(rollbacks)
    emit(
        Document(
            "Explanation",
            text=lambda: str(found["text"]),
            spec={**found["explanation"], "rollbacks": rollbacks},
            names=[g["route"]["name"] for g in found["explanation"].get("gateways", ()) if g.get("route")],
            server_version=answers.version,
            context=answers.context,
        )
    )
    return Code.DONE


def _pair(text: str, flag: str) -> list[str]:
    """`k=v`, for headers `k: v` too."""
    name, found, value = text.partition("=")
    if flag == "--header" and ":" in name.lstrip(":"):
        name, found, value = text.partition(": ") if ": " in text else text.partition(":")
    if not found or not name:
        raise usage(f'{flag} is "{text}"', f"write {flag} NAME=VALUE")
    return [name, value]


def explain_code(code: str) -> int:
    from mgmt.admin.findings import CODES
    from mgmt.snapshot.conflicts import CODES as CONFLICTS

    known = CODES.get(code.upper()) or CONFLICTS.get(code.upper())
    if known is None:
        raise usage(
            f"no finding is called {code}", f"codes are {', '.join((*CODES, *CONFLICTS))}; or explain route URL"
        )
    hint = known.hint.replace("{object}", "NAME")
    lines = [f"{code.upper()}  {known.severity}, section {known.section}", "", known.meaning, "", f"hint: {hint}"]
    spec = {"code": code.upper(), "severity": known.severity, "section": known.section, "meaning": known.meaning}
    emit(Document("Code", text=lambda: "\n".join(lines), spec=spec | {"hint": hint}, names=[code.upper()]))
    return Code.DONE
