"""The server's spans of a turn. One change: they go on in its trace. Several: the turn has a trace of its own that
links to theirs, and in each of theirs a span links back, so that both can be followed and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable

from fingerpost.tracing import NAMED, Attributes, Tracer
from mgmt.changes.passage import Came, Passage

_FOLLOWED = 32  # traces of one turn in which each cluster's end is told too; the others have the link


class Spans:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.on = tracer.on

    def translated(self, passage: Passage, steps: int) -> None:
        """Sets the passage's contexts."""
        parents = tuple(self._taken_in(passage, changes) for changes in _by_trace(passage.came))
        passage.parents = parents
        about: Attributes = {"fingerpost.config_version": passage.seq, "fingerpost.changes": len(passage.came)}
        alone = parents[0] if len(parents) == 1 else ""
        passage.traceparent = self._tracer.span(
            "mgmt.translate",
            alone,
            passage.began,
            passage.translated,
            () if alone else parents,
            {**about, "fingerpost.steps": steps},
        )
        for parent in () if alone else parents:
            self._tracer.span("mgmt.turn", parent, passage.began, passage.translated, (passage.traceparent,), about)
        if passage.stored:
            for parent in parents:
                self._tracer.span("mgmt.store", parent, passage.began, passage.stored)

    def _taken_in(self, passage: Passage, changes: list[Came]) -> str:
        """The wait until the turn. Who has seen the change begins its trace; where nobody has, it begins here."""
        received = min(change.received for change in changes)
        seen = min((change.seen for change in changes if change.seen), default=0)
        parent = changes[0].traceparent
        if not parent and seen:
            parent = self._tracer.span("change.seen", "", seen, received, attributes=_objects(changes))
        return self._tracer.span("mgmt.ingest", parent, received, passage.began, attributes=_objects(changes))

    def published(self, passage: Passage) -> None:
        if passage.traceparent:
            about: Attributes = {"fingerpost.config_version": passage.seq, "fingerpost.gateways": len(passage.gateways)}
            ended = max(passage.translated, passage.published)
            self._tracer.span("mgmt.publish", passage.traceparent, passage.translated, ended, attributes=about)

    def applied(self, passage: Passage, cluster: str, at: int) -> None:
        """All gateways of the cluster have it; told in the trace of each change."""
        if not passage.traceparent:
            return
        about: Attributes = {"fingerpost.config_version": passage.seq, "fingerpost.cluster": cluster}
        self._tracer.span("mgmt.applied", passage.traceparent, passage.published, at, attributes=about)
        if len(passage.parents) > 1:
            for parent in passage.parents[:_FOLLOWED]:
                links = (passage.traceparent,)
                self._tracer.span("mgmt.applied", parent, passage.published, at, links, about)


def _by_trace(came: Iterable[Came]) -> list[list[Came]]:
    """Changes without a trace were seen together if they were seen at the same moment."""
    groups: dict[str | int, list[Came]] = {}
    for change in came:
        groups.setdefault(change.traceparent or change.seen, []).append(change)
    return list(groups.values())


def _objects(changes: list[Came]) -> Attributes:
    named = ", ".join(str(change.key) for change in changes[:NAMED])
    return {"fingerpost.objects": named, "fingerpost.objects.count": len(changes)}
