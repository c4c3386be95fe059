"""Work that runs beside a block and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(work: Mapping[str, Coroutine[Any, Any, Any]]) -> AsyncIterator[None]:
    """Cancelled when the block is left, which then waits for their ends; a failure of one ends the block.

    What such work does at its end is done before the contexts around this one are left.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name=name) for name, one in work.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
