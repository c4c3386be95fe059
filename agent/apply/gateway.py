"""What one gateway is to be served: the wanted lists, and the effective ones after every substitution (design D2, D6,
D15).

Pure: no clock and no I/O; the time comes in as an argument. A contribution is taken from what is in force instead of
from what is wanted when the server keeps it, when Envoy refused it, while it waits to be re-admitted, or when too much
would vanish at once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from agent.apply.blocks import changes, differing
from agent.apply.exceptions import KEPT, MASS_DELETION_HELD, REFUSED, Deviation
from agent.apply.substitute import substitute
from fingerpost.relay.pieces import KEEP_CLUSTER, PieceList

Key = tuple[str, str]  # (type, name)

LOSS_SHARE = 0.5
LOSS_LEAST = 10
_REMEMBERED_GOOD = 2
_REMEMBERED_BAD = 4096
_USED_BY_NAME = frozenset(("cluster", "endpoints"))
_NAMING = frozenset(("routes", "listener"))


class Refusal(NamedTuple):
    message: str
    since_unix_nanos: int
    proxies: tuple[str, ...]


class GatewayState:
    """One scope. Every method that changes something answers with the keys whose effective list is another one now."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.version = 0
        self.known = False  # a version was delivered or loaded; before that nothing may be served
        self.wanted: dict[Key, PieceList] = {}
        self.effective: dict[Key, PieceList] = {}
        self.keep: dict[str, str] = {}
        self.lost: dict[str, str] = {}  # contribution -> message of the guard
        self.refused: dict[str, Refusal] = {}
        self.since: dict[str, int] = {}  # of keep and lost
        self.borrowed: set[Key] = set()  # removed resources that a kept piece still names
        self._pending: deque[frozenset[str]] = deque()
        self._counts: Counter[str] = Counter()
        self._diverged: set[Key] = set()
        self._good: dict[Key, list[PieceList]] = {}
        self._bad: set[bytes] = set()
        self._unproven: set[Key] = set()

    # ------------------------------------------------------------------ what comes down

    def apply(
        self,
        version: int,
        changed: Mapping[Key, PieceList | None],
        keep: Mapping[str, str],
        *,
        confirmed: bool,
        now: int,
    ) -> set[Key]:
        self.version, self.known = version, True
        before = len(self._counts)
        unwanted = self.keep.keys() - self._counts.keys()
        touched, lost = self._take(changed)
        if keep != self.keep:
            self._set_keep(keep, now)
            if unwanted - self.keep.keys() - self._counts.keys():  # in force as kept only: lost like others
                unwanted &= self._held()
                before += len(unwanted)
                lost |= unwanted - self.keep.keys() - self._counts.keys()
        if confirmed:
            self._forget_lost(list(self.lost))
        elif self._too_much(lost - self.keep.keys(), before):
            message = (
                f"the new version would take away {len(lost)} of {before} contributions at once; "
                "they stay until the server confirms it or `fingerpost release` is given"
            )
            for name in sorted(lost):
                self.lost.setdefault(name, message)
                self.since.setdefault(name, now)
        self._forget_lost([c for c in self.lost if c in self._counts])  # what is back has healed
        for contribution in touched & self.refused.keys():
            del self.refused[contribution]  # other pieces: they get their chance
        return self._recompute(changed.keys() | self._diverged if self._diverged or self._pins() else changed.keys())

    def gone(self, version: int, *, confirmed: bool, now: int) -> set[Key]:
        """The scope itself was withdrawn. Unconfirmed, this is a mass deletion like any other."""
        return self.apply(version, dict.fromkeys(self.wanted), {}, confirmed=confirmed, now=now)

    def release(self) -> set[Key]:
        """A person agrees to the losses that are held."""
        self._forget_lost(list(self.lost))
        return self._recompute(set(self._diverged))

    def restore(self, version: int, wanted: Mapping[Key, PieceList], effective: Mapping[Key, PieceList]) -> None:
        """As it was at the last write to disk; keep, lost and refused are there already.

        What waited to be re-admitted when the agent ended is simply tried again.
        """
        self.version, self.known = version, True
        self.wanted, self.effective = dict(wanted), dict(effective)
        self._counts = Counter(p.contribution for pieces in wanted.values() for p in pieces if p.contribution)
        self._diverged = {k for k in wanted.keys() | effective.keys() if wanted.get(k) != effective.get(k)}
        self._unproven = set(self.effective)
        self._recompute(set(self._diverged))

    # ------------------------------------------------------------------ what the proxies say

    def accepted(self, lists: Mapping[Key, PieceList | None]) -> None:
        """A proxy acknowledged these lists."""
        for key, pieces in lists.items():
            if pieces is None or (self._bad and pieces.digest in self._bad):
                continue
            good = self._good.setdefault(key, [])
            if not good or good[-1] is not pieces:
                good.append(pieces)
                del good[:-_REMEMBERED_GOOD]
            if self.effective.get(key) == pieces:
                self._unproven.discard(key)

    def refuse(self, offered: Mapping[Key, PieceList | None], message: str, proxy: str, now: int) -> set[Key]:
        """A proxy refused a response with these lists. One suspect is the culprit; of several, one half is tried again
        at once.
        """
        suspects: set[str] = set()
        for key, pieces in offered.items():
            if pieces is None:
                continue
            if len(self._bad) >= _REMEMBERED_BAD:
                self._bad.clear()
            self._bad.add(pieces.digest)
            suspects |= differing(self._last_good(key), pieces)
        for contribution in suspects & self.refused.keys():
            old = self.refused[contribution]
            if proxy not in old.proxies:
                self.refused[contribution] = old._replace(proxies=(*old.proxies, proxy))
        suspects -= self.refused.keys()
        waiting = frozenset().union(*self._pending)
        suspects -= waiting
        if len(suspects) > 1:
            suspects.discard("")  # structure only comes under suspicion when nothing else is left
        if not suspects:
            return set()
        if len(suspects) == 1:
            self.refused[next(iter(suspects))] = Refusal(message, now, (proxy,))
        else:
            ordered = sorted(suspects)
            half = len(ordered) // 2
            self._pending.extendleft((frozenset(ordered[half:]), frozenset(ordered[:half])))
        moved = set()
        for key in offered.keys() | self._unproven:
            back = substitute(self.effective.get(key), self._last_good(key), suspects)
            moved |= self._put(key, back)
        if len(suspects) > 1:
            moved |= self.readmit()
        return moved

    def readmit(self) -> set[Key]:
        """Everything offered was acknowledged: try the next group of those that wait."""
        if not self._pending:
            return set()
        self._pending.popleft()
        return self._recompute(set(self._diverged))

    @property
    def diverged(self) -> Collection[Key]:
        """The keys whose effective list is not the wanted one."""
        return self._diverged

    @property
    def trying(self) -> bool:
        return bool(self._pending)

    def deviations(self) -> list[Deviation]:
        out = [Deviation(c, KEPT, why, self.since.get(c, 0)) for c, why in self.keep.items()]
        out += [Deviation(c, MASS_DELETION_HELD, why, self.since.get(c, 0)) for c, why in self.lost.items()]
        out += [Deviation(c, REFUSED, r.message, r.since_unix_nanos, r.proxies) for c, r in self.refused.items()]
        return sorted(out)

    # ------------------------------------------------------------------ inside

    def _take(self, changed: Mapping[Key, PieceList | None]) -> tuple[set[str], set[str]]:
        """Move to the wanted lists; answers with the contributions touched and those that have no piece left."""
        counts = self._counts
        touched: set[str] = set()
        emptied: set[str] = set()
        for key, new in changed.items():
            removed, inserted = changes(self.wanted.get(key), new)
            for p in inserted:
                counts[p.contribution] += 1
                touched.add(p.contribution)
            for p in removed:
                counts[p.contribution] -= 1
                touched.add(p.contribution)
                if not counts[p.contribution]:
                    emptied.add(p.contribution)
            if new is None:
                self.wanted.pop(key, None)
            else:
                self.wanted[key] = new
        counts.pop("", None)
        lost = {c for c in emptied if c and counts.get(c, 0) <= 0}
        for contribution in lost:
            counts.pop(contribution, None)
        return touched - {""}, lost

    def _too_much(self, lost: Collection[str], before: int) -> bool:
        if not lost:
            return False
        return (len(lost) >= LOSS_LEAST and len(lost) > before * LOSS_SHARE) or not self._counts

    def _expanded(self, keep: Mapping[str, str]) -> dict[str, str]:
        """A whole cluster stands for what is held of it; the server may not know those objects any more."""
        named = {c: reason for c, reason in keep.items() if not c.startswith(KEEP_CLUSTER)}
        clusters = {c.removeprefix(KEEP_CLUSTER): r for c, r in keep.items() if c.startswith(KEEP_CLUSTER)}
        if clusters:
            for contribution in self._held():
                if reason := clusters.get(contribution.split("/")[2]):
                    named.setdefault(contribution, reason)
        return named

    def _held(self) -> set[str]:
        return {p.contribution for pieces in self.effective.values() for p in pieces if p.contribution}

    def _set_keep(self, wanted: Mapping[str, str], now: int) -> None:
        keep = self._expanded(wanted)
        for contribution in self.keep.keys() - keep.keys() - self.lost.keys():
            self.since.pop(contribution, None)
        for contribution in keep:
            self.since.setdefault(contribution, now)
        self.keep = keep

    def _forget_lost(self, contributions: Iterable[str]) -> None:
        for contribution in contributions:
            del self.lost[contribution]
            if contribution not in self.keep:
                self.since.pop(contribution, None)

    def _pins(self) -> set[str]:
        if not (self.keep or self.lost or self.refused or self._pending):
            return set()
        return set(self.keep) | set(self.lost) | set(self.refused) | set().union(*self._pending)

    def _recompute(self, keys: Iterable[Key]) -> set[Key]:
        pins = self._pins()
        moved: set[Key] = set()
        absent: list[Key] = []
        for key in keys:
            new = self.wanted.get(key)
            if pins:
                new = substitute(new, self.effective.get(key), pins)
            if new is None and pins and key[0] in _USED_BY_NAME and key in self.effective:
                absent.append(key)
                continue
            moved |= self._put(key, new)
        return moved | self._borrow(absent, pins)

    def _borrow(self, absent: list[Key], pins: Collection[str]) -> set[Key]:
        """A cluster that nobody wants any more stays while a kept piece names it: the kept route must go on working."""
        if not absent:
            self.borrowed -= {k for k in self.borrowed if k in self.wanted}
            return set()
        bodies = [
            p.body
            for key in self._diverged
            if key[0] in _NAMING and key in self.effective
            for p in self.effective[key]
            if p.contribution in pins
        ]
        moved: set[Key] = set()
        for key in absent:
            name = key[1].encode()
            if any(name in body for body in bodies):
                self.borrowed.add(key)
                self._diverged.add(key)
            else:
                self.borrowed.discard(key)
                moved |= self._put(key, None)
        return moved

    def _put(self, key: Key, new: PieceList | None) -> set[Key]:
        if new is self.wanted.get(key) or new == self.wanted.get(key):
            self._diverged.discard(key)
        else:
            self._diverged.add(key)
        old = self.effective.get(key)
        if old is new:
            return set()
        if new is None:
            del self.effective[key]
            self._unproven.discard(key)
            if key not in self.wanted:
                self._good.pop(key, None)
            return {key}
        self.effective[key] = new
        if old == new:
            return set()
        self._unproven.add(key)
        return {key}

    def _last_good(self, key: Key) -> PieceList | None:
        good = self._good.get(key, ())
        return next((g for g in reversed(good) if not self._bad or g.digest not in self._bad), None)
