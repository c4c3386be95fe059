"""Clusters and namespaces that nobody knows: a slip of the pen is not answered with an empty list."""

from __future__ import annotations

from collections.abc import Iterable

from ctl.exits import Failed, usage
from ctl.server import get

_LISTED = ("Warm", "Cached")


def check_cluster(name: str) -> None:
    """`name` empty: none was asked for. A cluster that is registered is known, also without an agent; a server that has
    not yet read its own cluster cannot say. Raises Failed.
    """
    if not name:
        return
    bodies = get("/clusters").bodies
    known = {str(body["management"]) for body in bodies if "management" in body}
    known |= {str(cluster["name"]) for body in bodies for cluster in body["clusters"]}
    if any(body.get("managementState", {}).get("state") in _LISTED for body in bodies):
        check_one_of(name, known)


def check_one_of(name: str, known: Iterable[str]) -> None:
    """Raises Failed."""
    there = sorted(known)
    if name not in there:
        from fingerpost.api.likeness import did_you_mean

        message = f"no cluster is called {name}; there are: {', '.join(there)}{did_you_mean(name, there)}"
        raise usage(message, "fingerpost cluster list names them")


def check_a_namespace(name: str) -> None:
    """As `check_namespace`, where lists of none may also mean that clusters tell nothing of namespaces."""
    found = [item for body in get("/objects", {"kind": "namespaces"}).bodies for item in body["items"]]
    if name and found and name not in {item["metadata"]["name"] for item in found}:
        raise _unknown_namespace(name)


def check_namespace(name: str) -> None:
    """`name` empty: none was asked for. Raises Failed."""
    if name and not any(b["items"] for b in get("/objects", {"kind": "namespaces", "name": name}).bodies):
        raise _unknown_namespace(name)


def _unknown_namespace(name: str) -> Failed:
    return usage(f"no cluster has a namespace {name}", "fingerpost get namespaces lists them")
