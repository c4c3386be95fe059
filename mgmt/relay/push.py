"""The server's end of one Push stream: takes one agent's facts to ingest at once, acknowledges them, and keeps both
sides in step by digest.

Per type it knows whether a listing is under way and which objects it has asked for; the facts themselves are ingest's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from functools import partial

from fingerpost.api.limits import LARGEST_OBJECT
from fingerpost.objects import content_hash, is_name, is_object, is_type
from fingerpost.problems import sayable
from fingerpost.relay.digest import SetDigest, bucket_of, object_key
from fingerpost.relay.features import FEATURES
from fingerpost.relay.frames import Parts, Sequence, parse
from fingerpost.relay.messages import lost_by
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.ports import Fence, Ingest, Metrics, Name, SessionInfo, ShownCertificate, Upsert

_WANTED = 8192  # objects in one message
_REMEDY = "the agent is broken or not ours, replace it"
_MOST_TYPES = 2000
_RESYNCS = 3  # in a row, then the stream ends: the two sides do not compute the same digest


class _Type:
    """How far one type is on this stream."""

    __slots__ = ("announced", "listed", "listing", "pending", "replacing", "resyncs", "wants")

    def __init__(self) -> None:
        self.listing: set[Name] | None = None  # names seen since the first chunk of a complete listing
        self.wants: set[Name] = set()
        self.pending = 0  # listings of keys that are awaited
        self.replacing = False  # a complete listing is awaited
        self.announced = self.listed = False
        self.resyncs = 0

    @property
    def in_step(self) -> bool:
        """Nothing is awaited: equal digests are to be expected."""
        return self.listing is None and not (self.wants or self.pending or self.replacing)


class PushSession:
    def __init__(
        self,
        hello: pb.Hello,
        peer: str,
        stream: Stream,
        ingest: Ingest,
        settings: RelaySettings,
        metrics: Metrics,
        certificate: ShownCertificate | None = None,
    ) -> None:
        self._hello, self._peer, self._stream, self._certificate = hello, peer, stream, certificate
        self._cluster = hello.cluster
        self._ingest, self._settings, self._metrics = ingest, settings, metrics
        self._fence: Fence | None = None
        self._types: dict[str, _Type] = {}
        self._accepted = ingest.accepted_types(hello.cluster)
        self._incoming, self._parts = Sequence(), Parts(LARGEST_OBJECT + settings.chunk)
        self._acked = 0
        self._resync: dict[str, None] = {}
        self._stored: tuple[int, int] = (0, 0)  # seq, config_version
        self._told = 0
        self._unstored = 0  # changes handed to ingest that are not in Redis yet
        self._trailing = 0
        self._answered = b""  # said, and not yet handed on
        self._out: deque[pb.PushResponse] = deque()

    async def start(self) -> None:
        hello = self._hello
        for theirs in hello.digests:
            _check_type(theirs.type)
        info = SessionInfo(
            cluster=hello.cluster,
            cluster_uid=hello.cluster_uid,
            instance=hello.instance,
            version=hello.version,
            role=hello.role,
            features=frozenset(hello.features),
            types=tuple(d.type for d in hello.digests if self._takes(d.type)),
            peer=self._peer,
            control=self,
            certificate=self._certificate,
            answered=hello.answered,
        )
        self._fence = await self._ingest.open(self._cluster, info)
        ack = pb.PushHelloAck(features=FEATURES, window=self._settings.window, accepted_types=self._accepted or ())
        for theirs in hello.digests:
            if not self._takes(theirs.type):
                continue
            state = self._of(theirs.type)
            state.announced = True
            mine = self._ingest.digests(self._cluster).get(theirs.type) or SetDigest()
            if mine.total == theirs.digest:
                self._listed(theirs.type, state)
            elif mine.count:
                ack.wanted.add(type=theirs.type, buckets=mine.buckets)
                state.pending += 1
            else:
                ack.wanted.add(type=theirs.type)
                state.replacing = True
        self._out.append(pb.PushResponse(hello_ack=ack))
        self._stream.wake()

    async def ended(self) -> None:
        if self._fence is not None:
            fence, self._fence = self._fence, None
            await self._ingest.close(self._cluster, fence)

    # -- SessionControl, for ingest

    def close(self, reason: Reason, message: str, retry_after: float = 0.0) -> None:
        self._stream.finish(Refused(reason, message, retry_after))

    def relist(self, types: Collection[str] = ()) -> None:
        chosen = [t for t in (types or self._types) if self._takes(t)]
        for type_ in chosen:
            state = self._types.setdefault(type_, _Type())
            state.pending += 1
            state.listed, state.announced = False, True
        self._out.append(pb.PushResponse(relist=pb.Relist(types=chosen)))
        self._stream.wake()

    # -- in

    def receive(self, frame: bytes) -> None:
        message = parse(pb.PushRequest(), frame)
        match message.WhichOneof("body"):
            case "delta":
                self._numbered(message.delta.seq)
                _check_names(message.delta.type, (message.delta.upsert, message.delta.remove))
                self._delta(message.delta)
            case "bucket_keys":
                self._numbered(message.bucket_keys.seq)
                _check_names(message.bucket_keys.type, (message.bucket_keys.objects,))
                self._keys(message.bucket_keys)
            case "answered":
                # what was lost on the way was perhaps an answer
                if message.answered.seq == self._incoming.last:
                    self._answered = message.answered.interest
            case "goodbye":
                raise lost_by(message.goodbye)
            case "hello":
                raise Refused(Reason.PROTOCOL, "a second Hello")
            case _:
                return  # heartbeats, and what a newer agent may add
        self._hand_on_answer()
        self._stream.wake()

    def _hand_on_answer(self) -> None:
        """What is asked for again because digests differed may be an answer, too."""
        if self._answered and self._fence is not None and all(state.in_step for state in self._types.values()):
            self._ingest.answered(self._cluster, self._fence, self._answered)
            self._answered = b""

    def _numbered(self, seq: int) -> None:
        if self._fence is None:
            raise Refused(Reason.PROTOCOL, "facts before HelloAck")
        self._incoming.check(seq)
        if seq > self._acked + self._settings.window:  # who waits for its acknowledgements never has more under way
            raise Refused(
                Reason.PROTOCOL,
                f"message {seq} came with only {self._acked} acknowledged, the window is "
                f"{self._settings.window}; {_REMEDY}",
            )

    def _of(self, type_: str) -> _Type:
        if type_ not in self._types and len(self._types) >= _MOST_TYPES:
            raise Refused(Reason.PROTOCOL, f"more than {_MOST_TYPES} types of objects; {_REMEDY}")
        return self._types.setdefault(type_, _Type())

    def _takes(self, type_: str) -> bool:
        return self._accepted is None or type_ in self._accepted

    def _delta(self, delta: pb.Delta) -> None:
        if not self._takes(delta.type):
            self._metrics.add("relay_refused_objects_total", len(delta.upsert), type=delta.type)
            return
        state = self._of(delta.type)
        if delta.replace:
            state.listing, state.replacing = set(), False
            state.wants.clear()
        held = self._ingest.keys(self._cluster, delta.type)
        upserts, removes = self._objects(delta, state), {(r.namespace, r.name) for r in delta.remove}
        if state.listing is not None:
            state.listing -= removes
            if delta.last:
                here = state.listing
                removes.update(name for name in held if name not in here)
                state.listing = None
        state.wants -= removes
        fresh = [u for u in upserts if held.get((u.namespace, u.name)) != u.hash]
        self._accept(delta.type, fresh, [n for n in removes if n in held], delta.seen_unix_nanos, delta.traceparent)
        if delta.last:
            self._check(delta.type, state, delta.after if delta.HasField("after") else None)

    def _objects(self, delta: pb.Delta, state: _Type) -> list[Upsert]:
        out: list[Upsert] = []
        for raw in delta.upsert:
            name = (raw.namespace, raw.name)
            if state.listing is not None:
                state.listing.add(name)
            body = self._parts.add((delta.type, name, raw.hash), raw.part, raw.parts, raw.json)
            if body is None:
                continue
            if content_hash(body) != raw.hash:
                raise Refused(Reason.PROTOCOL, f"{delta.type} {raw.namespace}/{raw.name} does not have its hash")
            if not is_object(body):
                raise Refused(Reason.PROTOCOL, f"{delta.type} {raw.namespace}/{raw.name} is no JSON object; {_REMEDY}")
            out.append(Upsert(raw.namespace, raw.name, raw.hash, body))
            state.wants.discard(name)
        return out

    def _keys(self, message: pb.BucketKeys) -> None:
        if not self._takes(message.type):
            return
        state = self._of(message.type)
        held = self._ingest.keys(self._cluster, message.type)
        theirs = {(o.namespace, o.name): o.hash for o in message.objects}
        covered = set(message.buckets)
        gone = [n for n in held if n not in theirs and bucket_of(object_key(*n)) in covered]
        wanted = [n for n, digest in theirs.items() if held.get(n) != digest]
        state.wants.update(wanted)
        self._accept(message.type, [], gone, 0, "")
        for i in range(0, len(wanted), _WANTED):
            want = pb.WantObjects(type=message.type)
            for namespace, name in wanted[i : i + _WANTED]:
                want.objects.add(namespace=namespace, name=name)
            self._out.append(pb.PushResponse(want=want))
        if message.last:
            state.pending = max(0, state.pending - 1)
            self._check(message.type, state, message.after if message.HasField("after") else None)

    def _accept(self, type_: str, upserts: list[Upsert], removes: list[Name], seen: int, trace: str) -> None:
        seq = self._incoming.last
        if (upserts or removes) and self._fence is not None:
            self._unstored += 1
            self._ingest.accept(
                self._cluster, self._fence, type_, upserts, removes, seen, trace, partial(self._on_stored, seq)
            )
        elif self._unstored:
            self._trailing = seq  # nothing to store, but what came before is not stored yet
        else:
            self._stored = (seq, self._stored[1])

    def _on_stored(self, seq: int, config_version: int) -> None:
        self._unstored -= 1
        if not self._unstored:
            seq = max(seq, self._trailing)
        self._stored = (max(seq, self._stored[0]), max(config_version, self._stored[1]))
        self._stream.wake()

    def _check(self, type_: str, state: _Type, after: pb.TypeDigest | None) -> None:
        """relay.md §3.3 rule 6; a type that is still coming in is not measured."""
        if not state.in_step:
            return
        if after is not None:
            mine = self._ingest.digests(self._cluster).get(type_) or SetDigest()
            if mine.total != after.digest:
                self._start_resync(type_, state)
                return
            state.resyncs = 0
        self._listed(type_, state)

    def _start_resync(self, type_: str, state: _Type) -> None:
        state.resyncs += 1
        self._metrics.add("relay_resync_total", type=type_)
        if state.resyncs > _RESYNCS:
            raise Refused(
                Reason.PROTOCOL, f"{type_} still differs after {_RESYNCS} complete listings", retry_after=60.0
            )
        state.replacing = True
        self._resync[type_] = None

    def _listed(self, type_: str, state: _Type) -> None:
        if state.announced and not state.listed and self._fence is not None:
            state.listed = True
            self._ingest.listed(self._cluster, self._fence, type_)

    # -- out

    def produce(self) -> bytes | None:
        """Acknowledgements come after the answers: so the window bounds the answers of who does not read them."""
        if self._out:
            return self._out.popleft().SerializeToString()
        if self._incoming.last > self._acked:
            self._acked = self._incoming.last
            ack = pb.Ack(seq=self._acked, resync=list(self._resync))
            self._resync.clear()
            return pb.PushResponse(ack=ack).SerializeToString()
        seq, version = self._stored
        if seq > self._told:
            self._told = seq
            return pb.PushResponse(stored=pb.Stored(seq=seq, config_version=version)).SerializeToString()
        return None


def _check_type(type_: str) -> None:
    if not is_type(type_):
        raise Refused(Reason.PROTOCOL, f"{sayable(repr(type_))} is no type of objects; {_REMEDY}")


def _check_names(type_: str, named: Iterable[Iterable[pb.Object | pb.ObjectDigest]]) -> None:
    """Neither an API server nor a folder lets such names in; here they could mean another object, or all of a type."""
    _check_type(type_)
    for objects in named:
        for one in objects:
            if not is_name(one.namespace, one.name):
                said = sayable(f"{type_}, namespace {one.namespace!r}, name {one.name!r}")
                raise Refused(Reason.PROTOCOL, f"{said}: no object can be called so; {_REMEDY}")
