"""Which replicas run, and the gauges about clusters.

A record of a replica that is gone does not make its cluster connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from fingerpost.objects import ObjectKey
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import SESSION
from mgmt.ingest.states import decode
from mgmt.ingest.values import ClusterState, ClusterStates, State
from mgmt.relay.ports import Metrics
from mgmt.store.redis_store import RedisStore
from mgmt.store.values import Stored

_CONNECTED = (State.SYNCING, State.WARM)


class Liveness:
    """A replica is named "<name>/<instance>": another instance of our own name is our predecessor, so it is dead."""

    def __init__(self, store: RedisStore, inputs: Inputs, metrics: Metrics, now: Callable[[], int]) -> None:
        self._store, self._inputs, self._metrics, self._now = store, inputs, metrics, now
        self._dead: frozenset[str] = frozenset()

    def alive(self, replica: str) -> bool:
        if replica == self._store.replica:
            return True
        return replica not in self._dead and _name(replica) != _name(self._store.replica)

    @property
    def alone(self) -> bool:
        """No other replica feeds anything: what is remembered here is the newest there is, also without Redis."""
        records = (record for record in map(decode, self._records()) if record is not None)
        return not any(r.replica not in ("", self._store.replica) and self.alive(r.replica) for r in records)

    def _records(self) -> Iterator[Stored]:
        for objects in self._inputs.clusters_of(SESSION).values():
            yield from objects.values()

    async def look(self) -> bool:
        """Whether the answer of `alive` may have changed."""
        return await self._ask(list(self._records()))

    async def know(self, loaded: Mapping[ObjectKey, Stored]) -> None:
        await self._ask(stored for key, stored in loaded.items() if key.type == SESSION)

    async def _ask(self, records: Iterable[Stored]) -> bool:
        replicas = {r.replica for r in map(decode, records) if r is not None} - {self._store.replica, ""}
        dead = frozenset(replicas - await self._store.beating(replicas))
        changed, self._dead = dead != self._dead, dead
        return changed

    def show(self, states: ClusterStates, gone: Iterable[str]) -> None:
        """Gauges of a deregistered cluster stay at 0.

        A metric cannot be taken back here, only its owner can drop it.
        """
        for cluster, state in states.clusters.items():
            here = state.state in _CONNECTED and state.replica == self._store.replica
            self._metrics.set("relay_push_clients_connected", int(here), cluster=cluster)
        for cluster in gone:
            self._metrics.set("relay_push_clients_connected", 0, cluster=cluster)

    def age(self, states: ClusterStates) -> None:
        """How old the stored inputs may be: 0 while an agent is connected (M-49)."""
        for cluster, state in states.clusters.items():
            if state.state not in (State.REGISTERED, State.PENDING, State.COLD):
                connected = state.state in _CONNECTED
                seconds = 0.0 if connected else max(0.0, (self._now() - state.since) / 1e9)
                self._metrics.set("relay_input_age_seconds", seconds, cluster=cluster)


def warmed(
    clusters: Mapping[str, ClusterState], elsewhere: Callable[[str], bool]
) -> Iterator[tuple[float, Mapping[str, str]]]:
    """`relay_push_clients_warmed` (relay.md §13.2): 0 where an agent has left. The alert looks at each 0 by itself, so
    a replica says nothing of an agent that is connected to another one.
    """
    for cluster, state in clusters.items():
        if not (state.state in _CONNECTED and elsewhere(cluster)):
            yield float(state.state is State.WARM), {"cluster": cluster}


def _name(replica: str) -> str:
    return replica.rpartition("/")[0] or replica
