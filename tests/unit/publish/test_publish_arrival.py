"""Did it arrive: a watermark and the exceptions of each gateway answer for every object."""

from __future__ import annotations

import asyncio

import pytest

from fingerpost.relay.applied import ScopeApplied, ScopeException
from mgmt.publish.arrival import Arrivals, ArrivalView

EAST, WEST = ("east", "gw/ingress"), ("west", "gw/ingress")
TABLE = "networking.gloo.solo.io/RouteTable/mgmt/shop/www"


def arrivals() -> Arrivals:
    found = Arrivals()
    found.expect(EAST)
    found.expect(WEST)
    return found


def answer(found: Arrivals, cluster: str, watermark: int, **more: object) -> None:
    applied = ScopeApplied(scope="gw/ingress", watermark=watermark, **{"proxies": 1, **more})  # type: ignore[arg-type]
    found.applied(cluster, watermark, [applied])


def asked(found: Arrivals, seq: int, connected: tuple[str, ...] = ("east", "west")) -> ArrivalView:
    return found.of(TABLE, seq, [WEST, EAST], connected)


def test_a_change_has_arrived_where_the_watermark_has_reached_it() -> None:
    found = arrivals()
    answer(found, "east", 7)
    answer(found, "west", 6)
    view = asked(found, 7)
    assert (view.arrived, view.total, view.complete) == (1, 2, False)
    assert [(m.gateway, m.reason) for m in view.missing] == [("west/gw/ingress", "on its way")]
    answer(found, "west", 7)
    assert asked(found, 7).complete


def test_an_exception_names_its_reason_whatever_the_watermark() -> None:
    found = arrivals()
    refused = ScopeException(contribution=TABLE, code="Refused", message="duplicate domain", since_unix_nanos=5)
    answer(found, "east", 9, exceptions=(refused,))
    answer(found, "west", 9)
    (missing,) = asked(found, 3).missing
    assert (missing.gateway, missing.reason) == ("east/gw/ingress", "Refused: duplicate domain")
    assert missing.since_unix_nanos == 5
    other = found.of(TABLE.replace("www", "other"), 9, [EAST, WEST], ("east", "west"))
    assert other.complete


def test_an_answer_without_the_exception_takes_it_back() -> None:
    found = arrivals()
    answer(
        found, "east", 9, exceptions=(ScopeException(contribution=TABLE, code="Kept", message="x", since_unix_nanos=1),)
    )
    answer(found, "east", 9)
    answer(found, "west", 9)
    assert asked(found, 9).complete


@pytest.mark.parametrize(
    ("lagging", "connected", "reason"),
    [
        ((), ("east",), "its agent is not connected"),
        (("proxy-1", "proxy-2"), ("east", "west"), "proxy proxy-1, proxy-2 has not acknowledged"),
        ((), ("east", "west"), "on its way"),
    ],
)
def test_what_is_missing_says_why(lagging: tuple[str, ...], connected: tuple[str, ...], reason: str) -> None:
    found = arrivals()
    answer(found, "east", 9)
    answer(found, "west", 1, lagging=lagging)
    assert [m.reason for m in asked(found, 9, connected).missing] == [reason]


def test_a_gateway_that_never_answered_is_missing_even_for_the_first_change() -> None:
    found = arrivals()
    answer(found, "east", 0)
    assert [m.gateway for m in asked(found, 0).missing] == ["west/gw/ingress"]


def test_what_arrived_counts_though_the_agent_is_away_now() -> None:
    found = arrivals()
    answer(found, "east", 9)
    answer(found, "west", 9)
    assert asked(found, 9, ("east",)).complete


def test_a_gateway_without_a_proxy_counts_and_shows() -> None:
    found = arrivals()
    answer(found, "east", 9)
    answer(found, "west", 9, proxies=0)
    view = asked(found, 9)
    assert (view.complete, view.no_proxy) == (True, ("west/gw/ingress",))


def test_answers_about_gateways_that_are_not_expected_are_ignored() -> None:
    found = arrivals()
    found.forget(WEST)
    answer(found, "west", 9)
    assert set(found.gateways) == {EAST}


async def test_waiters_wake_with_the_next_answer() -> None:
    found = arrivals()
    waiting = [asyncio.create_task(found.changed.wait()) for _ in range(2)]
    await asyncio.sleep(0)  # let them begin to wait
    answer(found, "east", 1)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
