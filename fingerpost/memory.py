"""The garbage collector, told that what was built at the start stays (design D3); memory is given back after a rush."""

from __future__ import annotations

import asyncio
import ctypes
import gc

_YOUNG = 50_000
_AGAIN = (20.0, 60.0, 300.0)  # seconds: after the first rush, after 16,000 statuses (200 a second), and after the rest


async def settle() -> None:
    """Freeze what is there now, and again when a rush is over: no later collection walks it again."""
    gc.set_threshold(_YOUNG, 20, 100)
    gc.collect()
    gc.freeze()
    for pause in _AGAIN:
        await asyncio.sleep(pause)
        gc.collect()
        gc.freeze()
        await asyncio.to_thread(give_back)


def give_back() -> None:
    """What was freed goes back to the system, which the C library otherwise keeps for later. Takes milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others need it less
    if trim is not None:
        trim(0)
