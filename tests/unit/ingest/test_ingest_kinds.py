"""What the server reads of the management cluster, and what it leaves to agents."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from fingerpost.api.kinds import KINDS
from mgmt.ingest.kinds import TYPES_OF_SERVER, read_by_server


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_the_users_kinds_are_read_and_what_agents_keep_is_not(kind) -> None:
    """An XdsConfig that the server took for an input would be one more version with every change of a gateway."""
    watched = any(fnmatchcase(kind.type, pattern) for pattern in TYPES_OF_SERVER)
    assert read_by_server(kind.type) == watched == (kind.written_by_users or kind.type == "core/Namespace")
