"""The route cases of the conformance tests, with the same expectations, at an Istio gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from case_gateway import Gateway
from test_route_actions import *  # noqa: F403  (its tests are run here with the gateway below)
from test_route_match_agrees import *  # noqa: F403
from test_route_matching import *  # noqa: F403
from test_route_oddities import *  # noqa: F403

from tests.kube.istio_cases import running_istio_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    loop = asyncio.new_event_loop()
    running = running_istio_gateway(tmp_path_factory.mktemp("istio"))
    try:
        yield loop.run_until_complete(running.__aenter__())
    finally:
        loop.run_until_complete(running.__aexit__(None, None, None))
        loop.close()
