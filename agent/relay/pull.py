"""The agent's end of Pull: takes desired state into `DesiredState`, answers, and reports what has arrived.

It outlives streams: `begin` is called for each new one. What it must say again after a reconnect is kept as state,
not as frames.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from agent.relay.desired import DesiredState
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.frames import Sequence, parse
from fingerpost.relay.interest import Interest
from fingerpost.relay.messages import applied_to_wire, lost_by
from fingerpost.relay.reasons import RelayError
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb

_WANTED = 30000  # hashes in one message
_URGENT = 8  # messages not acknowledged, from which the answer does not wait
_ANSWER_DELAY = 0.025  # seconds


class CertificateRefused(RelayError):
    """The server will not sign."""


class Pull:
    def __init__(
        self, desired: DesiredState, on_interest: Callable[[Interest, bytes], None], answer_delay: float = _ANSWER_DELAY
    ) -> None:
        """`on_interest` gets all that is to be answered, and the digest of what the server has just asked."""
        self.desired = desired
        self._on_interest, self._interest = on_interest, Interest()
        self.on_arrivals: Callable[[Iterable[tuple[str, bytes]]], None] = lambda _: None
        self.asked = asyncio.Event()  # the server has said which facts it needs, on the present connection
        self._stream: Stream | None = None
        self._welcome = False
        self._answer_delay, self._answer_due = answer_delay, False
        self._timer: asyncio.TimerHandle | None = None
        self._incoming = Sequence()
        self._acked = 0
        self._out: deque[pb.PullRequest] = deque()
        self._reports: dict[str, ScopeApplied] = {}
        self._unsent: dict[str, None] = {}
        self._signing: dict[str, tuple[bytes, asyncio.Future[tuple[bytes, bytes]]]] = {}

    # -- for the rest of the agent

    @property
    def connected(self) -> bool:
        return self._welcome

    @property
    def stream_bytes_in(self) -> int:
        """Of the present stream."""
        return self._stream.bytes_in if self._stream is not None else 0

    def report(self, scope: ScopeApplied) -> None:
        """The newest report per scope is sent; equal ones are not sent again."""
        if self._reports.get(scope.scope) != scope:
            self._reports[scope.scope] = scope
            self._unsent[scope.scope] = None
            self._wake()

    def forget(self, scope: str) -> None:
        """The scope is gone and nothing of it is served any more."""
        self._reports.pop(scope, None)
        self._unsent.pop(scope, None)

    async def certificate(self, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        """(chain, roots) as PEM; waits for the server as long as it takes. Raises CertificateRefused.

        A second request under the same id takes the place of the first, which is cancelled.
        """
        future: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        if (former := self._signing.get(id_)) is not None:
            former[1].cancel()
        self._signing[id_] = (csr, future)
        if self._welcome:
            self._out.append(_signing_request(id_, csr))
            self._wake()
        try:
            return await future
        finally:
            if self._signing.get(id_, (b"", None))[1] is future:
                del self._signing[id_]

    # -- for the link

    def begin(self, stream: Stream, hello: pb.Hello) -> pb.PullRequest:
        """A new stream; `hello` is completed with what is held."""
        if self._stream is not None:
            self._stream.supersede()
            self.end(self._stream)
        self._stream, self._welcome = stream, False
        self._incoming, self._acked = Sequence(), 0
        self._out.clear()
        self._unsent = dict.fromkeys(self._reports)
        hello.config_version = self.desired.config_version
        for name, scope in self.desired.scopes.items():
            hello.scopes.add(scope=name, digest=scope.digest.total)
        return pb.PullRequest(hello=hello)

    def end(self, stream: Stream) -> None:
        """Of `stream`; not of one that has taken over since."""
        if stream is not self._stream:
            return
        self._stream, self._welcome = None, False
        self.desired.link_lost()

    def produce(self) -> bytes | None:
        if not self._welcome:
            return None
        desired = self.desired
        unacked = self._incoming.last - self._acked
        if (unacked or self._unsent) and (self._answer_due or desired.resync or unacked >= _URGENT):
            return self._answer()
        if desired.wants:
            hashes = list(desired.wants)[:_WANTED]
            for digest in hashes:
                del desired.wants[digest]
            return pb.PullRequest(want=pb.Want(hashes=hashes)).SerializeToString()
        if self._out:
            return self._out.popleft().SerializeToString()
        if (unacked or self._unsent) and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._answer_delay, self._answer_now)
        return None

    def _answer_now(self) -> None:
        self._timer, self._answer_due = None, True
        self._wake()

    def _answer(self) -> bytes:
        """Ack and reports in one message. They are off the hot path: a moment later they cost half and delay nobody's
        offer.
        """
        self._answer_due = False
        self._acked = self._incoming.last
        ack = pb.Ack(seq=self._acked, resync=list(self.desired.resync))
        self.desired.resync.clear()
        if not self._unsent:
            return pb.PullRequest(ack=ack).SerializeToString()
        applied = applied_to_wire(self.desired.config_version, [self._reports[name] for name in self._unsent])
        self._unsent.clear()
        applied.ack.CopyFrom(ack)
        return pb.PullRequest(applied=applied).SerializeToString()

    def receive(self, frame: bytes) -> None:
        message = parse(pb.PullResponse(), frame)
        if message.seq and not self._incoming.check(message.seq):
            self.desired.doubt()
        match message.WhichOneof("body"):
            case "delta":
                self.desired.delta(message.delta)
            case "pieces":
                self.desired.take_pieces(message.pieces)
            case "state":
                self._out.extend(pb.PullRequest(have=have) for have in self.desired.have(message.state))
            case "hello_ack":
                self._hello_ack(message.hello_ack)
            case "interest":
                self._interested(message.interest)
            case "arrivals":
                self.on_arrivals((told.name, told.json) for told in message.arrivals.objects)
            case "certificate":
                self._certificate(message.certificate)
            case "goodbye":
                raise lost_by(message.goodbye)
            case _:
                return  # heartbeats, and what a newer server may add
        self._wake()

    def _interested(self, said: pb.Interest) -> None:
        fresh = Interest(secrets=tuple(said.secrets), label_keys=tuple(said.label_keys), services=tuple(said.services))
        self._interest = self._interest.joined(fresh) if said.partial else fresh
        self._on_interest(self._interest, fresh.digest)
        self.asked.set()

    def _hello_ack(self, ack: pb.PullHelloAck) -> None:
        self.desired.saw(ack.config_version)
        self._welcome = True
        self._out.extend(_signing_request(id_, csr) for id_, (csr, _) in self._signing.items())

    def _certificate(self, answer: pb.Certificate) -> None:
        if (asked := self._signing.get(answer.id)) is None or asked[1].done():
            return
        if answer.error:
            asked[1].set_exception(CertificateRefused(answer.error))
        else:
            asked[1].set_result((answer.chain, answer.roots))

    def _wake(self) -> None:
        if self._stream is not None:
            self._stream.wake()


def _signing_request(id_: str, csr: bytes) -> pb.PullRequest:
    return pb.PullRequest(certificate_request=pb.CertificateRequest(id=id_, csr=csr))
