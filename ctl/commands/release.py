"""`release CLUSTER`: a person says that a large loss is meant (design D6)."""

from __future__ import annotations

from ctl.exits import Code
from ctl.output import Document, emit, note
from ctl.server import post


def release(cluster: str) -> int:
    answers = post("/release", {"cluster": cluster})
    contributions = sorted({c for body in answers.bodies for c in body["contributions"]})
    objects = sum(body["objects"] for body in answers.bodies)
    text = f"released {cluster}: {len(contributions)} contributions, {objects} objects of the folder"
    if not contributions and not objects:
        text = f"nothing of {cluster} was held by a server; its agent is told to let go of what it holds"
    emit(
        Document(
            "Release",
            text=lambda: "\n".join([text, *(f"  {c}" for c in contributions)]),
            spec={"cluster": cluster, "contributions": contributions, "objects": objects},
            names=contributions,
            server_version=answers.version,
            context=answers.context,
        )
    )
    for address, trouble in answers.missing.items():
        note(f"warning: {address} was not told: {trouble}")
    return Code.PARTIAL if answers.missing else Code.DONE
