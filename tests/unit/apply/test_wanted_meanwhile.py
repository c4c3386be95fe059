"""What is wanted changes while a write or a removal is on its way."""

from __future__ import annotations

import json

import msgspec

from agent.apply.wanted import Object, Wanted
from fingerpost.objects import ObjectKey

KEY = ObjectKey("networking.istio.io/ServiceEntry", "west", "shop", "cart")


def body(host: str) -> Object:
    metadata = {"name": "cart", "namespace": "shop"}
    obj = {"apiVersion": "v1", "kind": "ServiceEntry", "metadata": metadata, "spec": {"hosts": [host]}}
    return Object(json.dumps(obj).encode())


class Cluster:
    """Takes what is sent, one generation after the other."""

    def __init__(self) -> None:
        self.wanted = Wanted(lambda _key: None, {"agent": "own"})
        self.generation = 0

    def send(self, obj: Object) -> bytes:
        """What the API server answers, and tells its watches."""
        self.generation += 1
        sent = self.wanted.sending(KEY, obj)
        return msgspec.json.encode({**sent, "metadata": {**sent["metadata"], "generation": self.generation}})

    def want(self, obj: Object | None) -> None:
        self.wanted.want("istio", 1, {KEY: obj})

    def write(self, obj: Object) -> None:
        self.want(obj)
        self.wanted.written(KEY, obj, self.send(obj))

    @property
    def todo(self) -> tuple[list[ObjectKey], list[ObjectKey]]:
        return self.wanted.todo(0)


def test_what_is_wanted_again_while_something_else_is_written_is_written_again() -> None:
    cluster, whole, part = Cluster(), body("whole"), body("part")
    cluster.write(whole)
    cluster.want(part)
    answer = cluster.send(part)
    cluster.want(whole)
    cluster.wanted.written(KEY, part, answer)
    assert cluster.todo == ([KEY], [])


def test_the_same_when_the_watch_is_before_the_answer_and_nobody_else_is_blamed() -> None:
    cluster, whole, part = Cluster(), body("whole"), body("part")
    cluster.write(whole)
    cluster.want(part)
    event = cluster.send(part)
    cluster.want(whole)
    assert not cluster.wanted.seen(KEY, event), "its own write is nobody's edit"
    cluster.wanted.written(KEY, part, event)
    assert cluster.todo == ([KEY], [])


def test_what_is_wanted_again_while_it_is_removed_is_written_again() -> None:
    cluster, whole = Cluster(), body("whole")
    cluster.write(whole)
    cluster.want(None)
    assert cluster.todo == ([], [KEY])
    cluster.want(whole)
    cluster.wanted.removed(KEY)
    assert cluster.todo == ([KEY], [])


def test_an_edit_by_another_is_undone() -> None:
    cluster, whole = Cluster(), body("whole")
    cluster.write(whole)
    foreign = json.loads(cluster.send(whole))
    foreign["spec"]["hosts"] = ["foreign"]
    assert cluster.wanted.seen(KEY, json.dumps(foreign).encode())
    assert cluster.todo == ([KEY], [])
