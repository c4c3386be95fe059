"""Names that no object can have, from an agent that is broken or not ours: they could mean another object, or all."""

from __future__ import annotations

import pytest

from fingerpost.objects import content_hash, is_name, is_type
from fingerpost.relay.v1 import relay_pb2 as pb
from tests.unit.relay.conftest import World
from tests.unit.relay.raw_peer import PUSH, is_refusal, last_word, raw_peer
from tests.unit.relay.support import facts, running, until

T = "core/Service"
NAMES = [
    ("ns", ""),
    ("", ""),
    ("ns", "a" * 254),
    ("a" * 64, "a"),
    ("ns", ".."),
    ("ns", "../../etc/passwd"),
    ("../..", "a"),
    ("a/b", "c"),
    ("ns", "b/c"),
    ("ns", "a\0b"),
    ("ns", "a\x1b[31m"),
    ("ns", "a%2fb"),
    ("Ns", "a"),
    ("ñs", "a"),
    ("*", "a"),
]


@pytest.mark.parametrize(("namespace", "name"), NAMES, ids=ascii)
async def test_a_name_that_no_object_can_have_ends_the_stream_and_changes_nothing(
    world: World, namespace: str, name: str
) -> None:
    agent = world.agent(cluster="west")
    agent.push.update(facts(T, 3))
    agent.push.complete([T])
    body = b"{}"
    bad = pb.Object(namespace=namespace, name=name, hash=content_hash(body), json=body)
    key = pb.ObjectDigest(namespace=namespace, name=name, hash=content_hash(body))
    async with running(agent), raw_peer(world.relay.port) as peer:
        await until(lambda: agent.push.in_step)
        held = dict(world.ingest.held[T])
        for request in (
            pb.PushRequest(delta=pb.Delta(seq=1, type=T, upsert=[bad])),
            pb.PushRequest(delta=pb.Delta(seq=1, type=T, remove=[key])),
            pb.PushRequest(bucket_keys=pb.BucketKeys(seq=1, type=T, objects=[key], last=True)),
        ):
            said = await peer.sent(PUSH, request.SerializeToString())
            assert is_refusal(said, T, "no object can be called so", "replace it"), said
        assert world.ingest.held[T] == held
        await until(lambda: world.metrics.counts.get(("relay_protocol_errors_total", "")) == 3)
        agent.push.update(facts(T, 4))
        await until(lambda: len(world.ingest.held[T]) == 4)
        assert not agent.losses


@pytest.mark.parametrize("type_", ["", "core", "core/", "/Service", "a/b/c", "core/Ser\0vice", "../x", "Core/Service"])
async def test_a_type_that_cannot_be_is_refused(world: World, type_: str) -> None:
    async with raw_peer(world.relay.port) as peer:
        delta = pb.PushRequest(delta=pb.Delta(seq=1, type=type_))
        assert is_refusal(await peer.sent(PUSH, delta.SerializeToString()), "is no type of objects")
        call = peer.open(PUSH)
        hello = pb.PushRequest(hello=peer.hello([pb.TypeDigest(type=type_)]))
        assert is_refusal(await last_word(call, PUSH, [hello.SerializeToString()]), "is no type of objects")


def test_what_is_a_name() -> None:
    for namespace, name in (("", "system:node"), ("shop", "a.b-c"), ("shop", "a" * 253), ("a" * 63, "x"), ("", "ü")):
        assert is_name(namespace, name), name
    for type_ in ("core/Service", "fingerpost.dev/ServiceFacts", "security.policy.gloo.solo.io/JWTPolicy"):
        assert is_type(type_)
