"""`check`: the health of the plane, section by section; titles and codes are stable, scripts search for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ctl import deadline
from ctl.contexts import chosen, of_cluster
from ctl.exits import Code, Failed, usage
from ctl.flags import current
from ctl.merge import sections
from ctl.output import Document, counted, emit, mark, paint
from ctl.server import Answers, get, get_each
from ctl.table import table
from fingerpost import __version__
from fingerpost.versions import apart
from mgmt.admin.findings import CONNECTIVITY, DEPLOYMENT, SECTIONS, SOURCES, VERSIONS, finding
from mgmt.admin.source_findings import source_finding

_LABELS = {"error": " ERROR", "warning": " WARN "}
_ABOVE = "what keeps its pods from being ready is told above"
_COLORS = {"error": "fail", "warning": "warn"}


def check(target: str, only: Sequence[str], fail_on: str, exit_zero: bool, ask: bool) -> int:
    """`ask` false: not the management server."""
    if target not in ("", "server", "agent"):
        raise usage(f'there is no check of "{target}"', "write fingerpost check, check server or check agent")
    if fail_on not in ("error", "warning"):
        raise usage(f'--fail-on is "{fail_on}"', "write error or warning")
    titles = _titles(only)
    began = time.monotonic()
    answers, found, unreachable = _asked(target, ask)
    _say_missing(found, answers)
    _say_version(found, answers)
    silent = bool(answers.bodies) and target == "" and _ask_agents(found)
    found = [section for section in found if section["title"] in titles]
    findings = [f for section in found for f in section["findings"]]
    errors = sum(f["severity"] == "error" for f in findings)
    warnings = len(findings) - errors
    took = time.monotonic() - began
    summary = (
        f"checked {len(found)} sections in {took:.1f}s: {counted(errors, 'error')}, {counted(warnings, 'warning')}"
    )
    emit(
        Document(
            "Check",
            text=lambda: _text(found, summary),
            spec={"sections": [{k: v for k, v in s.items() if k != "findings"} for s in found]},
            findings=findings,
            names=[f["code"] for f in findings],
            server_version=answers.version,
            context=answers.context,
        )
    )
    if exit_zero:
        return Code.DONE
    if unreachable:
        return Code.UNREACHABLE
    if answers.missing:
        return Code.PARTIAL
    if errors or (fail_on == "warning" and warnings):
        return Code.FINDINGS
    return Code.PARTIAL if silent else Code.DONE


def _asked(target: str, ask: bool) -> tuple[Answers, list[dict[str, Any]], bool]:
    """(who answered, sections, whether no server did). On Kubernetes the API server tells much without a server."""
    name, context = chosen()
    answers, found, wrong = Answers(name, (), {}), [], None
    if target == "agent":
        of_cluster("check agent asks the API server of a workload cluster", "name it with --kubecontext")
    elif ask:
        try:
            answers = get("/check", patience=max(0.0, current().timeout - current().request_timeout))
            found = sections(answers.bodies)
        except Failed as failed:
            if not context.on_kubernetes or failed.code != Code.UNREACHABLE:
                raise
            wrong = failed
    if context.on_kubernetes:
        from ctl.kube import checking

        looked = checking.workload(context) if target == "agent" else checking.management(context, found)
        found = deadline.run(looked)
    if wrong is not None:
        into = next(section for section in found if section["title"] == DEPLOYMENT)
        hint = _ABOVE if wrong.name == "ServerNotReady" and into["findings"] else wrong.hint
        into["findings"].append(finding("CHK032", name, wrong.message, hint))
    elif not ask and target != "agent":
        skipped = {"title": CONNECTIVITY, "info": ["not asked (--remote-port 0)"], "tables": [], "findings": []}
        found.append(skipped)
    return answers, found, wrong is not None


def _titles(only: Sequence[str]) -> Sequence[str]:
    known = {title.lower(): title for title in SECTIONS}
    for name in only:
        if name.lower() not in known:
            raise usage(f'there is no section "{name}"', f"sections are: {', '.join(SECTIONS)}")
    return [known[name.lower()] for name in only] or SECTIONS


def _say_missing(found: list[dict[str, Any]], answers: Answers) -> None:
    for address, trouble in answers.missing.items():
        into = next(section for section in found if section["title"] == DEPLOYMENT)
        into["findings"].append(finding("CHK032", address, f"management server {address} does not answer: {trouble}"))


def _say_version(found: list[dict[str, Any]], answers: Answers) -> None:
    """Beside those of servers and agents."""
    section = next((s for s in found if s["title"] == VERSIONS), None)
    if section is None:
        return
    for table_ in section["tables"]:
        table_["rows"] = [["command line", __version__], *table_["rows"]]
    for body in answers.bodies:
        if apart(__version__, body["version"]) > 1:
            message = f"this command line has version {__version__}, server {body['replica']} {body['version']}"
            section["findings"].append(finding("CHK112", str(body["replica"]), message))


def _ask_agents(found: list[dict[str, Any]]) -> bool:
    """What is wrong with their folders, and what keeps them from the server, only the agents know. True when one gave
    no answer.
    """
    agents = {address.rstrip("/"): cluster for cluster, address in sorted(chosen()[1].agents.items())}
    answers, silent = get_each(list(agents), "/findings")
    into = {section["title"]: section["findings"] for section in found}
    known = {f["message"] for f in into[SOURCES]}  # the agent of the management cluster may read the server's folder
    for address, cluster in agents.items():
        for one in answers.get(address, {}).get("findings", ()):
            said = source_finding(cluster, one["source"], one["code"], one["message"])
            if said["message"] not in known:
                into[said["section"]].append(said | {"message": f"{cluster}: {said['message']}"})
        if address in silent:
            message = f"{cluster}: its agent at {address} does not answer: {silent[address]}"
            into[SOURCES].append(finding("CHK094", cluster, message))
    return bool(silent)


def _text(found: list[dict[str, Any]], summary: str) -> str:
    blocks = []
    for section in found:
        severities = {f["severity"] for f in section["findings"]}
        level = "fail" if "error" in severities else "warn" if severities else "ok"
        if current().quiet and level == "ok":
            continue
        parts = [f"{mark(level)} {section['title']}"]
        if section["info"]:
            parts.append("\n".join(f" INFO  {line}" for line in section["info"]))
        parts += [table(t["columns"], t["rows"]) for t in section["tables"]]
        if section["findings"]:
            parts.append("\n".join(_finding(f) for f in section["findings"]))
        blocks.append("\n\n".join(parts))
    return "\n\n".join([*blocks, summary])


def _finding(f: dict[str, Any]) -> str:
    label = paint(_LABELS[f["severity"]], _COLORS[f["severity"]])
    hint = f"\n       hint: {f['hint']}" if f["hint"] else ""
    return f"{label} {f['code']} {f['message']}{hint}"
