"""Several agents of one cluster report as one."""

from __future__ import annotations

from fingerpost.relay.applied import ScopeApplied, ScopeException
from mgmt.relay.instances import Instances

GATEWAY = "gw/ingress"


def report(watermark: int, proxies: int = 0, *refused: str, lagging: tuple[str, ...] = ()) -> ScopeApplied:
    exceptions = tuple(ScopeException(contribution=name, code="Refused") for name in refused)
    since = 7 if lagging else 0
    return ScopeApplied(
        scope=GATEWAY,
        watermark=watermark,
        proxies=proxies,
        exceptions=exceptions,
        lagging=lagging,
        lagging_since_unix_nanos=since,
    )


def test_one_agent_is_passed_on_as_it_is() -> None:
    assert Instances().reported("east", "one", [report(3, 1)]) == (report(3, 1),)


def test_a_change_has_arrived_when_it_has_with_all_that_serve() -> None:
    instances = Instances()
    instances.reported("east", "one", [report(9, 2, "a", "b")])
    (joined,) = instances.reported("east", "two", [report(7, 1, "b", "c", lagging=("gw-2",))])
    assert (joined.watermark, joined.proxies, joined.lagging, joined.lagging_since_unix_nanos) == (7, 3, ("gw-2",), 7)
    assert sorted(e.contribution for e in joined.exceptions) == ["a", "b", "c"]
    assert instances.reported("west", "one", [report(1, 1)]) == (report(1, 1),), "clusters are apart"
    assert instances.left("east", "two") == (report(9, 2, "a", "b"),)
    assert instances.left("east", "one") == (), "nobody is left to speak for it"


def test_who_serves_no_envoy_keeps_nobody_waiting() -> None:
    instances = Instances()
    instances.reported("east", "one", [report(9, 2)])
    assert instances.reported("east", "two", [report(4)]) == (report(9, 2),)
    instances.reported("east", "one", [report(9)])
    assert instances.reported("east", "two", [report(4)]) == (report(9),)
