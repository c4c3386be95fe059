"""From a number of hosts routes are asked for as scopes: said in the listener, so that no route is sent anew for it."""

from __future__ import annotations

import msgspec
import pytest
from envoy.config.listener.v3 import listener_pb2
from fleet_of_shops import shops, table

from fingerpost.relay.pieces import join
from fingerpost.relay.route_forms import FORMS, Form
from mgmt.explain import explain_route, parse_request
from mgmt.translate.graph.forms import form_of
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import Translator, translate
from mgmt.translate.turn import Turn
from tests.plain_world import PLACE

LISTENER = ("listener", "0.0.0.0_8080")


def place(scoped_from: int) -> Place:
    return msgspec.structs.replace(PLACE, scoped_from=scoped_from)


def form_in(turn: Turn) -> str | None:
    """None: the listener did not change."""
    (changes,) = turn.classes.values()
    if LISTENER not in changes:
        return None
    pieces = changes[LISTENER]
    assert pieces is not None
    listener = listener_pb2.Listener.FromString(join(pieces))
    if FORMS not in listener.metadata.filter_metadata:
        return Form.PLAIN.value
    return listener.metadata.filter_metadata[FORMS].fields["http.8080"].string_value


def fed(translator: Translator, number: int, there: bool = True) -> Turn:
    key, body = table(number)
    translator.feed([(key, body if there else None)])
    return translator.turn()


@pytest.mark.parametrize(
    ("hosts", "scoped_from", "form"),
    [
        (0, 10, Form.PLAIN),
        (5, 10, Form.PLAIN),
        (6, 10, Form.AS_BEFORE),
        (9, 10, Form.AS_BEFORE),
        (10, 10, Form.SCOPED),
        (0, 1, Form.PLAIN),
        (1, 1, Form.SCOPED),
        (10**6, 0, Form.PLAIN),
    ],
)
def test_the_form_follows_the_number_of_hosts(hosts: int, scoped_from: int, form: Form) -> None:
    assert form_of(hosts, scoped_from) is form


def test_only_a_number_that_is_passed_changes_the_listener() -> None:
    translator, turn = translate(place(8), shops(4))
    assert form_in(turn) == "plain"
    told = [form_in(fed(translator, n)) for n in range(4, 10)]
    assert told == ["as-before", None, None, "scoped", None, None]
    translator.feed([table(3, answer=204)])
    assert form_in(translator.turn()) is None, "an edit"
    told = [form_in(fed(translator, n, there=False)) for n in range(9, 2, -1)]
    assert told == [None, None, "as-before", None, None, "plain", None]


@pytest.mark.spec("M-53")
def test_what_came_step_by_step_is_what_a_rebuild_gives() -> None:
    translator, _ = translate(place(4), shops(2))
    for number in range(2, 5):
        turn = fed(translator, number)
    _, rebuilt = translate(place(4), shops(4))
    assert form_in(rebuilt) == "scoped"
    listeners = [c[LISTENER] for t in (turn, rebuilt) for c in t.classes.values() if LISTENER in c]
    assert len(set(listeners)) == 1


def test_the_routes_are_the_same_in_both_forms() -> None:
    (plain,) = translate(PLACE, shops(5))[1].classes.values()
    (scoped,) = translate(place(1), shops(5))[1].classes.values()
    assert {k for k in plain if plain[k] != scoped[k]} == {LISTENER}


@pytest.mark.parametrize(
    ("scoped_from", "written"),
    [
        (0, "listener 0.0.0.0_8080, routes http.8080"),
        (5, "listener 0.0.0.0_8080, routes http.8080 as scope h1.shop.example"),
        (7, "listener 0.0.0.0_8080, routes http.8080 (as scope h1.shop.example if it had scopes before)"),
    ],
)
@pytest.mark.spec("C-41")
def test_explain_names_the_scope(scoped_from: int, written: str) -> None:
    translator, _ = translate(place(scoped_from), shops(5))
    asked = parse_request("http://h1.shop.example/a")
    for answer in explain_route(translator, asked).gateways:
        assert answer.written[0] == written
