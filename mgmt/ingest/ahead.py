"""What agents hold that this replica has not reached, and numbers that say so (design D4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_APART = 1 << 16


class Ahead:
    """An agent has its version from another replica, or from a Redis that has lost its memory since.

    Where Redis is lost to us alone, as to a process that was stopped for a while, what we remember is older than what
    such an agent holds. It must not be told as something newer before Redis was asked.
    """

    def __init__(self) -> None:
        self.waits = asyncio.Event()  # somebody waits for the next attempt to reach Redis
        self.counts = False  # without Redis, by itself
        self._others = range(0)  # numbers that only others can have given since
        self._version = 0
        self._begun = self._failed = 0  # attempts; the latest that was in vain
        self._in_vain = self.ask()

    def saw(self, version: int, seq: int) -> bool:
        """Says whether that is news; `seq` is what was reached here."""
        if version <= self._version or not self.is_foreign(version, seq):
            return False
        self._version, self._in_vain = version, self.ask()
        return True

    def ask(self) -> Callable[[], bool]:
        """Whether an attempt that began after now has failed: then nobody but us can tell agents anything."""
        begun = self._begun
        self.waits.set()
        return lambda: self._failed > begun

    def begins(self) -> None:
        """An attempt to reach Redis."""
        self.waits.clear()
        self._begun += 1

    def failed(self) -> None:
        self._failed = self._begun

    def counted(self, seq: int) -> int:
        """`seq` without Redis. The first is far above what Redis may come to when we are gone: who holds such a number
        knows something that Redis may lack.
        """
        if self.counts:
            return seq
        self.counts, self._others = True, range(seq, seq + _APART)
        return self._others.stop

    def is_foreign(self, version: int, seq: int) -> bool:
        """Whether another replica has told it; `seq` is what was reached here."""
        return version > seq or (self.counts and version in self._others)

    @property
    def version(self) -> int:
        """The highest that an agent holds, as far as it has come here."""
        return self._version

    def wanted(self, seq: int, before: int, *, synced: bool) -> int:
        """What `seq` has to rise to; 0: it may stay. `before`: `version`, when Redis was last asked for all it has."""
        asked = seq < before if synced else self._in_vain()
        return self._version + 1 if seq < self._version and asked else 0
