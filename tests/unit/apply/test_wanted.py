"""Whose edit it was: answers to writes and events of the watch come in any order."""

from __future__ import annotations

import json

from agent.apply.wanted import Object, Wanted
from fingerpost.objects import ObjectKey, canonical

KEY = ObjectKey("networking.istio.io/VirtualService", "east", "gw", "www")
_MARKS = {"relay.solo.io/cluster": "east"}


def body(path: str) -> bytes:
    metadata = {"name": "www", "namespace": "gw"}
    return canonical({"apiVersion": "networking.istio.io/v1beta1", "metadata": metadata, "spec": {"path": path}})


class Cluster:
    """What an API server would answer, and tell its watchers."""

    def __init__(self) -> None:
        self.wanted = Wanted(lambda _: None, _MARKS)
        self._generation = 0

    def want(self, path: str) -> Object:
        obj = Object(body(path), "root")
        self.wanted.want("istio", 1, {KEY: obj})
        return obj

    def write(self, obj: Object) -> bytes:
        return self._stored(self.wanted.sending(KEY, obj))

    def edit(self, there: bytes, path: str) -> bytes:
        found = json.loads(there)
        return self._stored({**found, "spec": {"path": path}})

    def _stored(self, obj: dict[str, object]) -> bytes:
        self._generation += 1
        found = json.loads(canonical({**obj, "apiVersion": "networking.istio.io/v1"}))
        found["metadata"]["generation"] = self._generation
        return canonical(found)

    @property
    def todo(self) -> list[ObjectKey]:
        return self.wanted.todo(0)[0]


def test_an_event_before_the_answer_is_no_edit_of_others() -> None:
    cluster = Cluster()
    first = cluster.want("/a")
    there = cluster.write(first)
    cluster.wanted.written(KEY, first, there)
    second = cluster.want("/b")
    there = cluster.write(second)
    assert not cluster.wanted.seen(KEY, there)
    assert cluster.todo == []
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == []


def test_the_event_of_a_write_that_is_not_wanted_any_more_is_no_edit_of_others() -> None:
    cluster = Cluster()
    first = cluster.want("/a")
    cluster.wanted.written(KEY, first, cluster.write(first))
    second = cluster.want("/b")
    there = cluster.write(second)
    third = cluster.want("/c")
    assert not cluster.wanted.seen(KEY, there)
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == [KEY]
    cluster.wanted.written(KEY, third, cluster.write(third))
    assert not cluster.wanted.seen(KEY, there), "an event of long ago"
    assert cluster.todo == []


def test_an_edit_seen_before_the_answer_to_the_write_before_it_is_undone() -> None:
    cluster = Cluster()
    first = cluster.want("/a")
    there = cluster.write(first)
    cluster.wanted.written(KEY, first, there)
    second = cluster.want("/b")
    there = cluster.write(second)
    assert cluster.wanted.seen(KEY, cluster.edit(there, "/mine"))
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == [KEY]
