"""Who wins when several policies of one kind select one target, and what the others are told."""

from __future__ import annotations

import itertools

import pytest

from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.policy.precedence import Contender, settle

KIND = "trafficcontrol.policy.gloo.solo.io/RetryTimeoutPolicy"
SECONDS = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z")


def contender(name: str, created: str, targets: str, *, cluster: str = "east", spec: object = None) -> Contender[str]:
    return Contender(ObjectKey(KIND, cluster, "shop", name), created, spec, frozenset(targets))


@pytest.mark.spec("P-16", "P-22")
def test_the_older_has_the_target_whatever_the_order() -> None:
    policies = [
        contender("old", SECONDS[0], "a"),
        contender("new", SECONDS[1], "a"),
        contender("newer", SECONDS[2], "ab"),
    ]
    for order in itertools.permutations(policies):
        settled = settle(order, "route")
        assert {t: k.name for t, k in settled.winners.items()} == {"a": "old", "b": "newer"}
        assert [(p.ref.name, p.severity) for p in settled.problems] == [
            ("new", Severity.FAILED),
            ("newer", Severity.WARNING),
        ]
        assert settled.problems[0].message == (
            "RetryTimeoutPolicy conflicts with existing policy applied to route. Skipping applying new.shop"
        )


@pytest.mark.spec("P-17", "P-20")
def test_without_the_older_the_younger_has_it_and_no_problem() -> None:
    settled = settle([contender("new", SECONDS[1], "a")], "route")
    assert settled.winners["a"].name == "new"
    assert settled.problems == ()


@pytest.mark.spec("P-18")
def test_a_loser_keeps_its_other_targets() -> None:
    settled = settle([contender("old", SECONDS[0], "a"), contender("new", SECONDS[1], "ab")], "route")
    assert settled.winners["b"].name == "new"
    assert [p.severity for p in settled.problems] == [Severity.WARNING]


@pytest.mark.spec("P-19")
def test_rank_is_the_creation_time_alone() -> None:
    edited = [contender("first", SECONDS[0], "a", spec=2), contender("second", SECONDS[1], "a", spec=1)]
    assert settle(edited, "route").winners["a"].name == "first"
    recreated = [contender("first", SECONDS[2], "a"), edited[1]]
    assert settle(recreated, "route").winners["a"].name == "second"
    tied = [contender("b", SECONDS[0], "a"), contender("a", SECONDS[0], "a")]
    assert settle(tied, "route").winners["a"].name == "a"


@pytest.mark.spec("P-21")
def test_identical_copies_in_several_clusters_do_not_conflict() -> None:
    copies = [contender("p", SECONDS[i], "a", cluster=c, spec={"x": 1}) for i, c in enumerate(("west", "east"))]
    settled = settle(copies, "destination")
    assert settled.winners["a"].cluster == "west"
    (note,) = settled.problems
    assert (note.ref.cluster, note.severity, note.message) == ("east", Severity.INFO, "identical to p.shop.west")
    different = [copies[0], copies[1]._replace(spec={"x": 2})]
    assert [p.severity for p in settle(different, "destination").problems] == [Severity.FAILED]
    renamed = [copies[0], contender("q", SECONDS[1], "a", spec={"x": 1})]
    assert [p.severity for p in settle(renamed, "destination").problems] == [Severity.FAILED]
