"""What is written as the statuses of this cluster's objects: what the server finds in them, which comes with a version
as the rest of the desired state does, and how far each has come, which comes whenever it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from fingerpost.cluster.protocol import Cluster
from fingerpost.cluster.status_writer import StatusWriter
from fingerpost.relay.objects import STATUS, key_of
from fingerpost.relay.pieces import PieceList, join
from fingerpost.statuses import part

_decoder = msgspec.json.Decoder(dict[str, Any])


class Statuses:
    """Until it is told anything of an object's arrival, what stands in its status stays: a start writes nothing."""

    def __init__(self, name: str, cluster: Cluster, leads: Callable[[], bool]) -> None:
        self._name, self._cluster = name, cluster
        self._found: dict[str, PieceList] = {}
        self._arrivals: dict[str, bytes] = {}
        self._writer = StatusWriter(cluster, leads)
        self.run = self._writer.run

    def take(self, changed: Mapping[tuple[str, str], PieceList | None]) -> None:
        """Of the scope of the cluster."""
        for (type_, name), pieces in changed.items():
            if type_ != STATUS:
                continue
            if pieces is None:
                self._found.pop(name, None)
                self._arrivals.pop(name, None)
                self._writer.put(key_of(self._name, name), None)
            else:
                self._found[name] = pieces
                self._put(name)

    def arrived(self, told: Iterable[tuple[str, bytes]]) -> None:
        """`status.arrival` in JSON by the object's name in that scope; empty: there is none. It may come before what
        is found.
        """
        for name, body in told:
            self._arrivals[name] = body
            if name in self._found:
                self._put(name)

    def _put(self, name: str) -> None:
        key, status = key_of(self._name, name), _decoder.decode(join(self._found[name]))
        told = self._arrivals.get(name)
        arrival = part(self._cluster.status(key), "arrival") if told is None else told and _decoder.decode(told)
        self._writer.put(key, {**status, "arrival": arrival} if arrival else status)
