"""What the server wants of this cluster, as sent: per scope the lists of all resources, put together from splices and
checked by digest.

It hands on whole versions only, in order, and holds no more pieces than its lists and the versions under way need. It
does no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from agent.relay.piece_store import PieceStore
from agent.relay.versions import Mismatch, Version
from fingerpost.relay.digest import SetDigest, bucket_of, resource_key
from fingerpost.relay.frames import Parts, role_of
from fingerpost.relay.pieces import PieceList, piece
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.v1 import relay_pb2 as pb

Key = tuple[str, str]
# scope, version, traceparent, traceparents of what is joined to it, when its first message came
Took = Callable[[str, int, str, tuple[str, ...], int], None]
# scope, version, changed (None: removed), keep, confirmed, seen_unix_nanos
OnVersion = Callable[[str, int, Mapping[Key, PieceList | None], Mapping[str, str], bool, int], None]


class Scope:
    """One scope as completed, and what is on its way."""

    __slots__ = ("digest", "doubted", "keep", "lists", "resyncing", "unsaid", "version", "waiting", "work")

    def __init__(self) -> None:
        self.version = 0
        self.lists: dict[Key, PieceList] = {}
        self.digest = SetDigest()
        self.keep: Mapping[str, str] = {}
        self.work: Version | None = None  # not yet ended
        self.waiting: deque[Version] = deque()  # ended, but pieces are missing
        self.unsaid: dict[Key, PieceList | None] = {}  # taken over but not handed on, because a version did not add up
        self.doubted = False  # a message is lost, perhaps one with what is to be kept: no digest covers that
        self.resyncing = False  # until the server's bucket digests come, everything is out of step


class DesiredState:
    def __init__(self, on_version: OnVersion) -> None:
        self._on_version = on_version
        self.took: Took = lambda *_: None  # just before it is handed on
        self.scopes: dict[str, Scope] = {}
        self.pieces = PieceStore()
        self.config_version = 0  # the highest seen
        self.wants: dict[bytes, None] = {}  # to be asked for
        self.resync: dict[str, None] = {}  # scopes to be asked for
        self.resyncs = 0
        self._asked: set[bytes] = set()
        self._parts = Parts()

    @property
    def queues(self) -> dict[str, int]:
        """Versions under way, and pieces that were asked for."""
        versions = sum(len(scope.waiting) + (scope.work is not None) for scope in self.scopes.values())
        return {"scopes": len(self.scopes), "versions": versions, "wanted": len(self.wants), "resyncs": self.resyncs}

    def restore(self, name: str, version: int, lists: Mapping[Key, PieceList], keep: Mapping[str, str]) -> None:
        """What was held when the agent ended: the server then sends only what is different."""
        scope = self.scopes[name] = Scope()
        scope.version, scope.lists, scope.keep = version, dict(lists), keep
        for key, pieces in lists.items():
            scope.digest.add(resource_key(*key), pieces.digest)
            self.pieces.hold(pieces)
        self.config_version = max(self.config_version, version)

    def remember(self, name: str) -> None:
        """Something of the scope is there although nothing of it was kept: a server that does not know it says so."""
        if name not in self.scopes:
            self.restore(name, 1, {}, {})

    def link_lost(self) -> None:
        """What was under way will not come: back to the completed versions."""
        for name in [n for n, s in self.scopes.items() if not s.version and not s.lists]:
            del self.scopes[name]
        for scope in self.scopes.values():
            scope.work, scope.resyncing, scope.doubted = None, False, False
            scope.waiting.clear()
        self._asked.clear()
        self.wants.clear()
        self.resync.clear()
        self._parts.forget()
        self.pieces.settle()

    def doubt(self) -> None:
        """A message was lost on the way (M-13)."""
        for scope in self.scopes.values():
            scope.doubted = True

    def saw(self, version: int) -> None:
        """M-17: a server that has forgotten what it once said must not be believed."""
        if version < self.config_version:
            raise Refused(
                Reason.STALE_CONFIG,
                f"config_version {version} is lower than {self.config_version}, which was seen before",
            )
        self.config_version = version

    def delta(self, delta: pb.ScopeDelta) -> None:
        scope = self.scopes.setdefault(delta.scope, Scope())
        for raw in delta.pieces:
            self._arrive(raw)
        if scope.resyncing and not delta.gone:
            return
        scope.resyncing = False  # no digests come of what is gone
        work = scope.work
        if work is None:
            newest = scope.waiting[-1].number if scope.waiting else scope.version
            if delta.config_version < newest:
                raise Refused(
                    Reason.STALE_CONFIG,
                    f"config_version {delta.config_version} of scope {delta.scope!r} after {newest}",
                )
            work = scope.work = Version(delta.config_version)
        work.take(delta)
        if delta.version_end:
            scope.work = None
            self.config_version = max(self.config_version, work.number)
            scope.waiting.append(work)
            self._advance(delta.scope, scope)

    def take_pieces(self, message: pb.Pieces) -> None:
        for raw in message.pieces:
            self._arrive(raw)
        lost = set(message.unknown)
        self._asked -= lost
        for name in list(self.scopes):
            scope = self.scopes[name]
            if lost and any(not lost.isdisjoint(v.hashes) for v in scope.waiting):
                self._start_resync(name, scope)
            elif scope.waiting:
                self._advance(name, scope)

    def have(self, state: pb.ScopeState) -> Iterable[pb.Have]:
        """The answer to bucket digests: what is here in the buckets that differ."""
        scope = self.scopes.setdefault(state.scope, Scope())
        scope.resyncing = False
        scope.work = None
        scope.waiting.clear()
        differing = set(scope.digest.differing(state.buckets))
        keys = [k for k in scope.lists if bucket_of(resource_key(*k)) in differing]
        message = pb.Have(scope=state.scope, buckets=sorted(differing))
        for i, (type_, name) in enumerate(keys):
            if i and i % 8192 == 0:
                yield message
                message = pb.Have(scope=state.scope)
            message.resources.add(type=type_, name=name, hash=scope.lists[type_, name].digest)
        message.last = True
        yield message

    def _arrive(self, raw: pb.Piece) -> None:
        body = self._parts.add(raw.hash, raw.part, raw.parts, raw.body)
        if body is None:
            return
        made = piece(role_of(raw.role), raw.contribution, body)
        if made.hash != raw.hash:
            raise Refused(Reason.PROTOCOL, f"a piece of {raw.contribution or 'the gateway'} does not have its hash")
        self._asked.discard(made.hash)
        self.wants.pop(made.hash, None)
        self.pieces.arrive(made)

    def _advance(self, name: str, scope: Scope) -> None:
        """Complete the versions that wait, as far as their pieces are here."""
        while scope.waiting:
            version = scope.waiting[0]
            try:
                changed, missing = version.resolve(scope.lists, self.pieces.get)
            except Mismatch:
                self._start_resync(name, scope)
                return
            if missing:
                for digest in missing - self._asked:
                    self.wants[digest] = None
                self._asked |= missing
                return
            scope.waiting.popleft()
            if not self._complete(name, scope, version, changed):
                return
        if not any(s.waiting or s.work for s in self.scopes.values()):
            self.pieces.settle()

    def _complete(self, name: str, scope: Scope, version: Version, changed: Mapping[Key, PieceList | None]) -> bool:
        if version.gone:
            changed = dict.fromkeys(scope.lists, None)
        for key, new in changed.items():
            self._replace(scope, key, new, version)
        if version.gone:
            self.resync.pop(name, None)
            if not scope.waiting:
                del self.scopes[name]
        elif scope.digest.total != version.after or (scope.doubted and version.keep is None):
            # Nothing of a version that does not add up is handed on before the resync has made the lists right.
            scope.unsaid.update(changed)
            self._start_resync(name, scope)
            return False
        if scope.unsaid:
            changed, scope.unsaid = {**scope.unsaid, **changed}, {}
        scope.version = version.number
        if version.keep is not None:
            scope.keep, scope.doubted = version.keep, False
        self.took(name, version.number, version.traceparent, version.joined, version.began_unix_nanos)
        self._on_version(name, version.number, changed, scope.keep, version.confirmed, version.seen_unix_nanos)
        return True

    def _replace(self, scope: Scope, key: Key, new: PieceList | None, version: Version) -> None:
        old, id_ = scope.lists.get(key), resource_key(*key)
        edits = version.edits.get(key)
        if new is not None:
            self.pieces.hold(new if edits is None or old is None else edits[1])
            scope.lists[key] = new
            scope.digest.add(id_, new.digest)
        if old is not None:
            self.pieces.release(old if edits is None or new is None else edits[0])
            scope.digest.discard(id_, old.digest)
            if new is None:
                del scope.lists[key]

    def _start_resync(self, name: str, scope: Scope) -> None:
        gone = [i for i, version in enumerate(scope.waiting) if version.gone]
        if gone:  # what was before it does not matter any more
            for _ in range(gone[-1]):
                scope.waiting.popleft()
            self._advance(name, scope)
            return
        scope.work, scope.resyncing = None, True
        scope.waiting.clear()
        self.resync[name] = None
        self.resyncs += 1
