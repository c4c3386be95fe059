"""When a replica lets agents go, and how many. The clock is a number."""

from __future__ import annotations

import pytest

from mgmt.balancing import Scales, share


@pytest.mark.spec("M-62")
def test_a_share_is_what_all_carry_alike_and_one_more() -> None:
    assert [share(30, replicas) for replicas in (1, 2, 3, 4)] == [31, 16, 11, 9]
    assert (share(0, 3), share(5, 0)) == (1, 6)


@pytest.mark.spec("M-62")
def test_who_stays_above_the_share_lets_the_excess_go_until_it_stays_away() -> None:
    scales = Scales(12)
    assert scales.excess(0, 30, 30, 1) == 0
    assert [scales.excess(now, 30, 30, 3) for now in (3, 6, 9, 12)] == [0, 0, 0, 0]
    assert scales.excess(15, 30, 30, 3) == 19
    assert scales.excess(18, 11, 30, 3) == 0
    assert scales.excess(21, 16, 30, 3) == 5, "they have come back: no need to wait again"
    assert scales.excess(24, 11, 30, 3) == 0


@pytest.mark.spec("M-61")
def test_agents_of_a_dead_replica_are_not_sent_on_before_it_is_known_to_be_dead() -> None:
    """With signs of life of 10 s."""
    scales = Scales(12)
    assert scales.excess(0, 10, 30, 3) == 0
    assert [scales.excess(now, 15, 30, 3) for now in (2, 5, 8)] == [0, 0, 0]
    assert [scales.excess(now, 15, 30, 2) for now in (11, 14, 17, 30)] == [0, 0, 0, 0]
