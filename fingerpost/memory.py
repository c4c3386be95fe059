"""The garbage collector, told that what was built at the start stays (design D3); memory is given back after a rush."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path
from typing import Never

_YOUNG = 50_000
_AGAIN = (20.0, 60.0, 300.0)  # seconds: after the first rush, after 16,000 statuses (200 a second), and after the rest
_LOOK = 60.0  # seconds
_GROWN = 1.1
_TRIES = 5


async def settle() -> Never:
    """Freeze what is there now, and again when a rush is over: no later collection walks it again. What a later rush
    took, as when many agents come at once, is given back, too.
    """
    gc.set_threshold(_YOUNG, 20, 100)
    gc.collect()
    gc.freeze()
    for pause in _AGAIN:
        await asyncio.sleep(pause)
        gc.collect()
        gc.freeze()
        await asyncio.to_thread(give_back)
    least, tried = resident(), 0
    while True:
        await asyncio.sleep(_LOOK)
        if (now := resident()) <= least * _GROWN:
            least, tried = min(least, now), 0
            continue
        await asyncio.to_thread(give_back)
        tried += 1
        if tried == _TRIES:  # a look may fall into the rush itself; what is there after several is in use
            least, tried = resident(), 0


def resident() -> int:
    """Bytes of this process in memory; 0 where that is not told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def give_back() -> None:
    """What was freed goes back to the system, which the C library otherwise keeps for later. Takes milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others need it less
    if trim is not None:
        trim(0)
