"""`release CLUSTER`: a person says that a large loss is meant (design D6). Servers and agents each have guards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctl.agent import ask
from ctl.contexts import chosen
from ctl.exits import Code, Failed
from ctl.output import Document, counted, emit, note
from ctl.server import post

_MOST = 20


def release(cluster: str) -> int:
    answers = post("/release", {"cluster": cluster})
    agent, silent = _agent(cluster)
    contributions = sorted({c for body in answers.bodies for c in body["contributions"]})
    objects = sum(body["objects"] for body in answers.bodies) + agent["objects"]
    counts = [
        f"{counted(len(contributions), 'contribution')} held by servers",
        f"{counted(objects, 'object')} of folders",
        f"{counted(len(agent['gateways']), 'gateway')} held by the agent",
    ]
    text = f"released {cluster}: {', '.join(counts)}"
    if not contributions and not objects and not agent["gateways"]:
        text = f"nothing of {cluster} was held"
    emit(
        Document(
            "Release",
            text=lambda: "\n".join([text, *_listed(contributions)]),
            spec={
                "cluster": cluster,
                "contributions": contributions,
                "objects": objects,
                "gateways": agent["gateways"],
            },
            names=contributions,
            server_version=answers.version,
            context=answers.context,
        )
    )
    for address, trouble in answers.missing.items():
        note(f"warning: {address} was not told: {trouble}; repeat the command when it answers")
    if silent:
        note(f"warning: the agent was not told: {silent}; repeat the command when it answers")
    return Code.PARTIAL if answers.missing or silent else Code.DONE


def _listed(contributions: list[str]) -> list[str]:
    more = len(contributions) - _MOST
    rest = [f"  ... and {more} more; -o json shows all"] if more > 0 else []
    return [*(f"  {c}" for c in contributions[:_MOST]), *rest]


def _agent(cluster: str) -> tuple[Mapping[str, Any], str]:
    """What the agent let go; without an address only the servers are told, and they tell it about its gateways."""
    nothing: Mapping[str, Any] = {"objects": 0, "gateways": []}
    address = chosen()[1].agents.get(cluster)
    if not address:
        return nothing, ""
    try:
        return {**nothing, **ask(address, "POST", "/release")}, ""
    except Failed as e:
        return nothing, e.message
