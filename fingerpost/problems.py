"""A user's mistake is a value, never an exception: it names the object, the field, what was found and the remedy."""

from __future__ import annotations

import enum

import msgspec

from fingerpost.objects import ObjectKey

_LONGEST = 1000  # characters of a message: enough for the sentence, not for a value of megabytes in it


def sayable(text: str) -> str:
    """`text` as it may go to a terminal, a log and a status: no control characters, not endless."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 200]} ... {text[-190:]}"  # the remedy stands at the end
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


class Severity(enum.IntEnum):
    INFO = 0  # a note; the object is ACCEPTED with this message
    WARNING = 1  # the rest still applies
    INVALID = 2  # the object (or the named part) has no effect as written
    FAILED = 3  # correct, but it could not be brought about
    PENDING = 4  # not taken into account yet (no workspace, configuration not read)


class Problem(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One finding. `code` is stable and documented ("RefNotFound"); `message` is one sentence in lower case.

    Where the two are shown together, the message follows its path. `located`: it says in its own words which part of
    the object it is about ("listener 0: ...") and stands alone.
    """

    ref: ObjectKey
    path: str = ""  # "spec.http[2].forwardTo.destinations[0].port"
    severity: Severity
    code: str
    message: str
    located: bool = False


class Reporter:
    """Collects the problems of one object."""

    __slots__ = ("problems", "ref")

    def __init__(self, ref: ObjectKey) -> None:
        self.ref = ref
        self.problems: list[Problem] = []

    def add(self, severity: Severity, path: str, code: str, message: str, *, located: bool = False) -> None:
        text = sayable(message)
        problem = Problem(ref=self.ref, path=path, severity=severity, code=code, message=text, located=located)
        self.problems.append(problem)

    def warn(self, path: str, code: str, message: str, *, located: bool = False) -> None:
        self.add(Severity.WARNING, path, code, message, located=located)

    def invalid(self, path: str, code: str, message: str, *, located: bool = False) -> None:
        self.add(Severity.INVALID, path, code, message, located=located)

    def failed(self, path: str, code: str, message: str) -> None:
        self.add(Severity.FAILED, path, code, message)

    def pending(self, path: str, code: str, message: str) -> None:
        self.add(Severity.PENDING, path, code, message)

    @property
    def broken(self) -> bool:
        return any(p.severity >= Severity.INVALID for p in self.problems)
