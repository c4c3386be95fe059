"""What is fed with anything: each takes a `Source` and raises when something is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import msgspec

from agent.relay.desired import DesiredState
from agent.relay.pull import Pull
from agent.relay.push import Push
from fingerpost.api.base import Duration
from fingerpost.api.decode import decode
from fingerpost.cluster.directory.documents import NotYaml, documents
from fingerpost.cluster.directory.manifest import read_manifest, read_object
from fingerpost.objects import ObjectKey
from fingerpost.relay.reasons import LinkLost, Refused
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.instances import Instances
from mgmt.relay.pull import PullSession
from mgmt.relay.push import PushSession
from mgmt.relay.scope_frames import Bodies
from mgmt.translate.check import check_object
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import translate
from tests.fuzz.arbitrary import MODELS, NAMESPACES, Source, body, choice, fill, junk, mutated, often, written
from tests.translate.random_fleet import PLACE, edits, fleet
from tests.unit.relay.support import FakeIngest, FakeMetrics, FakePublisher

_SETTINGS = RelaySettings()


def _plain(thing: Any) -> Any:
    if isinstance(thing, Duration):
        return str(thing)
    raise NotImplementedError(type(thing))


def decoder(source: Source) -> None:
    """Decoding raises nothing, and what was decoded says the same when it is written and read again."""
    key, obj = written(source, choice(source, MODELS), choice(source, (0, 2, 20)))
    found, problems = decode(key, body(obj))
    assert found is not None or problems
    for problem in problems:
        assert problem.message.isprintable(), problem
    if found is None:
        return
    check_object(key, found)
    once = msgspec.json.encode(found, enc_hook=_plain)
    again, _ = decode(key, once)
    assert again == found, once
    assert msgspec.json.encode(again, enc_hook=_plain) == once


def manifest(source: Source) -> None:
    """An object as it stands in a file."""
    _, obj = written(source, choice(source, MODELS), 5)
    read_object(obj if often(source, 90) else junk(source), "east")


def yaml(text: bytes) -> None:
    """Whatever stands in a file."""
    with contextlib.suppress(NotYaml):
        documents(text)
    for finding in read_manifest("a.yaml", text, "east").findings:
        assert finding.message


def translator(source: Source) -> None:
    """Objects that can be read, in whatever relation; a unit that fails is a bug, though it is isolated (M-54)."""
    objects = {}
    for namespace in NAMESPACES:
        for cluster in ("mgmt", "east"):
            key = _key("core/Namespace", cluster, "", namespace)
            objects[key] = body({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    workspace = {
        "apiVersion": "admin.gloo.solo.io/v2",
        "kind": "Workspace",
        "metadata": {"name": "all", "namespace": "gloo-mesh"},
        "spec": {"workloadClusters": [{"name": "*", "namespaces": [{"name": "*"}]}]},
    }
    objects[_key("admin.gloo.solo.io/Workspace", "mgmt", "gloo-mesh", "all")] = body(workspace)
    for _ in range(source.randint(1, 12)):
        key, obj = written(source, choice(source, MODELS), choice(source, (0, 1)))
        objects[key] = body(obj)
    made, turn = translate(Place(cluster="mgmt", admin_namespace="gloo-mesh"), objects)
    failures = made.failures()
    assert not failures, failures
    assert turn is not None


def mutants(source: Source) -> None:
    """A fleet in which some values are others than anybody would write; and after that, one of its edits."""
    random = Random(source.randint(0, 1_000_000))
    objects = fleet(random)
    for key in sorted(objects):
        if often(source, 40):
            obj = msgspec.json.decode(objects[key])
            for _ in range(source.randint(1, 3)):
                obj["spec"] = mutated(source, obj.get("spec"))
            objects[key] = body(obj)
    made, _ = translate(PLACE, objects)
    assert not made.failures(), made.failures()
    made.feed(edits(random))
    made.turn()
    assert not made.failures(), made.failures()


def _key(type_: str, cluster: str, namespace: str, name: str) -> ObjectKey:
    return ObjectKey(type_, cluster, namespace, name)


class Ends(NamedTuple):
    """The four ends of the relay, each behind bytes."""

    request: Callable[[], Any]
    receive: Callable[[bytes], None]
    produce: Callable[[], bytes | None]


def _stream() -> Stream:
    async def nothing(*_: bytes) -> Any:
        return None

    return Stream(nothing, nothing, _SETTINGS, heartbeat=bytes, goodbye=lambda _: b"")


async def _ends() -> tuple[Ends, ...]:
    hello = pb.Hello(cluster="east", protocol_min=1, protocol_max=1)
    pushed = PushSession(hello, "peer", _stream(), FakeIngest(), _SETTINGS, FakeMetrics())
    await pushed.start()
    publisher = FakePublisher()
    pulled = PullSession(hello, _stream(), publisher, Bodies(_SETTINGS.chunk), _SETTINGS, FakeMetrics(), Instances())
    await pulled.start()

    async def relist(_: tuple[str, ...]) -> None:
        return None

    push = Push(_SETTINGS, relist)
    push.complete(["core/Service"])
    push.begin(_stream(), pb.Hello())
    pull = Pull(DesiredState(lambda *_: None), lambda *_: None)
    pull.begin(_stream(), pb.Hello())
    return (
        Ends(pb.PushRequest, pushed.receive, pushed.produce),
        Ends(pb.PullRequest, pulled.receive, pulled.produce),
        Ends(pb.PushResponse, push.receive, push.produce),
        Ends(pb.PullResponse, pull.receive, pull.produce),
    )


async def relay(source: Source) -> None:
    """Any messages in any order at any end: refused, or taken."""
    ends = choice(source, await _ends())
    for _ in range(source.randint(1, 8)):
        frame = bytearray(fill(source, ends.request()).SerializeToString())
        if often(source, 15) and frame:
            frame[source.randint(0, len(frame) - 1)] = source.randint(0, 255)
        try:
            ends.receive(bytes(frame))
        except (Refused, LinkLost) as end:
            assert str(end) is not None  # noqa: PT017 - the stream is over
            return
        for _ in range(100):
            if ends.produce() is None:
                break
