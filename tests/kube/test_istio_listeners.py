"""The listener cases of the conformance tests, with the same expectations, at an Istio gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from listener_envoy import Client
from test_listeners_in_envoy import *  # noqa: F403  (its tests are run here with the client below)
from test_listeners_in_envoy import HOSTS, LISTENERS

from tests.kube.istio_listeners import running_istio_listeners


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    loop = asyncio.new_event_loop()
    running = running_istio_listeners(tmp_path_factory.mktemp("istio"), LISTENERS, HOSTS)
    try:
        yield loop.run_until_complete(running.__aenter__())
    finally:
        loop.run_until_complete(running.__aexit__(None, None, None))
        loop.close()


del test_an_east_west_connection_reaches_only_what_is_exposed  # noqa: F821  about an Envoy's own east-west listener


def test_a_listener_without_tables_answers_404(client: Client) -> None:
    """Different from an Envoy gateway: the server calls itself by another name, for which Istio has no field."""
    status, headers, _ = client.get(82, "www.shop.example")
    assert (status, headers["server"]) == (404, "istio-envoy")
