"""The agent's end of Push: sends facts the moment they change, and brings a server that holds something else into step.

It outlives streams: `begin` is called for each new one. An edit goes out without any collection time; only while the
window is full do edits of one object join.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

from agent.relay.facts import Fact, Facts, Name, Seen, TypeFacts
from fingerpost.relay.digest import BUCKETS, bucket_of, object_key
from fingerpost.relay.frames import cut, parse
from fingerpost.relay.messages import lost_by
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb

_OVERHEAD = 96  # of an object or a key in a message, besides names and body


class Push:
    def __init__(
        self,
        settings: RelaySettings,
        relist: Callable[[tuple[str, ...]], Awaitable[None]],
        on_stored: Callable[[int], None] = lambda _version: None,
    ) -> None:
        """`relist(types)` reads the cluster without a cache and returns when all of it has been given to `update`."""
        self.facts = Facts()
        self.pushed: Callable[[str, int], str] = lambda traceparent, _seen: traceparent  # the context to go on under
        self._settings, self._relist, self._on_stored = settings, relist, on_stored
        self._complete = asyncio.Event()
        self._stream: Stream | None = None
        self._answer = b""  # the digest of the newest Interest whose facts have all come
        self._reset()

    def _reset(self) -> None:
        self._welcome = False
        self._accepted: frozenset[str] = frozenset()
        self._window = 0
        self._seq = self._acked = self._stored = 0
        self._replace: dict[str, None] = {}  # types whose next chunk begins a complete listing
        self._frames: Iterator[pb.PushRequest] | None = None  # one listing of keys, or one object in parts
        self._listings: list[tuple[str, frozenset[int]]] = []  # listings of keys that were asked for
        self._unanswered = False

    # -- for the rest of the agent

    @property
    def asks(self) -> bool:
        """Hello is said, and not answered."""
        return self._stream is not None and not self._welcome

    @property
    def in_step(self) -> bool:
        """The server has everything, in Redis too."""
        return self._welcome and self._stored == self._seq and not self._pending()

    @property
    def queues(self) -> dict[str, int]:
        waiting = sum(len(facts.waiting) for facts in self.facts.types.values())
        return {"waiting": waiting, "unacknowledged": self._seq - self._acked, "unstored": self._seq - self._stored}

    def update(self, changes: Iterable[Fact], seen_unix_nanos: int = 0, traceparent: str = "") -> None:
        """Takes the changes and sends them at once."""
        if self.facts.update(changes, Seen(seen_unix_nanos, traceparent)) and self._stream is not None:
            self._stream.wake()

    def answered(self, interest: bytes) -> None:
        """All facts that this Interest asks for have been given to `update`: said when they are sent."""
        self._answer, self._unanswered = interest, True
        self._wake()

    def complete(self, types: Collection[str]) -> None:
        """The first listing of these types has been given to `update`; only now are they told to the server, empty
        ones too.
        """
        for type_ in types:
            facts = self.facts.of(type_)
            if not facts.complete:
                facts.complete = True
                if self._welcome and self._takes(type_):
                    self._start_listing(type_, facts)
        self._complete.set()
        self._wake()

    # -- for the link

    async def ready(self) -> None:
        """Until there is something complete to announce."""
        await self._complete.wait()

    def begin(self, stream: Stream, hello: pb.Hello) -> pb.PushRequest:
        if self._stream is not None:
            self._stream.supersede()
        self._reset()
        self._stream = stream
        for name, facts in self.facts.types.items():
            facts.waiting.clear()  # the digests tell it
            if facts.complete:
                hello.digests.append(_digest(name, facts))
        hello.answered = self._answer
        return pb.PushRequest(hello=hello)

    def end(self, stream: Stream) -> None:
        """Of `stream`; not of one that has taken over since."""
        if stream is not self._stream:
            return
        self._stream = None
        self._welcome = False

    def receive(self, frame: bytes) -> None:
        message = parse(pb.PushResponse(), frame)
        match message.WhichOneof("body"):
            case "hello_ack":
                self._hello_ack(message.hello_ack)
            case "ack":
                self._ack(message.ack)
            case "stored":
                self._stored = max(self._stored, message.stored.seq)
                self._on_stored(message.stored.config_version)
            case "want":
                self.facts.of(message.want.type).tell((o.namespace, o.name) for o in message.want.objects)
            case "relist":
                self._relisted(tuple(message.relist.types))
            case "goodbye":
                raise lost_by(message.goodbye)
            case _:
                return  # heartbeats, and what a newer server may add
        self._wake()

    def _hello_ack(self, ack: pb.PushHelloAck) -> None:
        self._welcome = True
        self._accepted = frozenset(ack.accepted_types)
        self._window = min(ack.window or 1, self._settings.window)
        for wanted in ack.wanted:
            facts = self.facts.of(wanted.type)
            if wanted.buckets:
                self._listings.append((wanted.type, frozenset(facts.digest.differing(wanted.buckets))))
            else:
                self._start_listing(wanted.type, facts)

    def _ack(self, ack: pb.Ack) -> None:
        if ack.seq > self._seq:
            raise Refused(Reason.PROTOCOL, f"an Ack of {ack.seq}, but only {self._seq} was sent")
        self._acked = max(self._acked, ack.seq)
        for type_ in ack.resync:
            self._start_listing(type_, self.facts.of(type_))

    def _relisted(self, types: tuple[str, ...]) -> None:
        if self._stream is not None:
            self._stream.spawn(self._list_again(types), "relay.push.relist")

    async def _list_again(self, types: tuple[str, ...]) -> None:
        await self._relist(types)
        everything = frozenset(range(BUCKETS))
        # Of a type that is not watched nothing can be said: an empty listing would be read as deletion.
        chosen = [t for t, f in self.facts.types.items() if f.complete and self._takes(t) and (not types or t in types)]
        self._listings.extend((type_, everything) for type_ in chosen)
        self._wake()

    def _start_listing(self, type_: str, facts: TypeFacts) -> None:
        facts.tell(facts.held)
        self._replace[type_] = None

    def _takes(self, type_: str) -> bool:
        return not self._accepted or type_ in self._accepted

    def _wake(self) -> None:
        if self._stream is not None:
            self._stream.wake()

    # -- out

    def produce(self) -> bytes | None:
        if not self._welcome or self._seq - self._acked >= self._window:
            return None
        message = self._next()
        return message.SerializeToString() if message is not None else None

    def _pending(self) -> bool:
        return bool(self._frames or self._listings or self._replace) or any(
            f.waiting and f.complete and self._takes(t) for t, f in self.facts.types.items()
        )

    def _next(self) -> pb.PushRequest | None:
        while True:
            if self._frames is not None:
                if (frame := next(self._frames, None)) is not None:
                    return frame
                self._frames = None
            for type_, facts in self.facts.types.items():
                if (facts.waiting or type_ in self._replace) and facts.complete and self._takes(type_):
                    return self._delta(type_, facts)
            if self._unanswered:
                self._unanswered = False
                return pb.PushRequest(answered=pb.Answered(interest=self._answer, seq=self._seq))
            if not self._listings:
                return None
            type_, buckets = self._listings.pop(0)
            self._frames = self._bucket_keys(type_, self.facts.of(type_), buckets)

    def _delta(self, type_: str, facts: TypeFacts) -> pb.PushRequest:
        """One chunk of what waits. After an object that has to travel in parts the chunk ends."""
        self._seq += 1
        request = pb.PushRequest()
        delta = request.delta
        delta.seq, delta.type = self._seq, type_
        if type_ in self._replace:
            del self._replace[type_]
            delta.replace = True
        size, waiting, trace = 0, facts.waiting, ""
        while waiting:
            name = next(iter(waiting))
            held = facts.held.get(name)
            weight = _OVERHEAD + len(name[0]) + len(name[1]) + (len(held.body) if held is not None else 0)
            if size and (size + weight > self._settings.chunk or waiting[name].traceparent != trace):
                break  # a message bears one trace
            seen = waiting.pop(name)
            trace = seen.traceparent
            self._stamp(delta, seen)
            size += weight
            if held is None:
                delta.remove.add(namespace=name[0], name=name[1])
            elif len(held.body) > self._settings.chunk:
                self._begin_parts(delta, type_, name, held.hash, held.body)
                self._trace(delta, trace)
                return request
            else:
                delta.upsert.add(namespace=name[0], name=name[1], hash=held.hash, json=held.body)
        self._trace(delta, trace)
        self._close(delta, type_, facts)
        return request

    def _trace(self, delta: pb.Delta, traceparent: str) -> None:
        if traceparent:
            delta.traceparent = self.pushed(traceparent, delta.seen_unix_nanos)

    @staticmethod
    def _stamp(delta: pb.Delta, seen: Seen) -> None:
        """The oldest change of the chunk counts."""
        if seen.unix_nanos and not (0 < delta.seen_unix_nanos <= seen.unix_nanos):
            delta.seen_unix_nanos = seen.unix_nanos

    @staticmethod
    def _close(delta: pb.Delta, type_: str, facts: TypeFacts) -> None:
        if not facts.waiting:
            delta.last = True
            delta.after.CopyFrom(_digest(type_, facts))

    def _begin_parts(self, delta: pb.Delta, type_: str, name: Name, digest: bytes, body: bytes) -> None:
        parts = cut(body, self._settings.chunk)
        part, count, raw = next(parts)
        delta.upsert.add(namespace=name[0], name=name[1], hash=digest, json=raw, part=part, parts=count)
        self._frames = self._parts(type_, name, digest, parts)

    def _parts(
        self, type_: str, name: Name, digest: bytes, parts: Iterator[tuple[int, int, bytes]]
    ) -> Iterator[pb.PushRequest]:
        for part, count, raw in parts:
            self._seq += 1
            request = pb.PushRequest(delta=pb.Delta(seq=self._seq, type=type_))
            request.delta.upsert.add(namespace=name[0], name=name[1], hash=digest, json=raw, part=part, parts=count)
            if part == count - 1:
                self._close(request.delta, type_, self.facts.of(type_))
            yield request

    def _bucket_keys(self, type_: str, facts: TypeFacts, buckets: frozenset[int]) -> Iterator[pb.PushRequest]:
        """The keys of these buckets, as they are now, whole buckets a message."""
        by_bucket: dict[int, list[tuple[Name, bytes]]] = {b: [] for b in sorted(buckets)}
        for name, held in facts.held.items():
            if (bucket := bucket_of(object_key(*name))) in by_bucket:
                by_bucket[bucket].append((name, held.hash))
        request, size = pb.PushRequest(bucket_keys=pb.BucketKeys(type=type_)), 0
        after, clean = _digest(type_, facts), not facts.waiting
        for bucket, keys in by_bucket.items():
            weight = sum(_OVERHEAD + len(n[0]) + len(n[1]) for n, _ in keys)
            if size and size + weight > self._settings.chunk:
                self._seq += 1
                request.bucket_keys.seq = self._seq
                yield request
                request, size = pb.PushRequest(bucket_keys=pb.BucketKeys(type=type_)), 0
            request.bucket_keys.buckets.append(bucket)
            for (namespace, short), digest in keys:
                request.bucket_keys.objects.add(namespace=namespace, name=short, hash=digest)
            size += weight
        self._seq += 1
        request.bucket_keys.seq, request.bucket_keys.last = self._seq, True
        if clean:
            request.bucket_keys.after.CopyFrom(after)
        yield request


def _digest(type_: str, facts: TypeFacts) -> pb.TypeDigest:
    return pb.TypeDigest(type=type_, digest=facts.digest.total, count=facts.digest.count)
