"""From the publication of a version until a gateway has it."""

from __future__ import annotations

from fingerpost.relay.applied import ScopeApplied
from mgmt.publish.arrival import Arrivals
from mgmt.publish.reconcile_time import ReconcileTime


def test_each_step_of_a_watermark_is_measured_once() -> None:
    clock, seen = [100.0], list[float]()
    arrivals, measured = Arrivals(), ReconcileTime(seen.append, lambda: clock[0])
    arrivals.expect(("east", "gw/ingress"))

    def reports(version: int) -> None:
        scopes = (
            ScopeApplied(scope="gw/ingress", watermark=version),
            ScopeApplied(scope="gw/unknown", watermark=version),
        )
        measured.applied(arrivals, "east", scopes)
        arrivals.applied("east", version, scopes)

    measured.published(7)
    clock[0] += 2.0
    measured.published(7)  # a turn without a change
    reports(7)
    reports(7)
    assert seen == [2.0]
    measured.published(8)
    measured.published(9)
    clock[0] += 0.5
    reports(9)  # versions are joined for a slow agent
    reports(5)  # of another server, long ago
    assert seen == [2.0, 0.5]
