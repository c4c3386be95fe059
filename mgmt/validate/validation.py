"""Validation of manifests offline, with the server's own code: reading, decoding, checks, then the whole translator.

It needs no server, no network and no configuration (C-29).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fingerpost.api.likeness import doubt
from fingerpost.api.schema import Mistake
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.translate.graph.inputs import FACTS, GATEWAY
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import Translator, translate
from mgmt.validate.manifests import Manifests, Written, read_manifests
from mgmt.validate.report import Finding, Level, Report, in_order, label, level_of
from mgmt.validate.sources import read_sources
from mgmt.validate.surroundings import complete


class _Type(msgspec.Struct):
    apiVersion: str  # noqa: N815  (as it is written)
    kind: str


_type = msgspec.json.Decoder(_Type)
_NO_GATEWAYS = "no gateway is in this set, so it cannot be seen which one this selects"


def validate_path(
    paths: Iterable[str], *, stdin: bytes = b"", home: str = "mgmt", admin_namespace: str = "gloo-mesh"
) -> Report:
    """`paths` are files, folders, or `-` for `stdin`. `home` is the name of the management cluster."""
    manifests = read_manifests(read_sources(paths, home, stdin))
    return validate_manifests(manifests, Place(cluster=home, admin_namespace=admin_namespace))


def validate_manifests(manifests: Manifests, place: Place) -> Report:
    bodies = {key: written.body for key, written in manifests.objects.items()}
    objects, notes = complete(place, bodies)
    translator, _ = translate(place, objects)
    findings = [*manifests.findings, *(notes if bodies else ()), *findings_of(translator, manifests)]
    return Report(checked=manifests.checked, findings=in_order(findings))


def findings_of(translator: Translator, manifests: Manifests) -> Iterable[Finding]:
    """What the translator says of the objects that were written."""
    gateways = bool(translator.inputs[GATEWAY].items)
    for problem in _problems(translator, manifests.objects):
        yield _finding(manifests.objects, problem, gateways)
    yield from _failures(translator)


def _problems(translator: Translator, objects: Mapping[ObjectKey, Written]) -> Iterable[Problem]:
    """Of the objects in the set only; what is assumed has no place to mend it."""
    for key, written in objects.items():
        status = translator.status(key)
        if status is not None:
            yield from (p for p in status.problems if p.ref in objects)
        elif key.type in FACTS and (decoded := translator.inputs[key.type].items.get(key)) is not None:
            yield from decoded.problems
        elif (wrong := _doubt(written.body)) is not None:
            yield Problem(
                ref=key,
                path=wrong.path,
                severity=Severity.WARNING,
                code=wrong.code,
                message=f"the object has no effect: {wrong.message}",
            )


def _doubt(body: bytes) -> Mistake | None:
    written = _type.decode(body)
    return doubt(written.apiVersion, written.kind)


def _finding(objects: Mapping[ObjectKey, Written], problem: Problem, gateways: bool) -> Finding:
    written = objects[problem.ref]
    level, message = level_of(problem.severity), problem.message
    if problem.code == "NoGatewaySelected" and not gateways:
        level, message = Level.NOTE, f"{message}: {_NO_GATEWAYS}"
    elif problem.code == "NotImplemented" and not problem.path:
        # the API server takes it, and so does the server that is to come (M-69); until then it does nothing
        level, message = Level.WARNING, f"the object has no effect: {message}"
    elif problem.severity is Severity.PENDING:
        message = f"{message}, so the object takes no part"
    return Finding(
        file=written.file,
        line=written.line(problem.path),
        object=written.called or label(problem.ref),
        level=level,
        code=problem.code,
        path=problem.path,
        message=message,
    )


def _failures(translator: Translator) -> Iterable[Finding]:
    """A mistake of ours must not pass for a clean bill of health."""
    for failure in translator.failures():
        key = failure.key
        about = str(key) if isinstance(key, ObjectKey) else failure.node
        message = f"{about} could not be translated: {type(failure.error).__name__}: {failure.error}"
        yield Finding(level=Level.ERROR, code="TranslationFailed", message=message)
