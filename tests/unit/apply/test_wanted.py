"""Answers to writes and events of the watch come in any order, and what is wanted changes meanwhile."""

from __future__ import annotations

import json

from agent.apply.wanted import Object, Wanted
from fingerpost.objects import ObjectKey, canonical

KEY = ObjectKey("networking.istio.io/VirtualService", "east", "gw", "www")
_MARKS = {"relay.solo.io/cluster": "east"}


def body(path: str) -> Object:
    metadata = {"name": "www", "namespace": "gw"}
    obj = {"apiVersion": "networking.istio.io/v1beta1", "metadata": metadata, "spec": {"path": path}}
    return Object(canonical(obj), "root")


class Cluster:
    """What an API server would answer, and tell its watchers."""

    def __init__(self) -> None:
        self.wanted = Wanted(lambda _: None, _MARKS)
        self._generation = 0

    def want(self, path: str) -> Object:
        """What is wanted now, for a later `send`."""
        obj = body(path)
        self.wanted.want("istio", 1, {KEY: obj})
        return obj

    def let_go(self) -> None:
        self.wanted.want("istio", 1, {KEY: None})

    def send(self, obj: Object) -> bytes:
        """The answer to the write, which is still to be told, and the event of the watch."""
        return self._stored(self.wanted.sending(KEY, obj))

    def write(self, path: str) -> bytes:
        """Wanted, written and answered."""
        obj = self.want(path)
        there = self.send(obj)
        self.wanted.written(KEY, obj, there)
        return there

    def edit(self, there: bytes, path: str) -> bytes:
        """The event of an edit by another."""
        found = json.loads(there)
        return self._stored({**found, "spec": {"path": path}})

    def _stored(self, obj: dict[str, object]) -> bytes:
        self._generation += 1
        found = json.loads(canonical({**obj, "apiVersion": "networking.istio.io/v1"}))
        found["metadata"]["generation"] = self._generation
        return canonical(found)

    @property
    def todo(self) -> tuple[list[ObjectKey], list[ObjectKey]]:
        """(to be written, to be removed)."""
        return self.wanted.todo(0)


def test_an_event_before_the_answer_is_no_edit_of_others() -> None:
    cluster = Cluster()
    cluster.write("/a")
    second = cluster.want("/b")
    there = cluster.send(second)
    assert not cluster.wanted.seen(KEY, there)
    assert cluster.todo == ([], [])
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == ([], [])


def test_the_event_of_a_write_that_is_not_wanted_any_more_is_no_edit_of_others() -> None:
    cluster = Cluster()
    cluster.write("/a")
    second = cluster.want("/b")
    there = cluster.send(second)
    third = cluster.want("/c")
    assert not cluster.wanted.seen(KEY, there)
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == ([KEY], [])
    cluster.wanted.written(KEY, third, cluster.send(third))
    assert not cluster.wanted.seen(KEY, there), "an event of long ago"
    assert cluster.todo == ([], [])


def test_an_edit_seen_before_the_answer_to_the_write_before_it_is_undone() -> None:
    cluster = Cluster()
    cluster.write("/a")
    second = cluster.want("/b")
    there = cluster.send(second)
    assert cluster.wanted.seen(KEY, cluster.edit(there, "/mine"))
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == ([KEY], [])


def test_an_edit_by_another_is_undone() -> None:
    cluster = Cluster()
    assert cluster.wanted.seen(KEY, cluster.edit(cluster.write("/a"), "/mine"))
    assert cluster.todo == ([KEY], [])


def test_what_is_wanted_again_while_something_else_is_written_is_written_again() -> None:
    cluster = Cluster()
    cluster.write("/a")
    second = cluster.want("/b")
    there = cluster.send(second)
    cluster.want("/a")
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == ([KEY], [])


def test_the_same_when_the_watch_is_before_the_answer_and_nobody_else_is_blamed() -> None:
    cluster = Cluster()
    cluster.write("/a")
    second = cluster.want("/b")
    there = cluster.send(second)
    cluster.want("/a")
    assert not cluster.wanted.seen(KEY, there), "its own write is nobody's edit"
    cluster.wanted.written(KEY, second, there)
    assert cluster.todo == ([KEY], [])


def test_what_is_wanted_again_while_it_is_removed_is_written_again() -> None:
    cluster = Cluster()
    cluster.write("/a")
    cluster.let_go()
    assert cluster.todo == ([], [KEY])
    cluster.want("/a")
    cluster.wanted.removed(KEY)
    assert cluster.todo == ([KEY], [])


def test_an_edit_by_another_is_undone_also_when_something_else_is_wanted_for_a_moment() -> None:
    cluster = Cluster()
    cluster.wanted.seen(KEY, cluster.edit(cluster.write("/a"), "/mine"))
    cluster.want("/b")
    cluster.want("/a")
    assert cluster.todo == ([KEY], [])


def test_an_edit_by_another_is_undone_also_when_nothing_is_wanted_for_a_moment() -> None:
    cluster = Cluster()
    there = cluster.write("/a")
    cluster.let_go()
    assert not cluster.wanted.seen(KEY, cluster.edit(there, "/mine"))
    cluster.want("/a")
    assert cluster.todo == ([KEY], [])


def test_what_another_deletes_while_nothing_is_wanted_is_written_again() -> None:
    cluster = Cluster()
    cluster.write("/a")
    cluster.let_go()
    assert not cluster.wanted.seen(KEY, None)
    cluster.want("/a")
    assert cluster.todo == ([KEY], [])
