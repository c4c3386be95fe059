"""`snapshot input|output`: what the servers have been told, and what they send."""

from __future__ import annotations

from typing import Any

from ctl.commands.objects import partial, patience
from ctl.exits import usage
from ctl.flags import current
from ctl.known import check_cluster, check_namespace
from ctl.output import Document, emit
from ctl.server import get
from ctl.table import table
from fingerpost.api.kinds import AmbiguousKind, UnknownKind, find

OUTPUT_TYPES = ("cluster", "endpoints", "listener", "object", "routes", "status")
Json = dict[str, Any]


def snapshot(side: str, cluster: str, type_: str) -> int:
    if side not in ("input", "output"):
        raise usage(f'the snapshot is "{side}"', "write fingerpost snapshot input or fingerpost snapshot output")
    wanted = {"cluster": cluster, "type": _type(side, type_), "namespace": current().namespace}
    answers = get(f"/snapshots/{side}", wanted, patience())
    found = newest(answers.bodies)
    if cluster and cluster not in found["clusters"]:
        check_cluster(cluster)  # with the names of those there are
        raise usage(f"no cluster is called {cluster}", "fingerpost cluster list names them")
    if not any(shown["types"] for shown in found["clusters"].values()):
        if side == "input" and type_ and not _is_kind(type_):
            raise usage(f'--type is "{type_}": no kind is called so', "fingerpost snapshot input lists the types")
        check_namespace(wanted["namespace"])
    if part := {name: value for name, value in wanted.items() if value}:
        found = {**found, "part": part}  # whoever reads a kept dump must not take it for the whole fleet
    emit(
        Document(
            f"{side.title()}Snapshot",
            text=lambda: _table(found),
            spec=found,
            names=sorted(f"{c}/{t}" for c, shown in found["clusters"].items() for t in shown["types"]),
            server_version=found.get("serverVersion", ""),
            context=answers.context,
        )
    )
    return partial(answers)


def newest(bodies: tuple[Json, ...]) -> Json:
    """Every replica holds all inputs and translates all; the one that has read furthest is right."""
    return max(bodies, key=lambda body: int(body["revision"]))


def _type(side: str, word: str) -> str:
    if not word or (side == "output" and word in OUTPUT_TYPES):
        return word
    if side == "output":
        raise usage(f'--type is "{word}"', f"types of the output are {', '.join(OUTPUT_TYPES)}")
    try:
        return find(word).type
    except AmbiguousKind as e:
        raise usage(f"--type: {e}") from e
    except UnknownKind:
        return word  # not a kind of users, such as core/Namespace


def _is_kind(word: str) -> bool:
    try:
        find(word)
    except UnknownKind:
        return False
    return True


def _table(found: Json) -> str:
    rows = [
        [cluster, shown["state"], type_, str(len(objects))]
        for cluster, shown in found["clusters"].items()
        for type_, objects in sorted(shown["types"].items()) or [("-", ())]
    ]
    return f"revision {found['revision']}\n\n{table(('Cluster', 'State', 'Type', 'Objects'), rows)}"
