"""Which objects this cluster shall hold, and how far they are there. Pure: no clock of its own, no I/O.

Every scope wants its objects; an object that several want is written once and goes when the last of them lets it go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from fingerpost.cluster.protocol import NotWritten, Why
from fingerpost.objects import ObjectKey, content_hash

HASH = "fingerpost.dev/content-hash"  # annotation: what was wanted when the object was written
_FIRST, _CEILING = 5.0, 300.0  # seconds between attempts at what was refused (relay.md §3.3 rule 12)
_SOON = 0.5
# upserts in this order, removals in the reverse: nothing may name what is not there yet (relay.md §3.3 rule 9)
_ORDER = (
    "core/ConfigMap",
    "networking.istio.io/ServiceEntry",
    "networking.istio.io/WorkloadEntry",
    "networking.istio.io/DestinationRule",
    "networking.istio.io/Gateway",
    "",  # all others: policies, EnvoyFilter
    "networking.istio.io/VirtualService",
    "internal.gloo.solo.io/XdsConfig",
)
_RANK = {type_: rank for rank, type_ in enumerate(_ORDER)}


class Object(NamedTuple):
    """`contribution` is the root object that it comes from."""

    body: bytes
    contribution: str = ""


class Trouble(NamedTuple):
    """`attempts` since the object is wanted as it is; `due` is when the next one may be made."""

    why: Why
    message: str
    since: float
    attempts: int
    due: float


class _Version(NamedTuple):
    """An object as the cluster has it: of its trimmed body the hash."""

    generation: int
    digest: bytes


class _Meta(msgspec.Struct):
    generation: int = 0


class _Body(msgspec.Struct):
    metadata: _Meta


_body = msgspec.json.Decoder(_Body)


def _version(body: bytes) -> _Version:
    return _Version(_body.decode(body).metadata.generation, content_hash(body))


class Wanted:
    """`todo` says what is to be written now. `held` is what the cluster is known to hold."""

    def __init__(self, held: Callable[[ObjectKey], bytes | None], marks: Mapping[str, str]) -> None:
        self._held, self._marks = held, marks
        self._scopes: dict[str, dict[ObjectKey, Object]] = {}
        self._versions: dict[str, int] = {}
        self._there: dict[ObjectKey, _Version] = {}  # what the cluster holds of what is wanted
        self._done: dict[ObjectKey, bytes] = {}  # hash of the body that was wanted when it was last written
        self._sending: dict[ObjectKey, Object] = {}  # writes whose answers are still on their way
        self._going: set[ObjectKey] = set()
        self._todo: set[ObjectKey] = set()
        self.troubles: dict[ObjectKey, Trouble] = {}

    # ------------------------------------------------------------ what is wanted

    def want(self, scope: str, version: int, changed: Mapping[ObjectKey, Object | None]) -> None:
        own = self._scopes.setdefault(scope, {})
        self._versions[scope] = version
        for key, obj in changed.items():
            if obj is None:
                own.pop(key, None)
            else:
                own[key] = obj
            self._changed(key)

    def forget(self, scope: str) -> None:
        """The scope is gone, and what only it wanted goes with it."""
        own = self._scopes.pop(scope, {})
        self._versions.pop(scope, None)
        for key in own:
            self._changed(key)

    def get(self, key: ObjectKey) -> Object | None:
        return next((own[key] for own in self._scopes.values() if key in own), None)

    def _changed(self, key: ObjectKey) -> None:
        wanted = self.get(key)
        self.troubles.pop(key, None)
        if wanted is None:
            self._todo.discard(key)
            self._going.add(key)
        else:
            self._going.discard(key)
            digest = content_hash(wanted.body)
            if key not in self._done and (body := self._held(key)) is not None and self._holds(body, wanted):
                self._there[key], self._done[key] = _version(body), digest  # by the process before this one
            if self._done.get(key) == digest:
                self._todo.discard(key)
            else:
                self._todo.add(key)

    def sending(self, key: ObjectKey, wanted: Object) -> dict[str, Any]:
        """The object as it goes to the cluster now. Another body may be wanted before the answer is there."""
        self._sending[key] = wanted
        return marked(wanted.body, self._marks)

    def _holds(self, there: bytes, wanted: Object) -> bool:
        """Written from just this body, and nobody has changed what it says since."""
        found = msgspec.json.decode(there)
        version = {"apiVersion": found.get("apiVersion")}  # the one that the cluster prefers
        return _within(marked(wanted.body, self._marks) | version, found)

    # ------------------------------------------------------------ what is there

    def seen(self, key: ObjectKey, body: bytes | None) -> bool:
        """The cluster says what it holds. True when that is not what it was left as, and so has to be undone."""
        wanted, known = self.get(key), self._there.get(key)
        if body is None:
            self._there.pop(key, None)
            self._done.pop(key, None)
            if wanted is None:
                return False
            self._todo.add(key)
            return known is not None
        found = _version(body)
        if known is None:
            if wanted is not None:
                self._changed(key)
            return False
        if known == found or found.generation < known.generation:
            return False  # as it was written, or what was written before that
        for own in (wanted, self._sending.get(key)):
            if own is not None and self._holds(body, own):
                self._left(key, own, found)
                return False
        self._there[key] = found
        self._done.pop(key, None)  # not there any more, should just that be wanted again
        if wanted is None:
            return False
        self._todo.add(key)
        return True

    def written(self, key: ObjectKey, wanted: Object, there: bytes) -> None:
        self._sending.pop(key, None)
        self.troubles.pop(key, None)
        found, known = _version(there), self._there.get(key)
        overtaken = known is not None and known.generation > found.generation  # by an edit that was seen first
        if not overtaken:
            self._left(key, wanted, found)

    def _left(self, key: ObjectKey, wanted: Object, there: _Version) -> None:
        """What is wanted may have become another while this was written, or what it was before."""
        self._there[key], self._done[key] = there, content_hash(wanted.body)
        now = self.get(key)
        if now == wanted:
            self._todo.discard(key)
        elif now is not None:
            self._todo.add(key)

    def removed(self, key: ObjectKey) -> None:
        self._going.discard(key)
        self._there.pop(key, None)
        self._done.pop(key, None)
        self._sending.pop(key, None)
        self.troubles.pop(key, None)
        if self.get(key) is not None:  # since it was taken away
            self._todo.add(key)

    def failed(self, key: ObjectKey, error: NotWritten, now: float) -> None:
        """It is tried again, ever more seldom; the others go on."""
        self._sending.pop(key, None)
        before = self.troubles.get(key)
        attempts = before.attempts + 1 if before is not None else 1
        if error.why is Why.UNAVAILABLE:
            pause = max(min(_SOON * 2 ** (attempts - 1), 15.0), error.retry_after)
        else:
            pause = min(_FIRST * 2 ** (attempts - 1), _CEILING)
        since = before.since if before is not None else now
        self.troubles[key] = Trouble(error.why, str(error), since, attempts, now + pause)

    # ------------------------------------------------------------ what is to be done

    def todo(self, now: float) -> tuple[list[ObjectKey], list[ObjectKey]]:
        """(to be written, to be removed), each in its order."""
        writes = sorted((k for k in self._todo if self._due(k, now)), key=_rank)
        removals = sorted((k for k in self._going if self._due(k, now)), key=_rank, reverse=True)
        return writes, removals

    def next_due(self, now: float) -> float | None:
        """Seconds until something that failed may be tried again; None: nothing waits."""
        waits = [t.due - now for k, t in self.troubles.items() if k in self._todo or k in self._going]
        return max(0.0, min(waits)) if waits else None

    def _due(self, key: ObjectKey, now: float) -> bool:
        trouble = self.troubles.get(key)
        return trouble is None or trouble.due <= now

    # ------------------------------------------------------------ what is said of it

    def arrived(self, scope: str) -> int:
        """The version of the scope once nothing of it waits but what failed; 0 before. It is asked after each turn, so
        it looks only at what waits.
        """
        own = self._scopes.get(scope, {})
        open_ = any(key in own and key not in self.troubles for key in self._todo)
        leaving = any(key not in self.troubles for key in self._going)
        return 0 if open_ or leaving else self._versions.get(scope, 0)

    def troubled(self, scope: str) -> list[tuple[ObjectKey, Object, Trouble]]:
        own = self._scopes.get(scope, {})
        return [(key, own[key], trouble) for key, trouble in sorted(self.troubles.items()) if key in own]

    def scopes(self) -> Iterable[str]:
        return self._versions.keys()


def _rank(key: ObjectKey) -> tuple[int, ObjectKey]:
    return _RANK.get(key.type, _RANK[""]), key


def marked(body: bytes, marks: Mapping[str, str]) -> dict[str, Any]:
    """The object as it is sent: with the writer's labels, and with the hash of what was wanted, so that a later process
    knows its own work.
    """
    obj: dict[str, Any] = msgspec.json.decode(body)
    metadata = obj["metadata"]
    annotations = {**(metadata.get("annotations") or {}), HASH: content_hash(body).hex()[:32]}
    labels = {**(metadata.get("labels") or {}), **marks}
    return {**obj, "metadata": {**metadata, "annotations": annotations, "labels": labels}}


def _within(wanted: Any, there: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(k in there and _within(v, there[k]) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(wanted) == len(there)
            and all(_within(w, t) for w, t in zip(wanted, there, strict=True))
        )
    return bool(wanted == there)
