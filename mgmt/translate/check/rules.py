"""Rules that several kinds share: one-ofs, ports, references, labels, list lengths.

REFUSED is the code of everything that the API server refuses too; the message says which rule it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from fingerpost.api.base import Duration
from fingerpost.api.common import ClientMode, DestinationKind, DestinationSelector, ObjectReference, PortSelector
from fingerpost.api.limits import LARGEST_PORT
from fingerpost.crd.rules.common import WHOLE_MILLISECONDS, supported_words
from fingerpost.labels import label_problem
from fingerpost.problems import Reporter

REFUSED = "Refused"
_MILLISECOND = timedelta(milliseconds=1)


def refuse(report: Reporter, path: str, message: str) -> None:
    report.invalid(path, REFUSED, message)


def check_one_of(report: Reporter, path: str, given: Mapping[str, bool]) -> None:
    """At most one of the named fields may be set."""
    names = [name for name, is_set in given.items() if is_set]
    if len(names) > 1:
        refuse(report, path, f"{' and '.join(names)} are set together, but they exclude each other; keep one of them")


def check_length(report: Reporter, path: str, items: Sequence[Any], most: int) -> None:
    if len(items) > most:
        refuse(report, path, f"at most {most} entries are allowed, found {len(items)}")


def check_text(report: Reporter, path: str, text: str, most: int) -> None:
    if len(text) > most:
        refuse(report, path, f"at most {most} characters are allowed, found {len(text)}")


def check_port(report: Reporter, path: str, port: PortSelector | None) -> None:
    """Range, and both number and name given (routing.md §2.3); whether a port is needed at all, the caller knows."""
    if port is None:
        return
    check_port_number(report, f"{path}.number", port.number)
    if port.number and port.name:
        message = f'number {port.number} and name "{port.name}" are both given, the name is ignored; remove one of them'
        report.warn(path, "PortAmbiguous", message)


def check_port_number(report: Reporter, path: str, number: int) -> None:
    """0 counts as absent."""
    if number > LARGEST_PORT:
        refuse(report, path, f"a port is 1 to {LARGEST_PORT}, not {number}")


def check_destinations(
    report: Reporter, selectors: Sequence[DestinationSelector], supported: Sequence[DestinationKind]
) -> None:
    """The `applyToDestinations` of a policy."""
    for i, selector in enumerate(selectors):
        path = f"spec.applyToDestinations[{i}]"
        if selector.kind not in supported:
            refuse(report, f"{path}.kind", supported_words(supported))
        check_port(report, f"{path}.port", selector.port)


def check_reference(report: Reporter, path: str, ref: ObjectReference) -> None:
    if not ref.name:
        refuse(report, f"{path}.name", "is missing; a reference needs the object's name")


def check_labels(report: Reporter, path: str, labels: Mapping[str, str]) -> None:
    for key, value in sorted(labels.items()):
        if problem := label_problem(key, value):
            refuse(report, path, problem)


def check_client_mode(report: Reporter, path: str, mode: ClientMode | None) -> None:
    if mode is not None:
        given = {
            "auto": mode.auto is not None,
            "sniRouting": mode.sni_routing is not None,
            "tlsTermination": mode.tls_termination is not None,
        }
        check_one_of(report, path, given)


def check_whole_milliseconds(report: Reporter, path: str, value: Duration | None) -> None:
    """How long it may be is a matter of its type."""
    if value is not None and (value < _MILLISECOND or value % _MILLISECOND):
        refuse(report, path, f"{WHOLE_MILLISECONDS}, not {value}")
