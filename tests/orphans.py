"""What a killed process leaves running, and no test may."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from mgmt.store.embedded import EmbeddedRedis


def kill_redis(folder: Path) -> None:
    """A Redis outlives its killed server, so that the next one finds it."""
    if pid := EmbeddedRedis(folder)._running():
        os.kill(pid, signal.SIGKILL)
