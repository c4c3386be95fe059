"""What one agent may be sent of its scopes: nothing of a feature that it did not name in Hello (M-19).

Of a scope that has anything else the agent gets the rest, with a digest of its own and without a history: an agent of
the version before costs a round of bucket digests per change, until it is upgraded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import structs

from fingerpost.relay.applied import ScopeApplied, ScopeException
from fingerpost.relay.digest import SetDigest, resource_key
from fingerpost.relay.features import withheld
from fingerpost.relay.messages import now_nanos
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.ports import LogEntry, ScopeView

_CODE = "NotUnderstood"


class _Part:
    """A ScopeView without the resources of some types."""

    log: Sequence[LogEntry] = ()  # its entries would speak of what the agent does not have

    def __init__(self, view: ScopeView, types: Mapping[str, str]) -> None:
        self._view, self._types = view, types
        self._of: tuple[object, int] | None = None
        self._resources: dict[tuple[str, str], PieceList] = {}
        self._digest = SetDigest()
        self.missing: dict[str, str] = {}  # contribution -> the feature that its resources need
        self.since = now_nanos()

    @property
    def version(self) -> int:
        return self._view.version

    @property
    def keep(self) -> Mapping[str, str]:
        return self._view.keep

    @property
    def confirmed(self) -> bool:
        return self._view.confirmed

    @property
    def gone(self) -> bool:
        return self._view.gone

    @property
    def resources(self) -> Mapping[tuple[str, str], PieceList]:
        self._look()
        return self._resources

    @property
    def digest(self) -> SetDigest:
        self._look()
        return self._digest

    def _look(self) -> None:
        present = (self._view.resources, self._view.version)
        if self._of is not None and self._of[0] is present[0] and self._of[1] == present[1]:
            return
        self._of, self._resources, self._digest, self.missing = present, {}, SetDigest(), {}
        for key, pieces in self._view.resources.items():
            if (feature := self._types.get(key[0])) is None:
                self._resources[key] = pieces
                self._digest.add(resource_key(*key), pieces.digest)
            else:
                self.missing.update((piece.contribution, feature) for piece in pieces)


class Understood:
    """Of one agent, for as long as its stream."""

    def __init__(self, hello: pb.Hello) -> None:
        self._types = dict(withheld(hello.features))
        self._agent = f"the agent ({hello.version or 'of an unknown version'})"
        self._parts: dict[str, _Part] = {}

    def of(self, views: Mapping[str, ScopeView]) -> Mapping[str, ScopeView]:
        if not self._types:
            return views
        return {name: self._part(name, view) for name, view in views.items()}

    def _part(self, name: str, view: ScopeView) -> ScopeView:
        """Once a part, always a part: digests of the whole and of the part are never mixed."""
        part = self._parts.get(name)
        if part is None:
            if not any(type_ in self._types for type_, _ in view.resources):
                return view
            part = self._parts[name] = _Part(view, self._types)
        return part

    def has(self, types: Collection[str]) -> bool:
        """The agent holds resources of these types already, so it knows them whatever it named: they are not taken from
        it. Whether anything is different now.
        """
        known = self._types.keys() & types
        for type_ in known:
            del self._types[type_]
        if known:
            self._parts.clear()
        return bool(known)

    def report(self, told: ScopeApplied) -> ScopeApplied:
        """What the agent has applied, and what it was not sent, so that nobody believes that it is there."""
        part = self._parts.get(told.scope)
        if part is None or not part.missing:
            return told
        own = tuple(
            ScopeException(
                contribution=contribution,
                code=_CODE,
                message=f"{self._agent} does not know the feature {feature!r}: upgrade the agent of this cluster",
                since_unix_nanos=part.since,
            )
            for contribution, feature in sorted(part.missing.items())
        )
        return structs.replace(told, exceptions=(*told.exceptions, *own))
