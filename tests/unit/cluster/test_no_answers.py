"""An answer of 200 that is not what was asked for, as a proxy with a login page gives it, is a failure like others: it
is told of, nothing is taken for gone, and it is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fingerpost.cluster.kubernetes.accounts import reviewed
from fingerpost.cluster.kubernetes.answers import mapping
from fingerpost.cluster.kubernetes.api import Api, ApiFailed
from fingerpost.cluster.kubernetes.applying import Applying
from fingerpost.cluster.kubernetes.cluster import KubernetesCluster
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.lease import Lease
from fingerpost.cluster.kubernetes.mirror import Mirror
from fingerpost.cluster.kubernetes.statuses import Statuses
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.objects import ObjectKey
from fingerpost.secrets.kubernetes import KubernetesSecrets
from fingerpost.secrets.protocol import SecretsFailed
from tests.unit.cluster.api_stand_in import TABLES, ApiStandIn, listed, standing_in
from tests.unit.relay.support import until

_NO_JSON = (b"<html>log in</html>", b"", b'{"metadata": {"na', b"\xff", b"[" * 100_000)
_ANOTHER = (b"[]", b"null", b'"log in"', b"7", b'{"login": "needed"}', b'{"metadata": null}', b'{"items": [null]}')
_WRONG = pytest.mark.parametrize("wrong", [*_NO_JSON, *_ANOTHER], ids=lambda body: body[:20].decode(errors="replace"))
_KEY = ObjectKey("networking.gloo.solo.io/RouteTable", "one", "shop", "www")
_RESOURCE = Resource(_KEY.type, "/apis/networking.gloo.solo.io/v2", "routetables", namespaced=True, status=True)
_METADATA = {"name": "www", "namespace": "shop", "uid": "one", "resourceVersion": "1"}
_OBJECT: dict[str, Any] = {"metadata": _METADATA}
_OF_SHOP = _RESOURCE.where("shop")
_ONE = _RESOURCE.where("shop", "www")
_KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
_PAIR = "/api/v1/namespaces/shop/secrets/pair"


@pytest.fixture
def server() -> ApiStandIn:
    return ApiStandIn()


@pytest.fixture
async def api(server: ApiStandIn) -> AsyncIterator[Api]:
    async with standing_in(server) as api:
        yield api


@_WRONG
@pytest.mark.spec("M-8")
async def test_a_listing_is_told_of_and_what_is_known_stays(server: ApiStandIn, api: Api, wrong: bytes) -> None:
    server.answers[TABLES] = listed(_OBJECT)
    mirror = Mirror("one", api, ["*.gloo.solo.io/*"], (), Statuses(api, "server"))
    async with mirror.running():
        await until(lambda: mirror.bodies)
        server.answers[TABLES] = 200, wrong
        relist = asyncio.create_task(mirror.relist())
        await until(lambda: [f.code for f in mirror.findings] == ["NotRead"])
        assert list(mirror.bodies) == [_KEY]
        server.answers[TABLES] = listed(_OBJECT)
        await asyncio.wait_for(relist, 10)
        assert not mirror.findings


@_WRONG
@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_what_is_served_is_not_known_then(server: ApiStandIn, api: Api, path: str, wrong: bytes) -> None:
    server.answers[path] = 200, wrong
    mirror = Mirror("one", api, ["*.gloo.solo.io/*"], (), Statuses(api, "server"))
    async with mirror.running():
        await until(lambda: [f.code for f in mirror.findings] == ["NotDiscovered"])
        assert not mirror.known.is_set()


@pytest.mark.parametrize("item", [b"null", b"[]", b"{}", b'{"metadata": {}}', b'{"metadata": {"name": 7}}'])
@pytest.mark.parametrize("watched", [True, False])
async def test_what_bears_no_name_is_no_object(server: ApiStandIn, api: Api, watched: bool, item: bytes) -> None:
    if watched:
        server.events[TABLES] = b'{"type": "ADDED", "object": ' + item + b"}\n"
    else:
        server.answers[TABLES] = 200, b'{"metadata": {}, "items": [' + item + b"]}"
    mirror = Mirror("one", api, ["*.gloo.solo.io/*"], (), Statuses(api, "server"))
    async with mirror.running():
        await until(lambda: [f.code for f in mirror.findings] == ["NotRead"])
        assert not mirror.bodies


async def test_a_list_may_say_null_for_nothing(server: ApiStandIn, api: Api) -> None:
    server.answers[TABLES] = 200, b'{"metadata": {"resourceVersion": "1"}, "items": null}'
    mirror = Mirror("one", api, ["*.gloo.solo.io/*"], (), Statuses(api, "server"))
    async with mirror.running():
        await until(lambda: mirror.known.is_set() and not mirror.unlisted)
        assert not mirror.findings


@_WRONG
async def test_a_cluster_is_not_known_by_it(server: ApiStandIn, api: Api, wrong: bytes) -> None:
    server.answers[_KUBE_SYSTEM] = 200, wrong
    cluster = KubernetesCluster("one", api, (), (), "server", {})
    begin = asyncio.create_task(cluster._identify())
    await until(lambda: server.asked.get(_KUBE_SYSTEM, 0) > 1)
    assert not begin.done()
    server.answers[_KUBE_SYSTEM] = 200, b'{"metadata": {"name": "kube-system", "uid": "u", "resourceVersion": "1"}}'
    await asyncio.wait_for(begin, 10)
    assert cluster.uid == "u"


@_WRONG
async def test_nobody_leads_by_it(server: ApiStandIn, api: Api, wrong: bytes) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
    lease = Lease(api, "shop", "server", "me", lambda _: None)
    for asked, written in (((200, wrong), (200, b"{}")), ((404, b""), (200, wrong))):
        server.answers |= {f"{path}/server": asked, path: written}
        assert "that are not what was asked for" in await lease._look()
        assert not lease.held


@_WRONG
async def test_a_secret_is_not_missing_by_it(server: ApiStandIn, api: Api, wrong: bytes) -> None:
    server.answers |= {_PAIR: (200, wrong), _PAIR.removesuffix("/pair"): (200, wrong)}
    secrets = KubernetesSecrets(api, "shop", "server")
    for asked in (secrets.get("pair"), secrets.put("pair", {}), secrets.create("pair", {})):
        with pytest.raises(SecretsFailed):
            await asked


async def _write_status(api: Api) -> None:
    statuses = Statuses(api, "server")
    statuses.saw(_KEY, _OBJECT, edited=True)
    await statuses.write(_RESOURCE, _KEY, {"state": "one"})


_WRITES: dict[str, Callable[[Api, Applying], Awaitable[Any]]] = {
    "status": lambda api, _: _write_status(api),
    "apply": lambda _, applying: applying.apply(_RESOURCE, _KEY, _OBJECT, None),
    "create": lambda _, applying: applying.create(_RESOURCE, _KEY, _OBJECT),
    "annotate": lambda _, applying: applying.annotate(_RESOURCE, _KEY, "one", {}),
    "remove": lambda _, applying: applying.remove(_RESOURCE, _KEY),
    "own": lambda _, applying: applying.own(_RESOURCE),
    "review": lambda api, _: reviewed(api, "token"),
}


@_WRONG
@pytest.mark.parametrize("write", _WRITES)
async def test_nothing_counts_as_written_by_it(server: ApiStandIn, api: Api, write: str, wrong: bytes) -> None:
    for path in (_ONE, f"{_ONE}/status", _OF_SHOP, TABLES, "/apis/authentication.k8s.io/v1/tokenreviews"):
        server.answers[path] = 200, wrong
    if write == "review" and wrong.startswith(b"{") and wrong.endswith(b"}"):
        assert await reviewed(api, "token") is None, "it admits nobody"
        return
    with pytest.raises(ClusterFailed):
        await _WRITES[write](api, Applying(api, "server", {"ours": "yes"}))


async def test_what_came_is_told_but_not_its_content(server: ApiStandIn, api: Api) -> None:
    server.answers[_PAIR] = 200, b"<html>a secret</html>"
    with pytest.raises(ApiFailed, match=r"21 bytes of text/html.* proxy") as failed:
        await api.get(_PAIR, mapping)
    assert "a secret" not in str(failed.value)
