"""FREEZE_CONFIG (routing.md §13.3) on both data planes: `east` has a plain Envoy, `west` Istio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import pytest
from fleet_of_shops import shops, table
from replay import Followed

from fingerpost.api.common import ApprovalState
from fingerpost.objects import ObjectKey, canonical
from mgmt.ingest.kinds import pin_key
from mgmt.translate.graph.freezing import pin_of_key
from mgmt.translate.graph.inputs import GATEWAY, VIRTUAL_GATEWAY
from mgmt.translate.routing.destination_views import VIRTUAL_DESTINATION
from tests.plain_world import PLACE

_TABLE = table(0)[0]
_OTHER = table(1)[0]
_NOPE = 7  # a destination that is not there
Change = tuple[ObjectKey, bytes | None]


def _mode(change: tuple[ObjectKey, bytes], mode: str = "FREEZE_CONFIG") -> tuple[ObjectKey, bytes]:
    obj = msgspec.json.decode(change[1])
    obj["spec"]["failureMode"] = mode
    return change[0], canonical(obj)


def _world() -> dict[ObjectKey, bytes]:
    objects = shops(2, destinations=1)
    for key, body in objects.items():
        if key.type == GATEWAY and key.cluster == "west":
            obj = msgspec.json.decode(body)
            obj["spec"]["gatewayKind"] = "istio"
            objects[key] = canonical(obj)
    return objects


class _Seen(NamedTuple):
    """All that the table adds, by gateway: bytes that name it."""

    envoy: list[bytes]
    istio: list[bytes]


class _Fleet(Followed):
    def __init__(self, objects: Iterable[Change]) -> None:
        super().__init__(PLACE)
        self.pins: dict[ObjectKey, bytes] = {}
        self.kept: dict[str, str] = {}
        self.change(*objects)

    def change(self, *changes: Change) -> None:
        """What is to be kept comes back as an input, as it does through Redis."""
        turn = self.feed(changes)
        self.kept = dict(turn.kept)
        if turn.accepted:
            self.feed([(pin_key(pin_of_key(key)), body) for key, body in turn.accepted.items()])
        for key, body in turn.accepted.items():
            self.pins.pop(key, None)
            if body is not None:
                self.pins[key] = body

    def seen(self, about: ObjectKey = _TABLE) -> _Seen:
        envoy = [p.body for _, c in self.translator.tables.former(about) for p in (*c.ordered, *c.normal, *c.last)]
        istio = []
        for (cluster, _), resources in sorted(self.view().gateways.items()):
            for key, (_, contributions, body) in sorted(resources.items()):
                if cluster == "west" and key[0] == "object" and about.contribution in contributions:
                    istio.append(body)
        return _Seen(envoy, istio)

    def status(self) -> Any:
        return self.translator.status(_TABLE)

    def restarted(self, objects: dict[ObjectKey, bytes], *, remembers: bool) -> _Fleet:
        pins = {pin_key(pin_of_key(key)): body for key, body in self.pins.items()} if remembers else {}
        return _Fleet((objects | pins).items())


@pytest.fixture
def objects() -> dict[ObjectKey, bytes]:
    return _world() | dict([_mode(table(0, destination=0))])


@pytest.mark.spec("R-157")
def test_nothing_of_a_table_with_an_error_changes_until_it_is_mended(objects: dict[ObjectKey, bytes]) -> None:
    fleet = _Fleet(objects.items())
    before, other = fleet.seen(), fleet.seen(_OTHER)
    assert before.envoy
    assert before.istio
    fleet.change(_mode(table(0, answer=418, destination=_NOPE)))
    assert fleet.seen() == before
    assert fleet.status().approval is ApprovalState.INVALID
    assert fleet.status().message.startswith("configuration is frozen: ")
    assert not fleet.kept, "the server knows it all"
    fleet.change(_mode(table(1, answer=204)))
    assert fleet.seen() == before
    assert fleet.seen(_OTHER) != other, "other tables go on"
    fleet.change(_mode(table(0, answer=418, destination=0)))
    after = fleet.seen()
    assert after.envoy != before.envoy
    assert after.istio != before.istio
    assert fleet.status().approval is ApprovalState.ACCEPTED
    assert not fleet.pins


@pytest.mark.spec("R-161", "M-58")
def test_a_restart_finds_what_was_frozen_or_has_it_kept(objects: dict[ObjectKey, bytes]) -> None:
    fleet = _Fleet(objects.items())
    before = fleet.seen()
    wrong = _mode(table(0, answer=418, destination=_NOPE))
    fleet.change(wrong)
    again = fleet.restarted(objects | dict([wrong]), remembers=True)
    assert again.seen() == before
    assert not again.kept
    assert again.pins == fleet.pins, "the same bytes, which ingest does not write again"
    blank = fleet.restarted(objects | dict([wrong]), remembers=False)
    assert blank.seen() == ([], [])
    assert list(blank.kept) == [_TABLE.contribution]
    blank.change((_TABLE, None))
    assert not blank.kept, "a deleted root is kept by nobody"


@pytest.mark.spec("R-159", "R-163")
def test_a_destination_that_goes_freezes_and_a_wrong_first_version_is_no_version(
    objects: dict[ObjectKey, bytes],
) -> None:
    fleet = _Fleet(objects.items())
    before = fleet.seen()
    (destination,) = (key for key in objects if key.type == VIRTUAL_DESTINATION)
    fleet.change((destination, None))
    assert fleet.seen() == before
    first = {key: body for key, body in objects.items() if key != destination}
    assert _Fleet(first.items()).seen() == ([], [])


def test_the_deleted_root_or_its_gateway_takes_what_is_frozen_along(objects: dict[ObjectKey, bytes]) -> None:
    wrong = _mode(table(0, destination=_NOPE))
    (edge,) = (key for key in objects if key.type == VIRTUAL_GATEWAY)
    for gone in (_TABLE, edge):
        fleet = _Fleet(objects.items())
        fleet.change(wrong)
        assert fleet.seen() != ([], [])
        fleet.change((gone, None))
        assert fleet.seen() == ([], []), gone
    assert not fleet.kept or gone == edge


@pytest.mark.spec("R-156")
def test_the_mode_may_change_while_a_route_is_wrong(objects: dict[ObjectKey, bytes]) -> None:
    fleet = _Fleet(objects.items())
    fleet.change(table(0, destination=_NOPE))
    replaced = fleet.seen()
    assert b"invalid route configuration" in b"".join(replaced.envoy)
    fleet.change(_mode(table(0, answer=418, destination=_NOPE)))
    assert fleet.seen() == replaced, "the replaced state is the last accepted one"
    fleet.change(table(0, answer=418, destination=_NOPE))
    assert fleet.seen() != replaced, "back in the default mode the current version is served at once"
    assert not fleet.pins
