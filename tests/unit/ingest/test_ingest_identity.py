"""Two replicas read one folder: an object keeps the identity under which it was written first."""

from __future__ import annotations

import msgspec
import pytest

from fingerpost.objects import canonical, content_hash
from mgmt.ingest.identity import adopt
from mgmt.store.values import Stored


def _stored(uid: str, generation: int, spec: dict[str, str], created: str = "2026-01-01T00:00:00Z") -> Stored:
    metadata = {"name": "a", "uid": uid, "generation": generation, "creationTimestamp": created}
    body = canonical({"metadata": metadata, "spec": spec})
    return Stored(content_hash(body), body)


@pytest.mark.spec("W-11")
def test_another_replica_does_not_make_an_object_younger() -> None:
    first, second = _stored("u1", 4, {"a": "1"}), _stored("u2", 1, {"a": "1"}, "2026-06-01T00:00:00Z")
    assert adopt(first, second) == first


def test_a_change_seen_by_another_replica_counts_on() -> None:
    first, second = _stored("u1", 4, {"a": "1"}), _stored("u2", 1, {"a": "2"}, "2026-06-01T00:00:00Z")
    metadata = msgspec.json.decode(adopt(first, second).body)["metadata"]
    assert (metadata["uid"], metadata["generation"]) == ("u1", 5)
    assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_an_object_of_its_own_is_taken_as_it_is() -> None:
    first, second = _stored("u1", 4, {"a": "1"}), _stored("u1", 5, {"a": "2"})
    assert adopt(first, second) is second
    assert adopt(None, second) is second
