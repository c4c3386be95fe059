"""`version`: of this command line, and of the servers and agents that answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.output import Document, emit, note, remark
from fingerpost import __version__
from fingerpost.versions import apart


def version(client: bool) -> int:
    if client:
        if current().output == "table":
            print(f"client  {__version__}")
        else:
            _show("", [], [], "")
        return Code.DONE
    from ctl.server import get

    try:
        answers = get("/version")
    except Failed as failure:
        _show("", [], [], "", failure.findings)
        note(f"error: {failure.message}")
        remark(f"hint: {failure.hint}")
        return failure.code
    servers = [body["server"] for body in answers.bodies]
    agents = {agent["cluster"]: agent for body in answers.bodies for agent in body["agents"]}
    _show(answers.context, servers, [agents[name] for name in sorted(agents)], str(servers[0]["version"]))
    for server in servers:
        if apart(__version__, server["version"]) > 1:
            remark(f"warning: this is version {__version__}, server {server['replica']} has {server['version']}")
    return Code.PARTIAL if answers.missing else Code.DONE


def _show(
    context: str,
    servers: list[dict[str, Any]],
    agents: list[dict[str, Any]],
    server_version: str,
    findings: Sequence[Mapping[str, Any]] = (),
) -> None:
    lines = [f"client  {__version__}"]
    lines += [f"server  {s['version']}  {s['replica']}" for s in servers]
    lines += [f"agent   {a['version']}  {a['cluster']}" for a in agents]
    more = {"client": {"version": __version__}, "server": servers, "agents": agents}
    emit(
        Document(
            "Version",
            text=lambda: "\n".join(lines),
            findings=findings,
            names=[__version__],
            server_version=server_version,
            context=context,
            more=json.loads(json.dumps(more)),
        )
    )
