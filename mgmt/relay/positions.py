"""Where an agent is in the history of a scope, and which plan brings it to the present. No bytes and no streams here.

What is kept per agent and scope is one Position: a version, not a digest per resource (20,000 resources cost an idle
agent nothing).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import lru_cache

from fingerpost.relay.digest import bucket_of, resource_key
from mgmt.relay.ports import NEVER, LogEntry, ScopeView
from mgmt.relay.scope_frames import Ending, Known, Plan

Key = tuple[str, str]


class Phase(enum.Enum):
    EMPTY = "empty"  # the agent holds nothing of the scope
    KNOWN = "known"  # the agent has, or is being sent, exactly `version`
    ASK = "ask"  # unknown: bucket digests have to be sent
    WAIT = "wait"  # bucket digests of `version` are out, the agent's keys are awaited
    HAVE = "have"  # the agent's keys of the differing buckets are here
    GONE = "gone"  # told that the scope is gone at `version`


class Position:
    __slots__ = ("buckets", "have", "keep", "phase", "version")

    def __init__(self, phase: Phase, version: int = NEVER) -> None:
        self.phase, self.version = phase, version
        self.keep: Mapping[str, str] | None = None  # what the agent was told; None: nothing yet
        self.have: dict[Key, bytes] = {}
        self.buckets: frozenset[int] = frozenset()


def place(view: ScopeView | None, digest: bytes) -> Position:
    """Where an agent is that reports this digest of the scope."""
    if view is None or view.gone:
        return Position(Phase.KNOWN, NEVER)
    if digest == view.digest.total:
        return Position(Phase.KNOWN, view.version)
    for entry in reversed(view.log):
        if entry.base == digest:
            return Position(Phase.KNOWN, entry.previous)
    return Position(Phase.ASK)


def entries_after(view: ScopeView, version: int) -> list[LogEntry] | None:
    """The log after `version`, oldest first; None when it does not reach back that far."""
    out: list[LogEntry] = []
    for entry in reversed(view.log):
        if entry.version <= version:
            break
        out.append(entry)
    out.reverse()
    if out and out[0].previous > version:
        return None
    if not out and view.version != version:
        return None
    return out


def plan_from_log(view: ScopeView, entries: list[LogEntry], keep: Mapping[str, str] | None) -> Plan:
    known: dict[Key, Known] = {}
    for entry in entries:
        for type_, name, before in entry.changed:
            known.setdefault((type_, name), Known(before))  # the first `before` is what the agent has
    after = entries[-1].after if entries else view.digest.total
    return Plan(known, _ending(view, after, keep, entries))


def ending_of(view: ScopeView) -> Ending:
    """Of all that is in the scope, for an agent that has nothing of it."""
    return _ending(view, view.digest.total, view.keep, list(view.log)[-1:])


def plan_from_keys(view: ScopeView, position: Position, entries: list[LogEntry]) -> Plan:
    """The agent listed what it has in `position.buckets`; everywhere else it had `position.version`."""
    known = {key: Known(digest) for key, digest in position.have.items()}
    for key in view.resources:
        if key not in known and bucket(key) in position.buckets:
            known[key] = Known(b"")
    for entry in entries:
        for type_, name, before in entry.changed:
            if bucket((type_, name)) not in position.buckets:
                known.setdefault((type_, name), Known(before))
    return Plan(known, _ending(view, view.digest.total, view.keep, entries))


def _ending(view: ScopeView, after: bytes, keep: Mapping[str, str] | None, entries: list[LogEntry]) -> Ending:
    seen = entries[-1].seen_unix_nanos if entries else 0
    *joined, trace = dict.fromkeys(entry.traceparent for entry in entries if entry.traceparent) or ("",)
    return Ending(after, keep, view.confirmed, seen, trace, tuple(joined))


@lru_cache(maxsize=1 << 16)
def bucket(key: Key) -> int:
    return bucket_of(resource_key(*key))
