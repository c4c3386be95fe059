"""Work that runs beside a block and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(work: Mapping[str, Coroutine[Any, Any, Any]]) -> AsyncIterator[None]:
    """Cancelled when the block is left, which then waits for their ends; a failure of one ends the block.

    A single failure is raised as it is, several as a group. What such work does at its end is done before the
    contexts around this one are left.
    """
    failed: BaseExceptionGroup[BaseException] | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one, name=name) for name, one in work.items()]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as several:
        failed = several
    if failed:  # raised out here, it keeps its own cause and context
        raise failed.exceptions[0] if len(failed.exceptions) == 1 else failed
