"""What a table says while it waits for clusters, and who is told so together (relay.md §7.3)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mgmt.translate.translator import translate
from tests.plain_world import PLACE, entry
from tests.translate.fleet_of_shops import shops

_TABLE = "networking.gloo.solo.io/RouteTable/mgmt/shop/t0"


def _waits(*steps: Iterable[str]) -> list[set[str]]:
    """What the table says at all gateways that serve it, while these clusters are cold one after the other."""
    metadata = {"namespace": "gloo-mesh"}
    kind = {"apiVersion": "admin.gloo.solo.io/v2", "kind": "KubernetesCluster"}
    more = [entry("mgmt", {**kind, "metadata": {**metadata, "name": f"n{number}"}}) for number in range(6)]
    translator, _ = translate(PLACE, shops(1) | dict(more))
    said = []
    for cold in steps:
        translator.set_cold(cold)
        warming = translator.turn().warming
        assert warming is not None
        said.append({keep.get(_TABLE, "") for keep in warming.values()} - {""})
    return said


@pytest.mark.spec("M-45")
def test_a_table_names_the_clusters_that_it_waits_for() -> None:
    assert _waits(["east", "west"], ["west"], ["nowhere"]) == [
        {"WaitingForCluster: east, west"},
        {"WaitingForCluster: west"},
        set(),
    ]


@pytest.mark.spec("M-45")
def test_of_many_it_names_some_and_says_the_same_while_others_come() -> None:
    """A fleet that starts would otherwise be told of every object anew with each cluster that has come."""
    many = [f"n{number}" for number in range(6)]
    first = {"WaitingForCluster: n0, n1, n2 and others"}
    assert _waits(many, many[:5], many[:4], many[:3]) == [first, first, first, {"WaitingForCluster: n0, n1, n2"}]
