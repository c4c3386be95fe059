"""Hosts of a RouteTable: syntax, lower case, what covers what (routing.md §4.2).

Intersecting them with a listener's hosts is the business of the binding, not of this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fingerpost.api.limits import LONGEST_HOST

_LABEL = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_AFTER_STAR = re.compile(r"(?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_REWRITE_LABEL = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,62}")


def host_problem(host: str) -> str | None:
    """Why `host` may not stand in `hosts`; the lone `*` is fine here, only the table knows whether it is allowed."""
    if not 1 <= len(host) <= LONGEST_HOST:
        return f"a host has 1 to {LONGEST_HOST} characters, not {len(host)}"
    if host == "*":
        return None
    labels = host.removesuffix(".").split(".")
    for i, label in enumerate(labels):
        starred = i == 0 and label.startswith("*")
        if len(label) > 63 or not (_AFTER_STAR.fullmatch(label[1:]) if starred else _LABEL.fullmatch(label)):
            where = "* may only begin the first label" if "*" in label else f'"{label}" is no label of a host name'
            return where if label else "a label is empty"
    if labels[-1].isdigit():
        return f'the last label "{labels[-1]}" must not be a number'
    return "* needs further labels or must stand alone" if labels == ["*"] else None


def hostname_problem(host: str) -> str | None:
    """Why `host` cannot replace the host of a request (`hostRewrite`, `hostRedirect`; routing.md §6.1)."""
    if not 1 <= len(host) <= LONGEST_HOST:
        return f"a host has 1 to {LONGEST_HOST} characters, not {len(host)}"
    if all(_REWRITE_LABEL.fullmatch(label) for label in host.split(".")):
        return None
    return "labels of 1 to 63 letters, digits and -, not beginning with -, are needed"


def normalize_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Lower case, first occurrence kept. Covered hosts stay: only Istio minds them."""
    return tuple(dict.fromkeys(host.lower() for host in hosts))


def covers(wide: str, narrow: str) -> bool:
    """Every request for `narrow` is one for `wide`, and the two differ. Both in lower case."""
    if wide == narrow or not wide.startswith("*"):
        return False
    suffix, rest = wide[1:], narrow.removeprefix("*")
    return rest.endswith(suffix) and (narrow.startswith("*") or len(rest) > len(suffix))
