"""From a template to the endpoints of one proxy, and names that must be resolved."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from google.protobuf.json_format import ParseDict
from xds_support import Endpoints, Rig, Spot, destination, template

from agent.discovery.locality import Locality
from agent.xds.endpoints import load_assignment
from agent.xds.resolver import Resolver
from fingerpost.relay.v1.endpoints_pb2 import EndpointsTemplate

HERE = Locality("us-east-1", "a")


def assigned(
    parts: list[dict], proxy: Locality, local: list[Spot], cluster: str = "east", **more: object
) -> dict[int, list[tuple[str, str]]]:
    """priority -> [(address, tlsMode)]"""
    made = ParseDict({"clusterName": "cart", "parts": parts, **more}, EndpointsTemplate())
    endpoints = Endpoints({("shop", "cart"): local})
    body = load_assignment(made, cluster, proxy, endpoints, lambda host: [host])
    out: dict[int, list[tuple[str, str]]] = {}
    for group in endpoint_pb2.ClusterLoadAssignment.FromString(body).endpoints:
        assert group.load_balancing_weight.value == len(group.lb_endpoints)
        for e in group.lb_endpoints:
            mode = e.metadata.filter_metadata["envoy.transport_socket_match"].fields["tlsMode"].string_value
            out.setdefault(group.priority, []).append((e.endpoint.address.socket_address.address, mode))
    return out


def remote(cluster: str, address: str, region: str) -> dict:
    return {"cluster": cluster, "remote": [{"address": address, "port": 15443, "region": region, "mutualTls": True}]}


LOCAL = {
    "cluster": "east",
    "local": {"namespace": "shop", "name": "cart", "port": 80},
    "remote": [{"address": "9.9.9.9"}],
}


@pytest.mark.spec("D-56")
def test_regions_alone_prefer_the_own_region() -> None:
    parts = [LOCAL, remote("west", "192.0.2.9", "us-west-2")]
    local = [Spot("192.0.2.1", 80, "us-east-1")]
    preferred = {0: [("192.0.2.1", "disabled")], 1: [("192.0.2.9", "istio")]}
    assert assigned(parts, Locality("us-east-1"), local, preferLocality=True) == preferred


@pytest.mark.spec("D-57")
def test_a_remote_gateway_of_the_own_region_ties_with_another_zone() -> None:
    parts = [LOCAL, remote("near", "192.0.2.8", "us-east-1"), remote("far", "192.0.2.9", "eu-1")]
    local = [Spot("192.0.2.1", 80, "us-east-1", "a"), Spot("192.0.2.2", 80, "us-east-1", "b", has_sidecar=True)]
    assert assigned(parts, HERE, local, preferLocality=True) == {
        0: [("192.0.2.1", "disabled")],
        1: [("192.0.2.8", "istio"), ("192.0.2.2", "istio")],
        2: [("192.0.2.9", "istio")],
    }


@pytest.mark.spec("D-47")
def test_without_an_outlier_policy_there_is_one_priority() -> None:
    parts = [LOCAL, remote("far", "192.0.2.9", "eu-1")]
    assert assigned(parts, HERE, [Spot("192.0.2.1", 80, "us-east-1", "a")]).keys() == {0}


def test_another_cluster_takes_the_gateways_of_the_first_and_its_own_pods_never() -> None:
    assert assigned([LOCAL], HERE, [Spot("192.0.2.1", 80)], cluster="west") == {0: [("9.9.9.9", "disabled")]}


@pytest.mark.spec("D-58")
def test_a_failover_rule_puts_other_regions_behind() -> None:
    parts = [remote("w", "192.0.2.8", "us-west-2"), remote("e", "192.0.2.9", "eu-1")]
    rules = {"preferLocality": True, "failoverFrom": ["us-east-1>us-west-2"]}
    ordered = assigned(parts, HERE, [], **rules)
    assert ordered == {0: [("192.0.2.8", "istio")], 1: [("192.0.2.9", "istio")]}


async def test_a_host_name_is_resolved_in_the_background_and_a_name_without_answer_has_no_address() -> None:
    news: asyncio.Queue[Collection[str]] = asyncio.Queue()
    resolver = Resolver(news.put_nowait)
    assert resolver.addresses("192.0.2.7") == ("192.0.2.7",)
    assert resolver.addresses("localhost") == ()
    assert resolver.addresses("no-such-host.invalid") == ()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(resolver.run(), name="resolver")
        async with asyncio.timeout(10):
            assert await news.get() == {"localhost"}
        assert "127.0.0.1" in resolver.addresses("localhost")
        assert resolver.addresses("no-such-host.invalid") == ()
        task.cancel()


async def test_a_name_that_no_dns_server_can_be_asked_for_is_one_without_answer() -> None:
    news: asyncio.Queue[Collection[str]] = asyncio.Queue()
    resolver = Resolver(news.put_nowait)
    wrong = ("gw..example", ".", f"{'x' * 64}.example")
    assert [resolver.addresses(host) for host in (*wrong, "localhost")] == [()] * 4
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(resolver.run(), name="resolver")
        async with asyncio.timeout(10):
            assert await news.get() == {"localhost"}
        assert [resolver.addresses(host) for host in wrong] == [()] * 3
        task.cancel()


async def test_nothing_is_joined_or_parsed_without_a_proxy(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bytes:
        raise AssertionError("joined without a proxy")

    monkeypatch.setattr("agent.xds.gateway.join", never)
    rig.push(destination("cart") | {("endpoints", "far"): template("far")})
    applied = await rig.told.until(lambda a: a.watermark == 1)
    assert applied.proxies == 0
    assert rig.told.offered == [1]
