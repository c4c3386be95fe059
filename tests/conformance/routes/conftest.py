"""The Envoy that all route cases share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from case_gateway import Gateway, running_gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("routes")) as running:
        yield running
