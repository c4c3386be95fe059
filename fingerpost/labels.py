"""The syntax of labels, as Kubernetes has it (routing.md §10)."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")


def key_problem(key: str) -> str | None:
    prefix, slash, name = key.rpartition("/")
    if _NAME.fullmatch(name) and (not slash or _PREFIX.fullmatch(prefix)):
        return None
    return f'"{key}" is no label key; write 1 to 63 letters, digits, -, _ or . with an optional prefix/'


def label_problem(key: str, value: str) -> str | None:
    if problem := key_problem(key):
        return problem
    if not value or _NAME.fullmatch(value):
        return None
    return f'value "{value}" of label "{key}" is not allowed; write at most 63 letters, digits, -, _ or .'
