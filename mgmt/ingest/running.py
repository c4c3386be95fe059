"""The ingest of a replica, begun and ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fingerpost.background import background
from fingerpost.cluster.protocol import Cluster
from mgmt.ingest.ingest import Ingest


@asynccontextmanager
async def running(ingest: Ingest, cluster: Cluster | None) -> AsyncIterator[None]:
    """`cluster` is the management cluster; None: this replica reads none."""
    await ingest.start()
    try:
        async with background({"ingest": ingest.run(cluster)}):
            yield
    finally:
        await ingest.stop()
