"""Identity and bytes of an object."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

from fingerpost.objects import ObjectKey, canonical, type_of
from fingerpost.shared import shared

KEY = ObjectKey("networking.gloo.solo.io/RouteTable", "east", "shop", "own")


def test_a_contribution_names_its_object() -> None:
    assert ObjectKey.of_contribution(KEY.contribution) == KEY
    namespace = ObjectKey("core/Namespace", "east", "", "shop")
    assert ObjectKey.of_contribution(namespace.contribution) == namespace


@pytest.mark.parametrize("text", ["", "gateway", "a/b/c/d", "a/b/c/d/", "////"])
def test_what_names_no_object_is_none(text: str) -> None:
    assert ObjectKey.of_contribution(text) is None


def test_bodies_take_no_more_room_than_they_have_bytes() -> None:
    objects = [{"text": "x" * (600 + 7 * n)} for n in range(200)]
    tracemalloc.start()
    bodies = [canonical(one) for one in objects]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < sum(map(sys.getsizeof, bodies)) * 1.05


def test_equal_values_are_held_once() -> None:
    assert type_of("apps/v1", "Deployment") is type_of("apps/v1", "Deployment")
    first, second = frozenset([KEY]), frozenset([ObjectKey(*KEY)])
    assert shared(first) is shared(second)
    assert type(shared(KEY)) is not type(shared(tuple(KEY)))
