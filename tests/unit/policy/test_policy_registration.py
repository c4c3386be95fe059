"""A kind with a model that nobody acts on would be accepted in silence; the translator refuses to start instead."""

from __future__ import annotations

import pytest

from mgmt.translate.graph import policies, statuses
from mgmt.translate.graph.inputs import USERS
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.translate.translator import Translator
from tests.plain_world import PLACE
from tests.translate.random_fleet import SLOTS


def test_a_policy_with_a_model_has_to_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "DESTINATION_POLICIES", ())
    with pytest.raises(TypeError, match=r"without registration .*OutlierDetectionPolicy"):
        Translator(PLACE)


def test_a_kind_with_a_model_needs_a_status_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "USERS", (*USERS, "networking.gloo.solo.io/New"))
    with pytest.raises(TypeError, match=r"without a status step .*networking\.gloo\.solo\.io/New"):
        Translator(PLACE)


def test_every_policy_takes_part_in_random_fleets() -> None:
    """Where incremental and full translation are compared."""
    assert {kind.type for kind in DESTINATION_POLICIES} <= {slot.key.type for slot in SLOTS}
