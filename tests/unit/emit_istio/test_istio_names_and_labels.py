"""Names, labels and addresses by which users find what was generated for Istio."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.gateway import gateway_name
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import sanitize
from mgmt.translate.emit.istio.objects import build, seconds
from mgmt.translate.emit.istio.service_entry import virtual_address

SITE = Site(cluster="east", namespace="gw", workspace="all", owner="gloo-mesh", agent="gloo-agent")
TABLE = ObjectKey("networking.gloo.solo.io/RouteTable", "mgmt", "shop", "www")


@pytest.mark.spec("R-36")
def test_the_worked_name() -> None:
    virtual = ObjectKey("networking.gloo.solo.io/VirtualGateway", "cluster-1", "gw-config", "edge-gw")
    service = ObjectKey("core/Service", "cluster-1", "ingress-ns", "public-ingress")
    assert gateway_name(virtual, service) == "virtualgateway-edge-gw-gw-confi-62135c78cee6d7e29b810b19cc2abaa"


@pytest.mark.spec("R-37")
def test_a_name_that_fits_stays() -> None:
    name = "routetable-shop-routes-shop-config-cluster-1-gateways"
    assert sanitize(name) == name
    assert sanitize("A" * 63) == "a" * 63


@pytest.mark.spec("D-90")
@given(st.lists(st.from_regex(r"[a-z0-9]([-a-z0-9.:*]{0,80}[a-z0-9.])?", fullmatch=True), min_size=1, max_size=5))
def test_every_name_is_a_dns_label(parts: list[str]) -> None:
    name = sanitize("-".join(parts))
    assert 1 <= len(name) <= 63
    assert name.strip("-") == name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.spec("M-5")
def test_all_labels() -> None:
    metadata = json.loads(build("VirtualService", SITE, "x", [TABLE], {}).body)["metadata"]
    assert metadata["labels"] == {
        "agent.gloo.solo.io": "gloo-agent",
        "cluster.multicluster.solo.io": "",
        "context.mesh.gloo.solo.io/cluster": "east",
        "context.mesh.gloo.solo.io/namespace": "gw",
        "context.mesh.gloo.solo.io/workspace": "all",
        "gloo.solo.io/parent_cluster": "mgmt",
        "gloo.solo.io/parent_group": "networking.gloo.solo.io",
        "gloo.solo.io/parent_kind": "RouteTable",
        "gloo.solo.io/parent_name": "www",
        "gloo.solo.io/parent_namespace": "shop",
        "gloo.solo.io/parent_version": "v2",
        "owner.gloo.solo.io/name": "gloo-mesh",
        "reconciler.mesh.gloo.solo.io/name": "translator",
        "relay.solo.io/cluster": "east",
    }
    assert "annotations" not in metadata


@pytest.mark.spec("M-5")
def test_a_long_value_is_cut_and_kept_whole_in_an_annotation() -> None:
    long = TABLE._replace(name="a" * 100)
    metadata = json.loads(build("VirtualService", SITE, "x", [long], {}).body)["metadata"]
    cut = metadata["labels"]["gloo.solo.io/parent_name"]
    assert len(cut) == 63
    assert cut.startswith("a" * 54 + "-")
    assert metadata["annotations"] == {"gloo.solo.io/parent_name": "a" * 100}


@pytest.mark.spec("M-5")
def test_several_parents_are_listed_and_the_first_is_in_the_labels() -> None:
    service = ObjectKey("core/Service", "east", "shop", "cart")
    other = TABLE._replace(name="api")
    obj = build("Gateway", SITE, "x", [service, TABLE, other, TABLE], {})
    assert obj.parents == (other, TABLE, service)
    assert obj.contribution == other.contribution
    metadata = json.loads(obj.body)["metadata"]
    assert metadata["labels"]["gloo.solo.io/parent_name"] == "api"
    listed = json.loads(metadata["annotations"]["gloo.solo.io/parents"])
    assert [(p["kind"], p["name"]) for p in listed] == [
        ("RouteTable", "api"),
        ("RouteTable", "www"),
        ("Service", "cart"),
    ]
    assert (listed[2]["group"], listed[2]["version"]) == ("", "v1")


@pytest.mark.spec("D-39")
@given(st.text(min_size=1, max_size=40))
def test_the_address_of_a_host_depends_on_the_host_alone(host: str) -> None:
    address = ip_address(virtual_address(host))
    assert str(address) == virtual_address(host)
    assert address in ip_network("240.0.0.0/4")
    assert address not in ip_network("240.240.0.0/16")


@pytest.mark.parametrize(("milliseconds", "text"), [(30_000, "30s"), (1, "0.001s"), (1500, "1.500s"), (0, "0s")])
def test_durations(milliseconds: int, text: str) -> None:
    assert seconds(milliseconds) == text
