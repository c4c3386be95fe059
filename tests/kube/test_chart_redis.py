"""Values of an external Redis, as the server understands what the chart makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from mgmt.store.settings import StoreSettings, parse
from tests.kube.charts import Rendered, environment

SERVER = "gloo-mesh-mgmt-server"


def _rendered(**redis: Any) -> Rendered:
    return Rendered(
        {
            "common": {"cluster": "mgmt"},
            "glooMgmtServer": {"enabled": True},
            "redis": {"deployment": {"enabled": False}, **redis},
            "networkPolicies": {"enabled": True},
        }
    )


def _egress(rendered: Rendered) -> set[int]:
    policy = rendered.one("NetworkPolicy", SERVER)
    return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}


@pytest.mark.spec("M-42")
def test_sentinels_are_asked_for_the_master() -> None:
    sentinel = {"master": "relay", "auth": True, "port": 7000}
    rendered = _rendered(
        address="a:26379, [::1]:26380", db=2, sentinel=sentinel, auth={"enabled": True}, certs={"enabled": True}
    )
    assert rendered.warnings() == []
    url = environment(rendered.one("Deployment", SERVER))["FINGERPOST_MGMT_REDIS_URL"]
    found = parse(StoreSettings(url=url, username="user", password="secret"))
    assert (found.sentinels, found.master) == ((("a", 26379), ("::1", 26380)), "relay")
    assert found.arguments == {"db": 2, "ssl": True, "username": "user", "password": "secret"}
    assert found.sentinel_arguments == {"ssl": True, "username": "user", "password": "secret"}
    assert _egress(rendered) >= {26379, 26380, 7000}


def test_one_redis_is_asked_itself() -> None:
    rendered = _rendered(address="redis.example.com:6380")
    assert environment(rendered.one("Deployment", SERVER))["FINGERPOST_MGMT_REDIS_URL"] == (
        "redis://redis.example.com:6380/0"
    )
    assert 6380 in _egress(rendered)
    assert 6379 not in _egress(rendered)
