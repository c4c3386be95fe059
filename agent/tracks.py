"""The agent's spans: a change from the sight of it to the push, and a version from its first message to the proxies'
acknowledgement. Where nothing is traced, all of this is one look at a flag.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from agent.xds.ports import Applied
from fingerpost.cluster.protocol import Batch
from fingerpost.relay.objects import CLUSTER_SCOPE, ISTIO_SCOPE
from fingerpost.tracing import NAMED, Attributes, Tracer, sighted

_AWAITED = 64  # versions of one gateway; of older ones the proxies' answer is not traced


class _Version:
    __slots__ = ("context", "number", "since")

    def __init__(self, number: int, context: str, since: int) -> None:
        self.number, self.context, self.since = number, context, since


class Tracks:
    def __init__(self, tracer: Tracer, cluster: str) -> None:
        self._tracer, self._cluster = tracer, cluster
        self._taken: dict[str, deque[_Version]] = {}
        self._offered: dict[str, deque[_Version]] = {}

    # ---------------------------------------------------------------- facts up

    def saw(self, batch: Batch) -> str:
        return sighted(self._tracer, batch)

    def pushed(self, traceparent: str, seen_unix_nanos: int) -> str:
        if not self._tracer.on or not traceparent:
            return traceparent
        about = {"fingerpost.cluster": self._cluster}
        return self._tracer.span("agent.push", traceparent, seen_unix_nanos, time.time_ns(), attributes=about)

    # ---------------------------------------------------------------- desired state down

    def took(self, scope: str, version: int, traceparent: str, joined: Iterable[str], began: int) -> None:
        """A version is complete. `joined`: changes that it brings besides, since this agent was slower than they."""
        if not self._tracer.on or not traceparent or scope == CLUSTER_SCOPE:
            return
        now = time.time_ns()
        context = self._tracer.span("agent.take", traceparent, began, now, joined, self._about(scope, version))
        self._taken.setdefault(scope, deque(maxlen=_AWAITED)).append(_Version(version, context, now))

    def offered(self, scope: str, version: int) -> None:
        """All connected proxies were sent it."""
        taken = self._taken.get(scope)
        while taken and taken[0].number <= version:
            one, now = taken.popleft(), time.time_ns()
            context = self._tracer.span(
                "agent.offer", one.context, one.since, now, attributes=self._about(scope, one.number)
            )
            self._offered.setdefault(scope, deque(maxlen=_AWAITED)).append(_Version(one.number, context, now))

    def applied(self, applied: Applied) -> None:
        """Acknowledged by the proxies, or written; where there is no proxy, held for the next one."""
        scope = applied.scope
        name = "istio.write" if scope == ISTIO_SCOPE else "envoy.ack" if applied.proxies else "agent.hold"
        refused = "; ".join(f"{d.contribution}: {d.code}: {d.message}" for d in applied.deviations[:NAMED])
        for waiting in (self._offered.get(scope), self._taken.get(scope)):
            while waiting and waiting[0].number <= applied.watermark:
                one = waiting.popleft()
                about = self._about(scope, one.number)
                self._tracer.span(name, one.context, one.since, time.time_ns(), (), about, refused)

    def _about(self, scope: str, version: int) -> Attributes:
        return {
            "fingerpost.cluster": self._cluster,
            "fingerpost.gateway": scope,
            "fingerpost.config_version": version,
        }
