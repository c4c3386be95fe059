"""The parts that tell of users' objects, joined: what the translator finds, how far changes have come over all
replicas, and what KubernetesClusters say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Never

from fingerpost.cluster.protocol import Cluster
from fingerpost.cluster.status_writer import StatusWriter
from fingerpost.objects import ObjectKey, canonical
from fingerpost.statuses import part
from mgmt.bell import Bell
from mgmt.ingest.ingest import Ingest
from mgmt.publish.arrival import ArrivalView, GatewayState
from mgmt.publish.publisher import Publisher
from mgmt.status.arrival import UNKNOWN, Arrival, ArrivalStatuses
from mgmt.status.kubernetes_clusters import KubernetesClusters
from mgmt.status.replicas import Board, Exchange, Told, told_of
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER
from mgmt.translate.graph.ownership import Place
from mgmt.translate.scopes import GatewayKey
from mgmt.translate.status import Status


class Statuses:
    """`kinds` are those whose arrival is told, by `look()`; of a gateway whose cluster `is_cold` it is not told.
    `ingest` begins later; `turns` rings after each turn. Only who `leads` writes. Where there is no `folder`, nothing
    is written, but the replicas tell each other, and their agents, what has arrived.
    """

    def __init__(
        self,
        folder: Cluster | None,
        place: Place,
        board: Board,
        ingest: Callable[[], Ingest],
        publisher: Publisher,
        turns: Bell,
        *,
        kinds: Collection[str],
        look: Callable[[], Callable[[ObjectKey], ArrivalView]],
        is_cold: Callable[[str], bool],
        leads: Callable[[], bool],
        require_approval: bool,
        ever: Path,
    ) -> None:
        """`ever`: see EverConnected. Raises ClusterFailed where approval is required and nobody can be asked."""
        self._ingest, self._publisher, self._is_cold = ingest, publisher, is_cold
        self._writer, self._folder = (StatusWriter(folder, leads) if folder else None), folder
        self._home = place.cluster
        write = self._writer.put if self._writer else None
        self.clusters = KubernetesClusters(folder, place, ingest, write, require_approval=require_approval, ever=ever)
        arrivals = publisher.arrivals
        self._arrival = ArrivalStatuses(
            kinds,
            arrivals,
            write=self._write,
            read=self._read,
            look=look,
            untold=self._is_untold,
            states=lambda: {g: self.told(g) or state for g, state in arrivals.gateways.items()},
        )
        self._exchange = Exchange(
            board, self._own_arrivals, lambda: ingest().epoch, arrivals.changed.ring, turns, arrivals.changed
        )

    def put(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        """What the translator has found; None: the object is gone."""
        for key, status in statuses.items():
            if key.type != KUBERNETES_CLUSTER:
                self._arrival.put(key, status)
        registered = (k for k in statuses if k.type == KUBERNETES_CLUSTER and k.cluster == self._home)
        self.clusters.found({key: statuses[key] for key in registered})

    def _write(self, key: ObjectKey, status: Status | None, arrival: Arrival | None) -> None:
        """Of objects in workload clusters the translator's findings travel with what is published."""
        if key.cluster != self._home:
            if status is None:
                self._publisher.tell_arrival(key, None)
            elif arrival is not UNKNOWN:
                self._publisher.tell_arrival(key, canonical(arrival) if arrival else b"")
        elif self._writer is not None:
            told = status.as_json() if status else None
            self._writer.put(key, {**told, "arrival": arrival} if told and arrival else told)

    def _read(self, key: ObjectKey) -> Arrival | None:
        if key.cluster != self._home:
            return UNKNOWN
        return (part(self._folder.status(key), "arrival") or None) if self._folder else None

    def told(self, gateway: GatewayKey) -> GatewayState | None:
        """By the replica to which its agent is connected, if that is another one."""
        ingest = self._ingest()
        if not ingest.elsewhere(gateway[0]):
            return None
        return self._exchange.elsewhere.state(ingest.states.clusters[gateway[0]].replica, gateway)

    def _is_untold(self, gateway: GatewayKey) -> bool:
        cluster = gateway[0]
        return self._is_cold(cluster) or (self._ingest().elsewhere(cluster) and self.told(gateway) is None)

    def _own_arrivals(self) -> tuple[int, list[tuple[GatewayKey, Told]]]:
        publisher, owns = self._publisher, self._ingest().owns
        return publisher.config_version, [
            (key, told_of(state, publisher.scopes(key[0]).get(key[1])))
            for key, state in publisher.arrivals.gateways.items()
            if owns(key[0])
        ]

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.clusters.run(), name="mgmt.clusters")
            tasks.create_task(self._exchange.run(), name="mgmt.arrival.exchange")
            if self._writer is not None:
                tasks.create_task(self._writer.run(), name="mgmt.status.write")
            tasks.create_task(self._arrival.run(), name="mgmt.arrival")
        raise RuntimeError("statuses are told no longer")
