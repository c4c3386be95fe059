"""What agents hold that this replica has not reached (design D4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ahead:
    """An agent has its version from another replica, or from a Redis that has lost its memory since.

    Where Redis is lost to us alone, as to a process that was stopped for a while, what we remember is older than what
    such an agent holds. It must not be told as something newer before Redis was asked.
    """

    def __init__(self) -> None:
        self.waits = asyncio.Event()  # somebody waits for the next attempt to reach Redis
        self._version = 0  # the highest that an agent holds, as far as it has come here
        self._begun = self._failed = 0  # attempts; the latest that was in vain
        self._in_vain = self.ask()

    def saw(self, version: int, seq: int) -> bool:
        """Says whether that is news; `seq` is what was reached here."""
        if version <= max(self._version, seq):
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

    def wanted(self, seq: int, *, synced: bool) -> int:
        """What `seq` has to rise to; 0: it may stay."""
        return self._version + 1 if seq < self._version and (synced or self._in_vain()) else 0
