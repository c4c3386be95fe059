"""The Envoy that all route cases share, once with each form of routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from case_gateway import Gateway, running_gateway

from tests.conformance.route_forms import BOTH


@pytest.fixture(scope="session", params=BOTH)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("routes"), request.param) as running:
        yield running
