"""The fleet that a question is about: the servers' inputs as they are now, a kept dump of them, or folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ctl.exits import Code, Failed, usage
from ctl.flags import current
from ctl.offline.given import broken, check_fleet
from ctl.output import Document, emit, remark
from ctl.rolled_back import tell_rollbacks
from fingerpost import __version__
from fingerpost.objects import ObjectKey, canonical
from mgmt.snapshot.outcome import Outcome
from mgmt.translate.graph.ownership import Place


class Asked(NamedTuple):
    """`revision` 0: not of a server. `rollbacks`: by which gateways get other objects than those that are written."""

    outcome: Outcome
    revision: int = 0
    server_version: str = ""
    context: str = ""
    rollbacks: Sequence[Mapping[str, Any]] = ()


def asked(snapshot: str, fleet: str, management: str) -> Asked:
    """`snapshot` is a file of `snapshot input`, `fleet` a folder per cluster. Raises Failed."""
    if snapshot and fleet:
        raise usage("--snapshot and --fleet name two fleets", "give one of them, or none for the servers'")
    if fleet:
        from ctl.offline.fleet import translate_folder

        check_fleet("--fleet", Path(fleet), management)
        made = translate_folder(Path(fleet), Place(cluster=management, admin_namespace=current().admin_namespace))
        if made.manifests.findings:
            raise broken(made.manifests.findings)
        return Asked(made.outcome)
    if snapshot:
        body = _kept(Path(snapshot))
        version = str(body.get("serverVersion", ""))
        return Asked(_outcome(body), int(body["revision"]), version, rollbacks=body.get("rollbacks", ()))
    from ctl.commands.objects import patience
    from ctl.commands.snapshot import newest
    from ctl.server import get

    answers = get("/snapshots/input", {}, patience())
    body = newest(answers.bodies)
    if "place" not in body:
        message = "the server is too old to be asked this: its dump does not say which cluster manages"
        raise Failed(Code.USAGE, message, "use a command line of the server's version")
    version = str(body["serverVersion"])
    for address, trouble in answers.missing.items():  # each replica holds all inputs, so the answer is whole
        remark(f"warning: {address} does not answer ({trouble}); it may know of a later change")
    return Asked(_outcome(body), int(body["revision"]), version, answers.context, body.get("rollbacks", ()))


def tell(
    there: Asked,
    kind: str,
    text: Callable[[], str],
    spec: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> None:
    """What was found there, with what it was found in."""
    if warning := _another_version(there):
        remark(f"warning: {warning}")
    tell_rollbacks(there.rollbacks)
    emit(
        Document(
            kind,
            text=text,
            spec={"revision": there.revision, "rollbacks": list(there.rollbacks), **spec},
            findings=findings,
            names=names,
            server_version=there.server_version,
            context=there.context,
        )
    )


def _another_version(asked: Asked) -> str:
    """A warning when the translator here is not the servers' own; else empty."""
    if asked.server_version in ("", __version__):
        return ""
    return f"the server is of version {asked.server_version}, this command of {__version__}: its answer may differ"


_REMEDY = "fingerpost snapshot input -o json > FILE makes one"


def _kept(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as e:
        raise usage(f"--snapshot is {file}: {e.strerror}", _REMEDY) from e
    except UnicodeDecodeError as e:
        raise usage(f"--snapshot is {file}, which holds no dump of inputs", _REMEDY) from e
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
        body = found["spec"]
        body["place"]["cluster"], body["revision"], body["clusters"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise usage(f"--snapshot is {file}, which holds no dump of inputs", _REMEDY) from e
    if found.get("kind") == "OutputSnapshot":  # of the same form, so that it would pass for a fleet without objects
        raise usage(f"--snapshot is {file}, which is a dump of outputs, not of inputs", _REMEDY)
    _check_whole(file, body)
    return dict(body)


def _check_whole(file: Path, body: Mapping[str, Any]) -> None:
    """A part would be taken for a fleet that has lost the rest. Dumps of older versions do not say what was left out,
    but without the management cluster none is whole. Raises Failed.
    """
    part, management = body.get("part"), body["place"]["cluster"]
    if isinstance(part, Mapping):
        only = ", ".join(f"{name} {value}" for name, value in part.items())
    elif management not in body["clusters"]:
        only = f"cluster {', cluster '.join(body['clusters'])}" if body["clusters"] else "no cluster"
    else:
        return
    hint = f"{_REMEDY} of the whole fleet, without --cluster, --type and -n"
    raise usage(f"--snapshot is {file}, which holds only a part of the fleet: {only}", hint)


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe)
    except yaml.YAMLError as e:
        raise ValueError(str(e)) from e


def _outcome(body: Mapping[str, Any]) -> Outcome:
    said = body["place"]
    scoped_from = said.get("scopedRoutesFrom", 0)  # a snapshot of an older server has none
    place = Place(cluster=said["cluster"], admin_namespace=said["adminNamespace"], scoped_from=scoped_from)
    return Outcome(place, dict(_objects(body)))


def _objects(body: Mapping[str, Any]) -> Any:
    for cluster, shown in body["clusters"].items():
        for type_, objects in shown["types"].items():
            for obj in objects:
                metadata = obj.get("metadata", {})  # one that cannot be read is shown as {}
                if "name" in metadata:
                    key = ObjectKey(type_, cluster, metadata.get("namespace", ""), metadata["name"])
                    yield key, canonical(obj)
