"""A unit of the translation that raises is isolated, and its object says so (M-54)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fleet_of_shops import shops, table

from fingerpost.api.common import ApprovalState
from fingerpost.objects import ObjectKey, canonical
from mgmt.translate.graph import tables
from mgmt.translate.translator import translate
from tests.plain_world import PLACE


def _of_generation(item: tuple[ObjectKey, bytes], number: int) -> tuple[ObjectKey, bytes]:
    key, body = item
    obj = msgspec.json.decode(body)
    obj["metadata"]["generation"] = number
    return key, canonical(obj)


@pytest.mark.spec("M-54", "P-41")
def test_an_object_whose_translation_raises_is_failed_at_its_former_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = shops(0) | dict(_of_generation(table(n), 1) for n in range(3))
    translator, _ = translate(PLACE, objects)
    compile_table = tables.compile_table

    def brittle(key: ObjectKey, found: Any) -> Any:
        if key.name == "t1":
            raise RuntimeError("a bug of ours")
        return compile_table(key, found)

    monkeypatch.setattr(tables, "compile_table", brittle)
    culprit, other = _of_generation(table(1, 201), 2), _of_generation(table(2, 202), 2)
    translator.feed([culprit, other])
    turn = translator.turn()
    status = turn.statuses[culprit[0]]
    assert status is not None
    assert (status.approval, status.observed_generation) == (ApprovalState.FAILED, 1)
    assert "a bug of ours" in status.message
    assert translator.status(culprit[0]) == status
    assert len(turn.classes) == 1, "the other table's edit goes out"
    found = turn.statuses[other[0]]
    assert found is not None
    assert (found.approval, found.observed_generation) == (ApprovalState.ACCEPTED, 2)

    monkeypatch.setattr(tables, "compile_table", compile_table)
    translator.feed([_of_generation(table(1, 203), 3)])
    status = translator.turn().statuses[culprit[0]]
    assert status is not None
    assert (status.approval, status.observed_generation) == (ApprovalState.ACCEPTED, 3)
