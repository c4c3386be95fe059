"""The server's end of one Pull stream: brings one agent's scopes to what the publisher wants, and hears what has
arrived.

Per agent it keeps a version per scope and the frames of the version under way (shared bytes); a slow agent costs no
more than that, since it goes on from its version whenever its window opens (M-14).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from fingerpost.problems import sayable
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.features import ARRIVALS, FEATURES
from fingerpost.relay.frames import parse, pieces_of, scope_delta, scope_field
from fingerpost.relay.interest import Interest
from fingerpost.relay.messages import applied_from_wire, lost_by
from fingerpost.relay.objects import name_of
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.instances import Instances
from mgmt.relay.ports import NEVER, Metrics, Publisher, ScopeView
from mgmt.relay.positions import (
    Phase,
    Position,
    ending_of,
    entries_after,
    place,
    plan_from_keys,
    plan_from_log,
)
from mgmt.relay.scope_frames import Bodies, Ending, Known, bodies, content, ended, wanted_pieces
from mgmt.relay.understood import Understood

_AFTER_HELLO = frozenset({"ack", "applied", "want", "have", "certificate_request"})
_STANDBY = "standby"
# No agent comes near these. Who does is broken, and is sent away before it costs the others memory.
_MOST_SCOPES = 20_000
_MOST_KEYS = 500_000  # of a scope, in answer to bucket digests
_MOST_ANSWERS = 256  # messages with pieces that are not yet fetched, when more are asked for
_MOST_SIGNING = 1000
_ARRIVALS = 1000  # objects in one message
_VERSION_LIMIT = 1 << 50  # of what is believed of a counter that counts edits; Redis counts to 2^53 without rounding


class PullSession:
    def __init__(
        self,
        hello: pb.Hello,
        stream: Stream,
        publisher: Publisher,
        shared: Bodies,
        settings: RelaySettings,
        metrics: Metrics,
        instances: Instances,
    ) -> None:
        self._cluster, self._hello, self._instances = hello.cluster, hello, instances
        self._understood = Understood(hello)
        self._stream, self._publisher, self._shared = stream, publisher, shared
        self._settings, self._metrics = settings, metrics
        self._positions: dict[str, Position] = {}
        self._seq = self._acked = 0
        self._small: deque[bytes] = deque()  # frames without a number
        self._answers: deque[pb.Pieces] = deque()
        self._current: tuple[bytes, deque[bytes]] = (b"", deque())  # scope and version, bodies of what is under way
        self._interest: Interest | None = None
        self._open = False
        self._signing = 0
        self._arrivals: int | None = 0 if ARRIVALS in hello.features else None  # what the agent was told up to
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Wait until this replica may speak for the cluster (D4), then begin."""
        hello, publisher = self._hello, self._publisher
        if hello.config_version > max(_VERSION_LIMIT, publisher.config_version + (1 << 32)):
            raise _broken(f"config_version {hello.config_version} cannot have been reached")
        if len(hello.scopes) > _MOST_SCOPES:
            raise _broken(f"{len(hello.scopes)} scopes in Hello, at most {_MOST_SCOPES} are possible")
        publisher.seen(self._cluster, hello.config_version)
        await publisher.known(self._cluster)
        self._unsubscribe = publisher.subscribe(self._cluster, self._stream.wake)
        self._stream.wake()
        await publisher.ready(self._cluster)
        ack = pb.PullHelloAck(features=FEATURES, config_version=publisher.config_version, window=self._settings.window)
        self._small.append(pb.PullResponse(hello_ack=ack).SerializeToString())
        views = self._views()
        for had in hello.scopes:
            self._positions[had.scope] = place(views.get(had.scope), had.digest)
        self._open = True
        self._stream.wake()

    def close(self) -> None:
        self._open = False
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if remaining := self._instances.left(self._cluster, self):
            self._publisher.applied(self._cluster, self._hello.config_version, remaining)

    # -- in

    def receive(self, frame: bytes) -> None:
        message = parse(pb.PullRequest(), frame)
        if not self._open and message.WhichOneof("body") in _AFTER_HELLO:
            raise Refused(Reason.PROTOCOL, f"{message.WhichOneof('body')} before HelloAck")
        match message.WhichOneof("body"):
            case "ack":
                self._ack(message.ack)
            case "applied":
                self._applied(message.applied)
            case "want":
                self._want(set(message.want.hashes))
            case "have":
                self._have(message.have)
            case "certificate_request":
                request = message.certificate_request
                if self._signing >= _MOST_SIGNING:
                    raise _broken(f"more than {_MOST_SIGNING} certificates are asked for at once")
                self._signing += 1
                self._stream.spawn(self._sign(request.id, request.csr), f"relay.sign.{self._cluster}.{request.id}")
            case "goodbye":
                raise lost_by(message.goodbye)
            case "hello":
                raise Refused(Reason.PROTOCOL, "a second Hello")
            case _:
                pass  # heartbeats, and what a newer agent may add

    def _ack(self, ack: pb.Ack) -> None:
        if ack.seq > self._seq:
            raise Refused(Reason.PROTOCOL, f"an Ack of {ack.seq}, but only {self._seq} was sent")
        full = self._seq - self._acked >= self._settings.window
        self._acked = max(self._acked, ack.seq)
        for scope in ack.resync:
            if scope not in self._positions:
                raise _broken(f"a resync of scope {scope!r}, of which nothing was sent")
            self._metrics.add("relay_resync_total", type=f"scope {scope}")
            self._positions[scope].phase = Phase.ASK
        if full or ack.resync:
            self._stream.wake()

    def _applied(self, message: pb.Applied) -> None:
        if message.HasField("ack"):
            self._ack(message.ack)
        reports: tuple[ScopeApplied, ...] = tuple(map(self._understood.report, applied_from_wire(message)))
        if self._hello.role == _STANDBY:  # what is for the cluster itself is the leader's to write
            reports = tuple(report for report in reports if report.scope)
        joined = self._instances.reported(self._cluster, self, reports)
        self._publisher.applied(self._cluster, message.config_version, joined)

    def _want(self, hashes: set[bytes]) -> None:
        if len(self._answers) > _MOST_ANSWERS:
            raise _broken(f"more pieces are asked for while {len(self._answers)} messages with pieces wait to be read")
        views = self._views().values()
        found = wanted_pieces((pieces for view in views for pieces in view.resources.values()), hashes)
        message, size = pb.Pieces(unknown=sorted(hashes - found.keys())), 0
        for digest in sorted(found):
            for part in pieces_of(found[digest], self._settings.chunk):
                if size and size + len(part.body) > self._settings.chunk:
                    self._answers.append(message)
                    message, size = pb.Pieces(), 0
                message.pieces.append(part)
                size += len(part.body) + 64
        self._answers.append(message)
        self._stream.wake()

    def _have(self, have: pb.Have) -> None:
        position = self._positions.get(have.scope)
        if position is None or position.phase is not Phase.WAIT:
            return  # answered a ScopeState that is no longer the newest
        if self._understood.has({r.type for r in have.resources}):
            for every in self._positions.values():
                every.phase = Phase.ASK  # what was compared with was a part
            self._stream.wake()
            return
        position.have.update(((r.type, r.name), r.hash) for r in have.resources)
        position.buckets |= frozenset(have.buckets)
        if len(position.have) > _MOST_KEYS:
            raise _broken(f"more than {_MOST_KEYS} resources are listed of scope {have.scope!r}")
        if have.last:
            position.phase = Phase.HAVE
            self._stream.wake()

    async def _sign(self, id_: str, csr: bytes) -> None:
        try:
            chain, roots = await self._publisher.sign(self._cluster, id_, csr)
            answer = pb.Certificate(id=id_, chain=chain, roots=roots)
        except Refused as refusal:
            answer = pb.Certificate(id=id_, error=refusal.message)
        finally:
            self._signing -= 1
        self._small.append(pb.PullResponse(certificate=answer).SerializeToString())
        self._stream.wake()

    # -- out

    def produce(self) -> bytes | None:
        if self._small:
            return self._small.popleft()
        if self._unsubscribe is not None and (asked := self._next_interest()) is not None:
            return asked
        if not self._open or self._seq - self._acked >= self._settings.window:
            return None
        if self._answers:
            return self._numbered(pb.PullResponse(pieces=self._answers.popleft()))
        scope, rest = self._current
        if rest:
            self._seq += 1
            return scope_delta(self._seq, scope, rest.popleft())
        return self._next_scope() or self._next_arrivals()

    def _next_interest(self) -> bytes | None:
        """Without a number of the stream, and before HelloAck too: until all have answered, nobody may be served."""
        interest = self._publisher.interest(self._cluster)
        if interest is self._interest:
            return None
        known, self._interest = self._interest, interest
        if interest == known:
            return None
        wire = pb.Interest(
            secrets=interest.secrets,
            label_keys=interest.label_keys,
            services=interest.services,
            partial=interest.partial,
        )
        return pb.PullResponse(interest=wire).SerializeToString()

    def _next_arrivals(self) -> bytes | None:
        """Without a number of the stream: nobody acknowledges them."""
        if self._arrivals is None:
            return None
        self._arrivals, told = self._publisher.arrivals_after(self._cluster, self._arrivals, _ARRIVALS)
        if not told:
            return None
        arrivals = pb.Arrivals()
        for key, body in told:
            arrivals.objects.add(name=name_of(key), json=body)
        return pb.PullResponse(arrivals=arrivals).SerializeToString()

    def _numbered(self, message: pb.PullResponse) -> bytes:
        self._seq += 1
        message.seq = self._seq
        return message.SerializeToString()

    def _views(self) -> Mapping[str, ScopeView]:
        return self._understood.of(self._publisher.scopes(self._cluster))

    def _next_scope(self) -> bytes | None:
        views = self._views()
        for name, view in views.items():
            position = self._positions.get(name)
            if position is None:
                position = self._positions[name] = Position(Phase.GONE if view.gone else Phase.EMPTY, view.version)
            if (frame := self._step(name, view, position)) is not None:
                return frame
        for name, position in self._positions.items():
            if name not in views and position.phase is not Phase.GONE and not self._publisher.is_cold(self._cluster):
                position.phase, position.version, position.keep = Phase.GONE, NEVER, None
                return self._send(name, self._publisher.config_version, _gone(confirmed=False))
        return None

    def _step(self, name: str, view: ScopeView, position: Position) -> bytes | None:
        """The next frame that this scope needs; None when the agent has, or has been sent, everything."""
        if view.gone:
            told = position.keep is None or position.keep is view.keep
            if position.phase is not Phase.ASK and position.version == view.version and told:
                return None
            position.phase, position.version, position.keep = Phase.GONE, view.version, view.keep
            return self._send(name, view.version, _gone(confirmed=view.confirmed))
        phase = position.phase
        if phase is Phase.WAIT or (
            phase is Phase.KNOWN and position.version == view.version and position.keep is view.keep
        ):
            return None
        made = None
        if phase in (Phase.EMPTY, Phase.GONE):
            made = self._whole(view)
        elif phase is Phase.KNOWN:
            made = self._from_log(view, position)
        elif phase is Phase.HAVE and (entries := entries_after(view, position.version)) is not None:
            made = bodies(view.resources, plan_from_keys(view, position, entries), self._settings.chunk)
        if made is None:
            return self._ask(name, view, position)
        position.phase, position.version, position.keep = Phase.KNOWN, view.version, view.keep
        position.have, position.buckets = {}, frozenset()
        return self._send(name, view.version, made)

    def _ask(self, name: str, view: ScopeView, position: Position) -> bytes:
        position.phase, position.version = Phase.WAIT, view.version
        position.have, position.buckets = {}, frozenset()
        state = pb.ScopeState(scope=name, buckets=view.digest.buckets, config_version=view.version)
        return self._numbered(pb.PullResponse(state=state))

    def _whole(self, view: ScopeView) -> tuple[bytes, ...]:
        resources, chunk = view.resources, self._settings.chunk
        all_ = self._shared.get(
            ("whole", id(resources), view.digest.total),
            resources,
            lambda: content(resources, dict.fromkeys(resources, Known(b"")), chunk),
        )
        return ended(all_, ending_of(view), chunk)

    def _from_log(self, view: ScopeView, position: Position) -> tuple[bytes, ...] | None:
        entries = entries_after(view, position.version)
        if entries is None:
            return None
        keep = None if position.keep is not None and position.keep == view.keep else view.keep
        base, after = (entries[0].base, entries[-1].after) if entries else (b"", view.digest.total)
        key = (base, after, position.version, view.version, keep is not None and id(keep), view.confirmed)
        return self._shared.get(
            key, keep, lambda: bodies(view.resources, plan_from_log(view, entries, keep), self._settings.chunk)
        )

    def _send(self, name: str, version: int, made: Iterable[bytes]) -> bytes:
        """Another replica may have told the agent of a later version of a scope that has not changed here since."""
        version = max(version, self._hello.config_version)
        scope = scope_field(name) + pb.ScopeDelta(config_version=version).SerializeToString()
        rest = deque(made)
        self._current = (scope, rest)
        self._seq += 1
        return scope_delta(self._seq, scope, rest.popleft())


def _broken(what: str) -> Refused:
    return Refused(Reason.PROTOCOL, sayable(f"{what}; the agent is broken or not ours, replace it"))


def _gone(*, confirmed: bool) -> tuple[bytes, ...]:
    return tuple(
        body + pb.ScopeDelta(gone=True).SerializeToString() for body in ended((), Ending(b"", {}, confirmed), 1)
    )
