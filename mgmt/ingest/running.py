"""The ingest of a replica, begun and ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fingerpost.cluster.protocol import Cluster
from mgmt.ingest.ingest import Ingest


@asynccontextmanager
async def running(ingest: Ingest, cluster: Cluster | None) -> AsyncIterator[None]:
    """`cluster` is the management cluster; None: this replica reads none."""
    await ingest.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ingest.run(cluster), name="ingest")
            try:
                yield
            finally:
                task.cancel()
    finally:
        await ingest.stop()
