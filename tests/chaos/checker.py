"""Judges what gateways serve by the users' folders alone.

Three things are wrong, whatever happens in between: what has been served and is wanted all the time is missing at any
look (a false delete); what was replaced or taken away comes back (a rollback); in the quiet something that is wanted is
not served (a lost input), or something that nobody wants is (a leftover).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

from tests.chaos.world import Key, Served, World

_TOLD = 5  # keys named in one finding


class Finding(NamedTuple):
    kind: str  # false_delete | rollback | lost_input | leftover
    cluster: str
    keys: tuple[str, ...]
    number: int
    at: float  # seconds since the beginning

    def __str__(self) -> str:
        more = f" and {self.number - len(self.keys)} more" if self.number > len(self.keys) else ""
        return f"{self.at:8.2f} {self.kind} at {self.cluster}: {'; '.join(self.keys)}{more}"


class Seen(NamedTuple):
    value: str
    since: float


class Checker:
    def __init__(self, world: World, stored_until: Callable[[str], float] = lambda _cluster: inf) -> None:
        """`stored_until(cluster)`: all that was told of this cluster before that moment was acknowledged as stored."""
        self._world, self.stored_until = world, stored_until
        self._began = time.monotonic()
        self._wanted: dict[str, dict[Key, str]] = {}
        # What each gateway has served since users began to want it, and since when: to be served from then on.
        self._seen: dict[str, dict[Key, Seen]] = {c: {} for c in world.clusters}
        self._forgotten, self.rested_at = False, -inf
        # Wanted, not wanted (or otherwise) and wanted again since all was right: whoever serves it may be at the first
        # or the last.
        self._doubtful: dict[str, set[Key]] = {c: set() for c in world.clusters}
        self._former: dict[str, set[tuple[Key, str]]] = {c: set() for c in world.clusters}
        self._missing: dict[str, set[Key]] = {c: set() for c in world.clusters}
        self._served: dict[str, Served] = {c: {} for c in world.clusters}
        self.findings: list[Finding] = []
        self.looks = 0
        self.edited()

    def edited(self) -> None:
        """The world has changed; its files follow. From now on what is not wanted any more may go at any time."""
        for cluster in self._world.clusters:
            wanted, before, former = self._world.wanted(cluster), self._wanted.get(cluster, {}), self._former[cluster]
            self._doubtful[cluster] |= before.keys() - wanted.keys()
            former |= before.items() - wanted.items()
            self._doubtful[cluster] |= {key for key, _ in former & wanted.items()}
            self._wanted[cluster] = wanted
            seen = self._seen[cluster]
            for key in [k for k in seen if k not in wanted]:
                del seen[key]

    def forget(self) -> None:
        """What was acknowledged is lost by our own doing: nothing counts before all is right again."""
        self._forgotten = True

    def rested(self) -> None:
        """All is served as wanted: nothing is under way any more."""
        self._forgotten, self.rested_at = False, time.monotonic()
        for cluster in self._world.clusters:
            self._doubtful[cluster].clear()
            self._former[cluster].clear()
        for cluster, served in self._served.items():
            self.look(cluster, served)

    def look(self, cluster: str, served: Served) -> None:
        self.looks += 1
        self._served[cluster] = served
        wanted, seen, missing = self._wanted[cluster], self._seen[cluster], self._missing[cluster]
        gone = {key for key in seen if key not in served}
        # Endpoints come and go with the first and the last route to them: several files are not one change.
        routed = {value for (kind, _, _), value in served.items() if kind == "route"}
        for key in [k for k in gone if k[0] == "endpoint" and f"to {k[1]}" not in routed]:
            gone.discard(key)
            del seen[key]
        self._find("false_delete", cluster, {k: "is gone" for k in gone - missing if self._counts(k, seen[k])})
        self._missing[cluster] = gone
        back = {}
        now = time.monotonic()
        for key, value in served.items():
            if key not in wanted or key in self._doubtful[cluster]:
                continue
            before = seen.get(key)
            # Only texts are never written twice.
            replaced = before is not None and value != before.value == wanted[key] and value.startswith("says")
            if before is not None and replaced and self._counts(key, before):
                back[key] = f"{value!r} again instead of {wanted[key]!r}"
            if before is None or before.value != value or key in missing:
                seen[key] = Seen(value, now)
        self._find("rollback", cluster, back)

    def _counts(self, key: Key, seen: Seen) -> bool:
        """An absence is a loss only after the input was acknowledged as stored (design D4)."""
        return not self._forgotten and seen.since <= self.stored_until(self._world.home(key))

    def differences(self, only: tuple[str, ...] = ()) -> dict[str, dict[str, dict[Key, str]]]:
        """What is not as wanted now: cluster -> kind of finding -> key -> what is wrong."""
        found = {}
        for cluster in only or self._world.clusters:
            wanted, served = self._wanted[cluster], self._served[cluster]
            lost = {k: f"{served.get(k)!r} instead of {v!r}" for k, v in wanted.items() if served.get(k) != v}
            left = {k: "is still served" for k in served if k not in wanted}
            if lost or left:
                found[cluster] = {"lost_input": lost, "leftover": left}
        return found

    def conclude(self, only: tuple[str, ...] = ()) -> None:
        """It is quiet and time is up: what differs now is found."""
        for cluster, kinds in self.differences(only).items():
            for kind, wrong in kinds.items():
                self._find(kind, cluster, wrong)

    def count(self, kind: str) -> int:
        return sum(f.number for f in self.findings if f.kind == kind)

    def protected(self) -> float:
        """The share of what is served now whose absence would be a loss."""
        seen = [(key, s) for kept in self._seen.values() for key, s in kept.items()]
        return sum(self._counts(key, s) for key, s in seen) / max(1, len(seen))

    def _find(self, kind: str, cluster: str, wrong: Mapping[Key, str]) -> None:
        if wrong:
            told = tuple(f"{' '.join(key)} {what}" for key, what in sorted(wrong.items())[:_TOLD])
            self.findings.append(Finding(kind, cluster, told, len(wrong), time.monotonic() - self._began))
