"""What tables that share a host serve is judged port by port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from envoy.config.route.v3 import route_pb2
from hosts_on_ports import ANSWERS, CASE, CLUSTER, GATEWAY, Asked
from listener_envoy import Client, bootstrap_of, by_number, localized

from tests.conformance.envoy_process import running_envoy
from tests.conformance.route_forms import BOTH
from tests.golden.golden_case import translated

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module", params=BOTH)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("ports")
    resources = translated(CASE.objects()).gateways[CLUSTER][GATEWAY]
    configs = {
        name: route_pb2.RouteConfiguration.FromString(body)
        for (kind, name), body in resources.items()
        if kind == "routes"
    }
    bodies = [body for (kind, _), body in resources.items() if kind == "listener"]
    listeners = [localized(body, configs, folder, request.param) for body in bodies]
    with running_envoy(folder, bootstrap_of(listeners).SerializeToString()) as ports:
        yield Client(by_number(ports), folder, [])


@pytest.mark.spec("R-1")
@pytest.mark.parametrize("asked", ANSWERS)
def test_a_host_is_served_on_each_port_by_the_tables_of_that_port(client: Client, asked: Asked) -> None:
    status, _, body = client.get(asked.port, asked.host, asked.path)
    assert (status, body) == ANSWERS[asked]
