"""What is written into the status of an object is nothing new for the translation."""

from __future__ import annotations

import pytest
import yaml
from fleet_of_shops import shops

from fingerpost.objects import ObjectKey, canonical, trim
from mgmt.translate.translator import translate
from tests.plain_world import PLACE

KINDS = ("RouteTable", "VirtualDestination", "VirtualGateway", "Workspace", "KubernetesCluster")


@pytest.mark.spec("W-59")
def test_a_status_that_is_written_starts_no_translation() -> None:
    objects = shops(3, destinations=1)
    translator, first = translate(PLACE, objects)
    written = {key: status.as_json() for key, status in first.statuses.items() if status is not None}
    assert {key.kind for key in written} == set(KINDS)
    for key, status in written.items():
        came = brought(key, objects[key], status)
        assert came == objects[key], f"{key} is the same without its status"
        translator.feed([(key, came)])
        assert translator.turn().steps == 0, key


def brought(key: ObjectKey, body: bytes, status: object) -> bytes:
    """The object as its cluster brings it once the status is there."""
    obj = yaml.safe_load(body)
    obj["metadata"] |= {"resourceVersion": "8", "managedFields": [{"manager": "fingerpost", "subresource": "status"}]}
    return canonical(trim(key.type, obj | {"status": status}))
