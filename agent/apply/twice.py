"""Keeps the state of every gateway both on the disk of this agent and in its cluster.

What is on the disk is as new as what proxies were told, and outlives the process: the agent of a container that is
started again takes nothing back. What is in the cluster is seconds old, and outlives the pod (M-9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Never

import structlog

from agent.apply.disk import Disk
from agent.apply.gateway import GatewayState, Key
from agent.apply.xds_configs import XdsConfigs
from fingerpost.cluster.protocol import ClusterFailed

log = structlog.get_logger()


class KeptTwice:
    def __init__(self, disk: Disk, objects: XdsConfigs) -> None:
        self._disk, self._objects = disk, objects

    def changed(self, state: GatewayState, touched: Collection[Key] | None = None) -> None:
        self._disk.changed(state, touched)
        self._objects.changed(state, touched)

    def removed(self, scope: str) -> None:
        self._disk.removed(scope)
        self._objects.removed(scope)

    def take_over(self) -> None:
        self._objects.take_over()

    async def read(self) -> list[GatewayState]:
        """The newer one of each gateway; the other is brought up to it. Raises ClusterFailed when none can be had."""
        here = {state.scope: state for state in await self._disk.read()}
        try:
            there = {state.scope: state for state in await self._objects.read()}
        except ClusterFailed as failed:
            if not here:
                raise
            log.warning("apply.state.unread", resource="XdsConfigs", reason=str(failed))
            there = {}
        for scope, state in here.items():
            if scope not in there or there[scope].version < state.version:
                self._objects.changed(state)
        newer = [s for s in there.values() if s.scope not in here or here[s.scope].version < s.version]
        for state in newer:
            self._disk.changed(state)
        return [*({**here, **{state.scope: state for state in newer}}).values()]

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._disk.run(), name="agent.keeper.disk")
            group.create_task(self._objects.run(), name="agent.keeper.objects")
        raise RuntimeError("the keepers ended")
