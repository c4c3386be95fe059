"""Whoever may write a status in an API server may have written anything there: it is read as far as it is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fingerpost.api.admin.kubernetes_cluster import holding, is_accepted, state_of
from fingerpost.cluster.announcements import of_status
from mgmt.status.ever import EverConnected

pytestmark = pytest.mark.spec("M-57")
_NAMES = ("common", "State", "approval", "message", "arrival", "missing", "gateway", "reason", "conditions", "type")
_TEXTS = ("INVALID", "ACCEPTED", "Connected", "Conflict", "EverConnected", "Warm", "True", "False", "Refused: no")
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(_TEXTS) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from((*_NAMES, "status")) | st.text(), inner)
    ),
    max_leaves=20,
)
_OURS: dict[str, Any] = {
    "common": {"State": {"approval": "INVALID", "message": "no host"}},
    "arrival": {"missing": [{"gateway": "east/gw/ingress", "reason": "Refused: bad regex"}]},
    "conditions": [{"type": "Connected", "status": "True"}],
}


def _by_hand(test: Any) -> Any:
    for wrong in ({"missing": [{}]}, {"missing": None}, {"missing": [[]]}, []):
        test = example({"arrival": wrong})(test)
    for wrong in (None, [[]], {"type": "Conflict"}, [{"type": []}], [{"type": "EverConnected"}]):
        test = example({"conditions": wrong})(test)
    for approval in ([], {}):
        test = example({"approval": approval, "common": {"State": {"approval": approval}}})(test)
    return test


@_by_hand
@given(_ANYTHING)
def test_what_is_new_in_a_status_is_told_whatever_stood_there(there: Any) -> None:
    list(of_status(there, {"arrival": there}))
    if isinstance(there, dict):
        list(of_status(None, there))  # what stands there as the arrival is part of the next status
        list(of_status(_OURS, there))
    told = {a.reason for a in of_status(there, _OURS)}
    assert told <= {"Invalid", "Refused", "Connected"}


@_by_hand
@given(_ANYTHING)
def test_what_a_status_says_of_a_cluster_is_read_whatever_stands_there(there: Any) -> None:
    assert EverConnected(lambda _: there)("east") is bool(holding(there, "EverConnected"))
    assert is_accepted(there) <= (state_of(there).get("approval") == "ACCEPTED")


def test_what_is_wrong_beside_it_hides_nothing() -> None:
    there = {"arrival": {"missing": [{}, *_OURS["arrival"]["missing"]]}, "conditions": [7, *_OURS["conditions"]]}
    assert [a.reason for a in of_status(there, _OURS)] == ["Invalid"]
    assert holding(there, "Connected") == [{"type": "Connected", "status": "True", "message": ""}]
