"""A scope has arrived when all of it is there, but for what failed: told from what waits, and found here by a walk over
everything.
"""

from __future__ import annotations

import json
from random import Random

import pytest

from agent.apply.wanted import Object, Wanted
from fingerpost.cluster.protocol import NotWritten, Why
from fingerpost.objects import ObjectKey, canonical

SCOPES = ("istio", "other")
KEYS = [ObjectKey("networking.istio.io/VirtualService", "east", "gw", f"www-{n}") for n in range(5)]


class World:
    """`wanted` beside what is so: what every scope wants, what the cluster holds, what is still to go."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.scopes: dict[str, dict[ObjectKey, Object]] = {}
        self.versions: dict[str, int] = {}
        self.held: dict[ObjectKey, bytes] = {}
        self.wanted = Wanted(self.held.get, {"agent": "own"})
        self.leaving: set[ObjectKey] = set()
        self._generation = 0

    def step(self) -> None:
        steps = (self.want, self.want, self.write, self.write, self.fail, self.remove, self.edit, self.delete)
        self.random.choice((*steps, *steps, self.forget))()

    # ------------------------------------------------------------ what happens

    def want(self) -> None:
        scope, key = self.random.choice(SCOPES), self.random.choice(KEYS)
        obj = self._body(key) if self.random.random() < 0.7 else None
        self.versions[scope] = self.versions.get(scope, 0) + 1
        own = self.scopes.setdefault(scope, {})
        if obj is None:
            own.pop(key, None)
        else:
            own[key] = obj
        self.wanted.want(scope, self.versions[scope], {key: obj})
        self._left(key)

    def forget(self) -> None:
        scope = self.random.choice(SCOPES)
        self.wanted.forget(scope)
        self.versions.pop(scope, None)
        for key in self.scopes.pop(scope, {}):
            self._left(key)

    def write(self) -> None:
        writes, _ = self.wanted.todo(float("inf"))
        if writes:
            key = self.random.choice(writes)
            obj = self._now(key)
            assert obj is not None
            self.held[key] = self._stored(self.wanted.sending(key, obj))
            self.wanted.written(key, obj, self.held[key])

    def remove(self) -> None:
        _, removals = self.wanted.todo(float("inf"))
        if removals:
            key = self.random.choice(removals)
            self.held.pop(key, None)
            self.leaving.discard(key)
            self.wanted.removed(key)

    def fail(self) -> None:
        writes, removals = self.wanted.todo(float("inf"))
        if writes or removals:
            error = NotWritten(Why.REFUSED, "refused")
            self.wanted.failed(self.random.choice([*writes, *removals]), error, now=0)

    def edit(self) -> None:
        """By another."""
        if self.held:
            key = self.random.choice(sorted(self.held))
            self.held[key] = self._stored({**json.loads(self.held[key]), "spec": {"path": "/mine"}})
            self.wanted.seen(key, self.held[key])

    def delete(self) -> None:
        """By another."""
        if self.held:
            key = self.random.choice(sorted(self.held))
            del self.held[key]
            self.wanted.seen(key, None)

    # ------------------------------------------------------------ what is so

    def arrived(self, scope: str) -> int:
        """The full walk."""
        excused = self.wanted.troubles.keys()
        there = all(self._holds(key) or key in excused for key in self.scopes.get(scope, ()))
        return self.versions.get(scope, 0) if there and self.leaving <= excused else 0

    def _holds(self, key: ObjectKey) -> bool:
        obj, body = self._now(key), self.held.get(key)
        return obj is not None and body is not None and json.loads(body)["spec"] == json.loads(obj.body)["spec"]

    def _now(self, key: ObjectKey) -> Object | None:
        return next((own[key] for own in self.scopes.values() if key in own), None)

    def _left(self, key: ObjectKey) -> None:
        if self._now(key) is None:
            self.leaving.add(key)
        else:
            self.leaving.discard(key)

    def _body(self, key: ObjectKey) -> Object:
        metadata = {"name": key.name, "namespace": key.namespace}
        spec = {"path": self.random.choice(("/a", "/b"))}
        return Object(canonical({"apiVersion": "networking.istio.io/v1", "metadata": metadata, "spec": spec}), "root")

    def _stored(self, obj: dict[str, object]) -> bytes:
        self._generation += 1
        found = json.loads(canonical(obj))
        found["metadata"]["generation"] = self._generation
        return canonical(found)


@pytest.mark.parametrize("seed", range(20))
def test_after_any_edits_it_is_what_a_walk_over_everything_finds(seed: int) -> None:
    world, seen = World(Random(seed)), set()
    for number in range(500):
        world.step()
        for scope in SCOPES:
            assert world.wanted.arrived(scope) == world.arrived(scope), f"{scope} after {number} steps"
            seen.add(bool(world.arrived(scope)))
    assert seen == {True, False}
