"""What rollbacks say of an object: only what their snapshot knew, and of several that say something the newest."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import structs

from fingerpost.objects import ObjectKey
from mgmt.pins.rollback import Overlay, Reach, Rollback, Scope


def table(name: str, cluster: str = "mgmt") -> ObjectKey:
    return ObjectKey("networking.gloo.solo.io/RouteTable", cluster, "shop", name)


def rollback(id_: str, objects: Mapping[ObjectKey, bytes]) -> Rollback:
    """Of a snapshot that knew the management cluster alone."""
    return Rollback(
        id=id_,
        snapshot=1,
        scope=Scope(Reach.ALL),
        at_unix_nanos=1,
        clusters=frozenset({"mgmt"}),
        objects=objects,
    )


@pytest.mark.parametrize(
    "scope", [Scope(Reach.ALL), Scope(Reach.WORKSPACE, "shop"), Scope(Reach.CLUSTER, "east")], ids=str
)
def test_what_lives_in_a_cluster_that_the_snapshot_did_not_know_stays_as_it_is(scope: Scope) -> None:
    """Also where the workspace owns the namespace there by now."""
    spaces = frozenset({"mgmt/shop", "east/shop"})
    made = structs.replace(rollback("5", {table("www"): b"then"}), scope=scope, spaces=spaces)
    now = {table("www"): b"now", table("new"): b"now", table("www", "east"): b"now"}
    assert not made.covers(table("www", "east"))
    assert Overlay([made]).all(now) == {table("www"): b"then", table("www", "east"): b"now"}


def test_of_two_rollbacks_over_one_object_the_newest_wins_also_when_it_says_that_there_is_none() -> None:
    newest = rollback("7", {table("both"): b"newest"})
    older = rollback("5", {table("both"): b"older", table("later gone"): b"older"})
    overlay = Overlay([newest, older])
    assert overlay.over(table("both")) is newest
    assert overlay.all({table("both"): b"now"}) == {table("both"): b"newest"}
