"""Peers that flood, send garbage or lie: refused with a reason, counted, and the other agents do not notice."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import structlog

from fingerpost.api.limits import LARGEST_OBJECT
from fingerpost.objects import content_hash
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.v1 import relay_pb2 as pb
from tests.unit.relay.conftest import World
from tests.unit.relay.raw_peer import PULL, PUSH, RawPeer, is_refusal, last_word, raw_peer
from tests.unit.relay.support import FAST, ROUTES, Agent, body_piece, facts, running, until

T = "core/Service"
MIB = 1 << 20
_WRITTEN_AT_ONCE = 1000  # frames


def _push(**body: object) -> bytes:
    return pb.PushRequest(**body).SerializeToString()  # type: ignore[arg-type]  # one of the bodies


def _pull(**body: object) -> bytes:
    return pb.PullRequest(**body).SerializeToString()  # type: ignore[arg-type]  # one of the bodies


def _chunk(seq: int, *upsert: pb.Object, type_: str = T) -> bytes:
    return _push(delta=pb.Delta(seq=seq, type=type_, upsert=upsert))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _object(body: bytes, **more: int) -> pb.Object:
    return pb.Object(namespace="ns", name="n", hash=content_hash(body), json=body, **more)


@asynccontextmanager
async def _served(world: World) -> AsyncIterator[Agent]:
    """An agent in step, which must still be after all that happens meanwhile, on the same streams."""
    agent = world.agent(cluster="good")
    agent.push.update(facts(T, 3))
    agent.push.complete([T])
    world.publisher.publish("gw/ingress", {ROUTES: PieceList([body_piece("one")])})
    async with running(agent):
        await until(lambda: agent.push.in_step and agent.has(world.publisher))
        yield agent
        agent.push.update(facts(T, 4))
        world.publisher.publish("gw/ingress", {ROUTES: PieceList([body_piece("two")])})
        await until(lambda: agent.push.in_step and agent.has(world.publisher))
        assert len(world.ingest.held[T]) == 4
        assert not agent.losses


_A, _B = b'{"a":1}', b'{"b":1}'
_PUSHED: dict[str, tuple[Callable[[], list[bytes]], str]] = {
    "random bytes": (lambda: [random.Random(7).randbytes(500)], "could not be decoded"),
    "a second hello": (lambda: [_push(hello=pb.Hello(cluster="east"))], "a second Hello"),
    "numbers go down": (
        lambda: [_chunk(2), _chunk(1)],
        "is not above 2",
    ),
    "number nought": (lambda: [_chunk(0)], "is not above 0"),
    "beyond the window": (lambda: [_chunk(FAST.window + 1)], "the window is"),
    "a hash of another": (
        lambda: [_chunk(1, pb.Object(name="n", hash=content_hash(_A), json=_B))],
        "does not have its hash",
    ),
    "no json": (lambda: [_chunk(1, _object(b'{"a":'))], "is no JSON object"),
    "no utf-8": (
        lambda: [_chunk(1, _object(b'{"a":"\xff"}'))],
        "is no JSON object",
    ),
    "no object": (lambda: [_chunk(1, _object(b"[1]"))], "is no JSON object"),
    "a part alone": (
        lambda: [_chunk(1, _object(_A, part=3, parts=5))],
        "came after 0 parts",
    ),
    "a part too many": (
        lambda: [_chunk(1, _object(_A, part=0, parts=2), _object(_A, part=2, parts=2))],
        "came after 1 parts",
    ),
    "parts without end": (
        lambda: [
            _chunk(i + 1, pb.Object(name="n", json=bytes(MIB), part=i, parts=1000))
            for i in range(LARGEST_OBJECT // MIB + 2)
        ],
        "bytes, at most",
    ),
    "types without end": (
        lambda: [_push(delta=pb.Delta(seq=i + 1, type=f"a.b/K{i}")) for i in range(3000)],
        "",  # whichever of its two mistakes is seen first
    ),
}
_PULLED: dict[str, tuple[Callable[[], list[bytes]], str]] = {
    "random bytes": (lambda: [random.Random(8).randbytes(500)], "could not be decoded"),
    "an ack of nothing": (lambda: [_pull(ack=pb.Ack(seq=10**6))], "was sent"),
    "a resync of nothing": (lambda: [_pull(ack=pb.Ack(resync=["no/such"]))], "of which nothing was sent"),
    "a second hello": (lambda: [_pull(hello=pb.Hello(cluster="east"))], "a second Hello"),
    "pieces without end": (
        lambda: [_pull(want=pb.Want(hashes=[i.to_bytes(16, "big")])) for i in range(2000)],
        "wait to be read",
    ),
}


async def _refused(world: World, peer: RawPeer, method: str, frames: list[bytes], words: str) -> None:
    """One that still writes when its stream is ended may hear of the end alone; the server's log tells why."""
    with structlog.testing.capture_logs() as logs:
        said = await peer.sent(method, *frames)
        await until(lambda: world.metrics.counts.get(("relay_protocol_errors_total", "")) == 1)
    reasons = [line["reason"] for line in logs if line["event"] == "relay.stream.refused"]
    assert len(reasons) == 1, logs
    assert words in reasons[0]
    assert is_refusal(said, words) or (len(frames) > _WRITTEN_AT_ONCE and said is grpc.StatusCode.INTERNAL), said


@pytest.mark.parametrize("case", _PUSHED)
async def test_facts_that_break_the_rules_are_refused(world: World, case: str) -> None:
    frames, words = _PUSHED[case]
    async with _served(world), raw_peer(world.relay.port) as peer:
        await _refused(world, peer, PUSH, frames(), words)
        assert ("ns", "n") not in world.ingest.held[T]


@pytest.mark.parametrize("case", _PULLED)
async def test_answers_that_break_the_rules_are_refused(world: World, case: str) -> None:
    frames, words = _PULLED[case]
    async with _served(world), raw_peer(world.relay.port) as peer:
        await _refused(world, peer, PULL, frames(), words)


async def test_a_version_that_nobody_can_have_reached_does_not_raise_ours(world: World) -> None:
    """Else one agent could bring the counter of all to its end."""
    async with _served(world), raw_peer(world.relay.port) as peer:
        for version in (2**64 - 1, 2**53):
            hello = peer.hello()
            hello.config_version = version
            call = peer.open(PULL)
            said = await last_word(call, PULL, [_pull(hello=hello)])
            assert is_refusal(said, f"config_version {version} cannot have been reached"), said
        assert world.publisher.saw == 0


async def test_a_message_over_the_limit_ends_its_stream_only(world: World) -> None:
    async with _served(world), raw_peer(world.relay.port) as peer:
        for method, frame in ((PUSH, _push), (PULL, _pull)):
            over = frame(goodbye=pb.Goodbye(message="x" * FAST.largest))
            said = await peer.sent(method, over)
            assert is_refusal(said, f"a message of {len(over)} bytes, at most {FAST.largest} are taken"), said
            said = await last_word(peer.open(method), method, [over])  # instead of a Hello
            assert is_refusal(said, f"at most {FAST.largest} are taken"), said
            huge = frame(goodbye=pb.Goodbye(message="x" * 5 * FAST.largest))
            assert isinstance(await peer.sent(method, huge), grpc.StatusCode), "gRPC does not even read it"
        assert is_refusal(await peer.sent(PUSH, _chunk(0)))


async def test_many_streams_and_many_messages_cost_bounded_memory(world: World) -> None:
    async with _served(world), raw_peer(world.relay.port) as peer, raw_peer(world.relay.port) as other:
        before = _resident()
        held = [peer.open(PULL) for _ in range(500)]  # of which no more are served at once than a connection may have
        await asyncio.gather(*(_flood(other, size) for size in range(3)))
        assert world.relay.queues["streams"] < 300
        assert _resident() - before < 200 * MIB
        for call in held:
            call.cancel()
    await until(lambda: world.relay.queues["streams"] <= 2)


async def _flood(peer: RawPeer, number: int) -> None:
    """Listings of keys that are all asked for again, by who reads no question."""
    call = await peer.greeted(PUSH)
    keys = [pb.ObjectDigest(namespace="ns", name=f"n{number}-{i}", hash=bytes(32)) for i in range(8000)]
    try:
        for i in range(200):
            keys_of_type = pb.BucketKeys(seq=i + 1, type=T, objects=keys, buckets=range(256))
            await asyncio.wait_for(call.write(_push(bucket_keys=keys_of_type)), 0.5)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
        return
    finally:
        call.cancel()


@pytest.mark.parametrize(
    "data",
    [
        random.Random(9).randbytes(100_000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.Random(10).randbytes(100_000),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(70_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
        b"",
    ],
    ids=["random", "http-1", "http-2-then-random", "a-huge-frame", "tls", "nothing"],
)
async def test_what_is_no_http_2_at_all_harms_nobody(world: World, data: bytes) -> None:
    async with _served(world):
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.relay.port)
            writer.write(data)
            try:
                if data:
                    await writer.drain()
                    async with asyncio.timeout(0.05):
                        await reader.read(MIB)
            except (OSError, TimeoutError):
                pass
            writer.close()


async def test_paths_and_methods_that_are_not_there(world: World) -> None:
    async with _served(world), raw_peer(world.relay.port) as peer:
        for method in ("/fingerpost.relay.v1.Relay/Push2", "/", "/grpc.reflection.v1.ServerReflection/Info"):
            # nothing is sent: a write that fails would make it INTERNAL at once
            assert await last_word(peer.open(method), PUSH, []) is grpc.StatusCode.UNIMPLEMENTED
