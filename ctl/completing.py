"""Completion of the command line: the scripts for four shells, and what they ask for at every press of the key.

The words come from the commands themselves, names of clusters and objects from the servers. What is wrong is not said:
then there is simply nothing to choose from (C-46).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ctl import flags
from ctl.exits import Code, Failed

_PATIENCE = 0.4  # seconds for a server: longer than that nobody waits for a key
_BASH = """\
_fingerpost() {
    local IFS=$'\\n'
    COMPREPLY=($(fingerpost __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _fingerpost fingerpost meshctl"""
_ZSH = """\
#compdef fingerpost meshctl
_fingerpost() {
    local -a found
    found=("${(@f)$(fingerpost __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -- $found; else _files; fi
}
compdef _fingerpost fingerpost meshctl"""
_FISH = """\
complete -c fingerpost -a '(fingerpost __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
complete -c meshctl -w fingerpost"""
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName fingerpost, meshctl -ScriptBlock {
    param($word, $ast, $cursor)
    $words = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
    if ($word -eq '') { $words += '""' }
    fingerpost __complete -- @words 2>$null |
        ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
_GLOBAL = (
    "--output",
    "--namespace",
    "--context",
    "--config",
    "--kubeconfig",
    "--kubecontext",
    "--mgmt-namespace",
    "--timeout",
    "--request-timeout",
    "--quiet",
    "--verbose",
    "--no-color",
)


def answer(arguments: Sequence[str]) -> int:
    """Prints what the last word may become, one a line. Never fails, never complains."""
    words = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            found = candidates(words)
        except (Failed, Exception):  # noqa: BLE001  (whatever is wrong, a person at the keyboard is not to see it here)
            found = []
    for one in found:
        print(one)
    return Code.DONE


def candidates(words: Sequence[str]) -> list[str]:
    """Of the last word; sorted."""
    last = words[-1].strip("\"'") if words else ""
    before = list(words[:-1])
    value_of = ""
    try:
        given, rest = flags.hoist(before)
    except Failed:  # the last word is the value of a global flag
        value_of = before[-1]
        given, rest = flags.hoist(before[:-1])
    flags.use(given._replace(request_timeout=min(given.request_timeout, _PATIENCE), quiet=True, output="table"))
    found = _global_value(value_of) if value_of else _of_command(rest, last)
    return sorted({one for one in found if one.startswith(last)})


def _global_value(flag: str) -> Iterable[str]:
    from ctl.contexts import load

    if flag in ("-o", "--output"):
        return (*flags.FORMATS, "jsonpath=")
    if flag in ("-n", "--namespace"):
        return _namespaces()
    if flag in ("--kubecontext", "--mgmt-context"):
        return _kubecontexts()
    return (*load().contexts, *_kubecontexts()) if flag == "--context" else ()


def _of_command(words: Sequence[str], last: str) -> Iterable[str]:
    from ctl.__main__ import command

    here: Any = command()
    path: list[str] = []
    given: list[str] = []
    value_of = None
    for word in words:
        if hasattr(here, "unnamed") and word not in here.commands:
            here, path = here.commands[here.unnamed], [*path, here.unnamed]
        options = {name: option for option in here.params for name in (*option.opts, *option.secondary_opts)}
        if value_of is not None:
            value_of = None
        elif word.startswith("-") and word in options:
            value_of = None if options[word].is_flag else options[word]
        elif not word.startswith("-") and word in getattr(here, "commands", {}) and not given:
            here = here.commands[word]
            path.append(word)
        elif not word.startswith("-"):
            given.append(word)
    if value_of is not None:
        return _value(" ".join(path), value_of.name, given)
    if not hasattr(here, "unnamed"):
        return _next(here, path, given, last)
    found = list(_next(here, path, given, last))
    with contextlib.suppress(Failed):  # words need no server
        found += _next(here.commands[here.unnamed], [*path, here.unnamed], given, last)
    return found


def _next(here: Any, path: Sequence[str], given: Sequence[str], last: str) -> Iterable[str]:
    """A flag, a command of a group, or the next argument."""
    if last.startswith("-"):
        own = [name for option in here.params if option.opts[0].startswith("-") for name in option.opts]
        return (*(name for name in own if name.startswith("--")), *_GLOBAL, "--help")
    if hasattr(here, "commands"):
        more = _codes() if path == ["explain"] else ()
        return (*(name for name in here.commands if not here.commands[name].hidden), *more)
    places = [p for p in here.params if not p.opts[0].startswith("-")]
    if len(given) >= len(places):
        return ()
    return _argument(" ".join(path), places[len(given)].name, given)


def _argument(command: str, name: str, given: Sequence[str]) -> Iterable[str]:
    fixed: Mapping[tuple[str, str], Callable[[], Iterable[str]]] = {
        ("snapshot", "side"): lambda: ("input", "output"),
        ("history show", "number"): _snapshots,
        ("history diff", "number"): _snapshots,
        ("history diff", "to"): _snapshots,
        ("rollback to", "number"): _snapshots,
        ("rollback release", "id_"): _rollbacks,
        ("check", "target"): lambda: ("server", "agent"),
        ("completion", "shell"): lambda: SCRIPTS,
        ("config use", "name"): _contexts,
        ("config set-context", "name"): _contexts,
        ("release", "cluster"): _clusters,
        ("cluster describe", "name"): _clusters,
        ("cluster deregister", "name"): _clusters,
        ("cluster accept", "name"): _clusters,
        ("cluster reject", "name"): _clusters,
    }
    if (command, name) in fixed:
        return fixed[command, name]()
    if name == "kind":
        return _kinds()
    if name == "name" and command in ("get", "describe", "wait", "trace", "history list"):
        return _objects(given[0])
    return ()


def _value(command: str, option: str, given: Sequence[str]) -> Iterable[str]:
    from ctl.commands.snapshot import OUTPUT_TYPES
    from mgmt.admin.findings import SECTIONS

    known: Mapping[str, Callable[[], Iterable[str]]] = {
        "cluster": _clusters,
        "without": _clusters,
        "workspace": lambda: (str(metadata["name"]) for metadata in _items("workspaces")),
        "type_": lambda: OUTPUT_TYPES if "output" in given else _kinds(),
        "gateway": lambda: _gateways(with_cluster=command == "explain route"),
        "prune": lambda: ("namespace", "cluster"),
        "remote_context": _kubecontexts,
        "section": lambda: SECTIONS,
        "fail_on": lambda: ("error", "warning"),
        "condition": lambda: ("applied", "accepted"),
        "side": lambda: ("agent", "mgmt"),
    }
    return known[option]() if option in known else ()


# -------------------------------------------------------------------- what there is


def _kinds() -> Iterable[str]:
    from fingerpost.api.kinds import KINDS

    return (kind.plural for kind in KINDS if kind.written_by_users)


def _codes() -> Iterable[str]:
    from mgmt.admin.findings import CODES
    from mgmt.snapshot.conflicts import CODES as CONFLICTS

    return (*CODES, *CONFLICTS)


def _contexts() -> Iterable[str]:
    from ctl.contexts import load

    return load().contexts


def _kubecontexts() -> Iterable[str]:
    import os
    from pathlib import Path

    import yaml

    from ctl.contexts import usual_kubeconfig

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in (flags.current().kubeconfig or usual_kubeconfig()).split(os.pathsep):
        if Path(file).is_file():
            found = yaml.load(Path(file).read_text(), Loader=loader) or {}  # noqa: S506  (safe loaders both)
            yield from (str(context["name"]) for context in found.get("contexts") or ())


def _clusters() -> Iterable[str]:
    from ctl.server import get

    return [str(cluster["name"]) for body in get("/clusters").bodies for cluster in body["clusters"]]


def _gateways(*, with_cluster: bool) -> Iterable[str]:
    from ctl.server import get

    for body in get("/clusters").bodies:
        for cluster in body["clusters"]:
            named = [scope for scope in cluster["gateways"] if "/" in scope]  # that of Istio is no gateway
            yield from (f"{cluster['name']}/{scope}" if with_cluster else scope for scope in named)


def _history() -> list[dict[str, Any]]:
    from ctl.server import get

    return list(get("/history", {"limit": "20"}).bodies)


def _snapshots() -> Iterable[str]:
    return (str(item["number"]) for body in _history() for item in body["items"])


def _rollbacks() -> Iterable[str]:
    return (str(one["id"]) for body in _history() for one in body["rollbacks"])


def _items(kind: str) -> list[dict[str, Any]]:
    from ctl.server import get

    bodies = get("/objects", {"kind": kind, "namespace": flags.current().namespace}).bodies
    return [item["metadata"] for body in bodies for item in body["items"]]


def _objects(kind: str) -> Iterable[str]:
    alone = bool(flags.current().namespace)
    for metadata in _items(kind):
        where = metadata.get("namespace", "")
        yield metadata["name"] if alone or not where else f"{where}/{metadata['name']}"


def _namespaces() -> Iterable[str]:
    return (metadata["name"] for metadata in _items("namespaces"))
