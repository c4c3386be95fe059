"""What is wrong with a kubeconfig, before the client package reads it: that one tells of an absent file that a field is
missing, and of any other file what Python made of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fingerpost.api.likeness import did_you_mean
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.yaml_errors import in_one_line

_LISTS = ("clusters", "contexts", "users")
_MOST = 12  # names in a message


class KubeconfigWrong(ClusterFailed):
    """`why` names the file; `of_context`: another context would do, the file is in order."""

    def __init__(self, why: str, remedy: str, *, of_context: bool = False) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why, self.remedy, self.of_context = why, remedy, of_context


def usable(given: str, context: str = "") -> tuple[str, str]:
    """(the files of `given` that are there, the context to use). `given` is a path, or several as `KUBECONFIG` lists
    them: those that are not there do not count, and of all that is said twice the first counts, as for kubectl.
    Raises KubeconfigWrong.
    """
    named = [Path(os.path.expanduser(one)) for one in given.split(os.pathsep) if one]
    there = [one for one in named if one.exists()]
    if not there:
        one = f"the kubeconfig {named[0]} does not exist" if len(named) == 1 else f"no kubeconfig of {given} exists"
        raise KubeconfigWrong(one, "name one that exists")
    files = {one: read for one in there if (read := _read(one))}
    if not files:
        raise KubeconfigWrong(f"the kubeconfig {there[0]} is empty", "name another, or write one")
    what = f"the kubeconfig {os.pathsep.join(str(one) for one in files)}"
    chosen = context or _current(files.values())
    contexts = _named(files.values(), "contexts")
    if not chosen:
        raise KubeconfigWrong(f"{what} has no current-context", _choose(contexts), of_context=True)
    found = contexts.get(chosen)
    if found is None:
        near = did_you_mean(chosen, contexts)
        raise KubeconfigWrong(f"{what} has no context {chosen}{near}", _choose(contexts), of_context=True)
    inside = found.get("context")
    cluster = inside.get("cluster") if isinstance(inside, dict) else None
    if not cluster or cluster not in _named(files.values(), "clusters"):
        names = f"the cluster {cluster}, which is not in it" if cluster else "no cluster"
        remedy = "correct it (kubectl config view shows all), or name another context"
        raise KubeconfigWrong(f"context {chosen} of {what} names {names}", remedy, of_context=True)
    return os.pathsep.join(str(one) for one in files), chosen


def _read(file: Path) -> dict[str, Any]:
    """Empty for a file without content. Raises KubeconfigWrong."""
    another = "name another, or correct it"
    if file.is_dir():
        raise KubeconfigWrong(f"the kubeconfig {file} is a folder", "name a file in it")
    try:
        found = yaml.safe_load(file.read_text())
    except OSError as error:
        remedy = "make it readable, or name another"
        raise KubeconfigWrong(f"the kubeconfig {file} cannot be read: {error.strerror}", remedy) from error
    except UnicodeDecodeError as error:
        raise KubeconfigWrong(f"the kubeconfig {file} is no text", another) from error
    except yaml.YAMLError as error:
        raise KubeconfigWrong(f"the kubeconfig {file} is not YAML: {in_one_line(error)}", another) from error
    if not found:
        return {}
    if not isinstance(found, dict) or not any(name in found for name in (*_LISTS, "current-context")):
        raise KubeconfigWrong(f"the file {file} is no kubeconfig: it has no clusters and no contexts", another)
    for name in _LISTS:
        entries = found.get(name) or []
        if not isinstance(entries, list) or not all(
            isinstance(e, dict) and isinstance(e.get("name"), str) for e in entries
        ):
            raise KubeconfigWrong(f"the kubeconfig {file}: {name} is no list of entries with names", another)
    return found


def _current(files: Iterable[Mapping[str, Any]]) -> str:
    return next((str(found["current-context"]) for found in files if found.get("current-context")), "")


def _named(files: Iterable[Mapping[str, Any]], what: str) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for found in files:
        for entry in found.get(what) or ():
            out.setdefault(entry["name"], entry)
    return out


def _choose(contexts: Iterable[str]) -> str:
    names = sorted(contexts)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"name one of its contexts: {', '.join(names[:_MOST])}{more}" if names else "name another kubeconfig"
