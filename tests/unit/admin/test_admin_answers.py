"""What the other paths of the admin API answer."""

from __future__ import annotations

import json

import pytest
from admin_world import NOW, SECOND, WWW, World, warm

from fingerpost.cluster.protocol import Finding
from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeException
from mgmt.admin.findings import CODES, SECTIONS
from mgmt.admin.ports import StoreInfo
from mgmt.ingest.values import ClusterState, ClusterStates, State


async def findings(world: World) -> dict[str, dict[str, str]]:
    body = await world.get("/check")
    return {f["code"]: f for section in body["sections"] for f in section["findings"]}


@pytest.mark.spec("M-78")
async def test_only_health_and_metrics_answer_callers_from_elsewhere() -> None:
    world = World()
    async with world.client("10.1.2.3") as far:
        assert (await far.get("/snapshots/input")).status_code == 403
        assert (await far.post("/release", json={"cluster": "east"})).status_code == 403
        assert (await far.get("/healthz")).status_code == 200
        assert (await far.get("/readyz")).status_code == 200
    async with world.client("::ffff:127.0.0.1") as near:
        assert (await near.get("/snapshots/input")).status_code == 200
        assert (await near.get("/clusters", headers={"origin": "http://evil.example"})).status_code == 403


async def test_readiness_is_503_until_the_server_serves() -> None:
    world = World()
    world.serving = False
    body = await world.get("/readyz", expect=503)
    assert [c["ok"] for c in body["checks"]] == [False, True]


async def test_a_server_without_redis_is_ready_and_says_how_much_it_knows() -> None:
    """relay.md §6.3: readiness stays true, also at the start."""
    world = World()
    world.fed.synced = False
    check = (await world.get("/readyz"))["checks"][1]
    assert (check["ok"], check["message"]) == (False, "redis is away; going on from memory")
    world.fed.reached = False
    assert (await world.get("/readyz"))["checks"][1]["message"].startswith("redis has not been reached since the start")
    assert (await findings(world))["CHK061"]["message"].endswith("mgmt-0 goes on from memory, since its start")


@pytest.mark.spec("C-47")
async def test_objects_have_kubernetes_shape_with_their_cluster_and_arrival() -> None:
    world = World()
    world.answer("east", proxies=0)
    (item,) = (await world.get("/objects", kind="rt"))["items"]
    assert (item["apiVersion"], item["kind"], item["cluster"]) == ("networking.gloo.solo.io/v2", "RouteTable", "mgmt")
    assert item["spec"] == world.body(WWW)["spec"]
    assert item["status"]["common"]["State"]["approval"] == "ACCEPTED"
    assert item["status"]["workspace"] == "all"
    arrival = item["status"]["arrival"]
    assert (arrival["arrived"], arrival["total"], arrival["noProxy"]) == (1, 2, ["east/gw/ingress"])
    assert arrival["missing"][0]["gateway"] == "west/gw/ingress"


async def test_gateways_of_a_destination_and_of_a_virtual_gateway_are_counted_too() -> None:
    world = World()
    world.answer("east")
    for kind in ("virtualdestination", "virtualgateway"):
        (item,) = (await world.get("/objects", kind=kind))["items"]
        assert (item["status"]["arrival"]["arrived"], item["status"]["arrival"]["total"]) == (1, 2), kind
    (workspace,) = (await world.get("/objects", kind="workspace"))["items"]
    assert "arrival" not in workspace["status"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [("", "parameter kind is missing"), ("rout", "rout"), ("cp", "ambiguous"), ("secret", "never leaves")],
)
async def test_a_kind_that_cannot_be_shown_is_refused_with_the_reason(kind: str, word: str) -> None:
    body = await World().get("/objects", expect=400, kind=kind)
    assert word in body["error"]["message"]


async def test_an_agents_state_is_shown_per_cluster() -> None:
    world = World()
    world.edit()
    world.answer("east")
    world.answer("west", watermark=1)
    east, west = (await world.get("/clusters"))["clusters"]
    assert (east["state"], east["agent"]["version"], east["objects"], east["labels"]) == (
        "Warm",
        "0.1.0",
        5,
        {"region": "eu"},
    )
    assert (east["behind"], west["behind"]) == (0, 1)


@pytest.mark.spec("C-9")
async def test_check_has_the_titles_that_scripts_search_for_once_and_in_order() -> None:
    titles = [section["title"] for section in (await World().get("/check"))["sections"]]
    assert titles[:4] == [
        "License status",
        "CRD version check",
        "Gloo Platform deployment status",
        "Mgmt server connectivity to workload agents",
    ]
    assert titles == list(SECTIONS)


@pytest.mark.spec("C-10", "C-11", "C-16")
async def test_check_names_registered_clusters_without_agent_and_agents_without_cluster() -> None:
    world = World()
    lost = ClusterState(state=State.CACHED, ready=True, since=NOW - 842 * SECOND, version="0.1.0")
    stranger = ClusterState(state=State.PENDING, ready=False, since=NOW)
    world.fed.states = ClusterStates(clusters={"east": warm(), "west": lost, "old-edge": stranger})
    found = await findings(world)
    assert found["CHK041"]["object"] == "west"
    assert "no agent for 14m02s" in found["CHK041"]["message"]
    assert found["CHK042"]["object"] == "old-edge"
    assert set(found["CHK041"]) == {"code", "severity", "section", "object", "message", "hint"}
    sections = {s["title"]: s for s in (await world.get("/check"))["sections"]}
    rows = sections["Mgmt server connectivity to workload agents"]["tables"][0]["rows"]
    assert ["old-edge", "false", "mgmt-0"] in rows
    assert ["west", "true", "Not connected"] in rows


async def test_a_healthy_plane_has_no_findings() -> None:
    world = World()
    world.answer("east")
    world.answer("west")
    assert await findings(world) == {}


@pytest.mark.spec("M-44")
async def test_check_reports_a_redis_that_may_evict() -> None:
    world = World()
    world.store = StoreInfo(where="127.0.0.1:6379", persistence="none", eviction="allkeys-lru")
    found = await findings(world)
    assert "allkeys-lru" in found["CHK062"]["message"]
    assert "CHK063" in found
    world.fed.synced, world.fed.trouble = False, "redis at 127.0.0.1:6379 is full"
    message = (await findings(world))["CHK061"]["message"]
    assert message == "redis at 127.0.0.1:6379 is full; mgmt-0 goes on from memory"
    world.fed.synced = True
    world.store = StoreInfo(where="127.0.0.1:6379", reachable=False)
    assert "CHK061" in await findings(world)


async def test_check_lists_bad_objects_kinds_without_meaning_and_broken_files() -> None:
    world = World()
    obj = world.body(WWW)
    obj["spec"]["http"] = 3
    jwt = ObjectKey("security.policy.gloo.solo.io/JWTPolicy", "mgmt", "shop", "jwt")
    policy = {
        "apiVersion": "security.policy.gloo.solo.io/v2",
        "kind": "JWTPolicy",
        "metadata": {"name": "jwt", "namespace": "shop"},
    }
    world.put({WWW: obj, jwt: policy})
    world.fed.findings = (
        Finding("shop/a.yaml", "NotYaml", "line 3 is no YAML"),
        Finding("", "AllFilesGone", "all files went at once"),
        Finding("b.yaml", "UnknownKind", "file b.yaml: did you mean RouteTable?"),
        Finding("c.yaml", "EmptyFile", "file c.yaml is empty"),
    )
    found = await findings(world)
    assert "RouteTable shop/www" in found["CHK071"]["message"]
    assert "JWTPolicy is not implemented" in found["CHK074"]["message"]
    assert found["CHK091"]["message"] == "shop/a.yaml: line 3 is no YAML"
    assert "fingerpost release mgmt" in found["CHK092"]["hint"]
    assert found["CHK093"]["message"] == "file b.yaml: did you mean RouteTable?"
    assert (found["CHK093"]["severity"], found["CHK093"]["object"]) == ("warning", "b.yaml")
    assert (found["CHK096"]["message"], found["CHK096"]["severity"]) == ("file c.yaml is empty", "warning")


async def test_the_hint_about_an_object_of_an_unknown_kind_sends_nobody_to_describe() -> None:
    world = World()
    obj = world.body(WWW)
    obj["spec"]["http"] = 3
    slip = ObjectKey("networking.gloo.solo.io/RouteTabel", "mgmt", "shop", "slip")
    meta = {"name": "slip", "namespace": "shop"}
    world.put({WWW: obj, slip: {"apiVersion": "networking.gloo.solo.io/v2", "kind": "RouteTabel", "metadata": meta}})
    async with world.client() as client:
        sections = (await client.get("/check")).json()["sections"]
    hints = {f["object"]: f["hint"] for s in sections for f in s["findings"] if f["code"] == "CHK071"}
    assert hints[str(slip)] == "correct apiVersion and kind where the object is written, or remove it"
    assert "fingerpost describe" in hints[str(WWW)]


async def test_a_held_loss_is_reported_and_a_person_can_release_it() -> None:
    world = World()
    assert not world.publisher.held
    world.put({WWW: None})
    found = await findings(world)
    assert "fingerpost release" in found["CHK081"]["hint"]
    assert set(world.relisted) == {"mgmt"}
    assert sorted(world.publisher.held) == ["east/gw/ingress", "west/gw/ingress"]
    async with world.client() as client:
        answer = (await client.post("/release", json={"cluster": "east"})).json()
        unknown = await client.post("/release", json={"cluster": "nowhere"})
        broken = await client.post("/release", content=b"{")
    assert answer == {"cluster": "east", "contributions": [WWW.contribution], "objects": 0}
    assert (await findings(world))["CHK081"]["object"] == "west/gw/ingress"
    assert (unknown.status_code, "east, mgmt, west" in unknown.json()["error"]["message"]) == (404, True)
    assert broken.status_code == 400


async def test_releasing_the_management_cluster_lets_its_folder_go() -> None:
    world = World()
    world.folder_released = 4
    async with world.client() as client:
        assert (await client.post("/release", json={"cluster": "mgmt"})).json()["objects"] == 4


async def test_releasing_a_cluster_lets_go_what_waits_for_its_listing_on_gateways_of_others() -> None:
    world = World()
    world.put({WWW: None})
    assert {held.waiting for held in world.publisher.held.values()} == {frozenset({"mgmt"})}
    async with world.client() as client:
        answer = (await client.post("/release", json={"cluster": "mgmt"})).json()
    assert answer["contributions"] == [WWW.contribution]
    assert world.publisher.held == {}
    assert "CHK081" not in await findings(world)


async def test_a_gateway_without_a_proxy_is_reported_once_its_agent_has_answered() -> None:
    world = World()
    world.answer("east", proxies=0)
    world.answer("west")
    found = await findings(world)
    assert set(found) == {"CHK086"}
    assert (found["CHK086"]["object"], found["CHK086"]["severity"]) == ("east/gw/ingress", "warning")
    assert "no proxy is connected" in found["CHK086"]["message"]
    assert "start the Envoy of east/gw/ingress" in found["CHK086"]["hint"]
    world.answer("east")
    assert await findings(world) == {}
    assert "CHK086" not in await findings(World()), "nothing is known of gateways whose agent has not answered"


async def test_what_proxies_refuse_and_where_they_lag_is_reported() -> None:
    world = World()
    refusal = ScopeException(
        contribution=WWW.contribution, code="Refused", message="no such regex", since_unix_nanos=NOW
    )
    world.answer("east", refusal, lagging=("p-1",), lagging_since_unix_nanos=NOW - 40 * SECOND)
    found = await findings(world)
    assert "no such regex" in found["CHK083"]["message"]
    assert "proxy p-1 has not acknowledged for 40s" in found["CHK085"]["message"]


def test_every_finding_has_words() -> None:
    for code, entry in CODES.items():
        assert entry.section in SECTIONS, code
        assert entry.severity in ("error", "warning"), code
        assert entry.meaning.endswith("."), code
        assert entry.hint, code


@pytest.mark.spec("M-77")
async def test_snapshots_of_two_servers_with_the_same_input_differ_in_nothing_but_the_revision() -> None:
    one, two = World(), World(replica="mgmt-1")
    two.put({})
    for path in ("/snapshots/input", "/snapshots/output"):
        left, right = await one.get(path), await two.get(path)
        assert left.pop("version") == right.pop("version") == 1
        left.pop("revision")
        right.pop("revision")
        assert json.dumps(left) == json.dumps(right)
    output = (await one.get("/snapshots/output", cluster="east", type="routes"))["clusters"]
    assert list(output) == ["east"]
    (routes,) = output["east"]["types"]["routes"]
    assert routes["resource"]["virtual_hosts"][0]["domains"] == ["www.shop.example"]


async def test_secrets_are_in_no_snapshot_even_if_one_got_in() -> None:
    world = World()
    canary = ObjectKey("core/Secret", "east", "gw", "tls")
    world.put({canary: {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "data": {"k": "Y2FuYXJ5"}}})
    for path in ("/snapshots/input", "/snapshots/output", "/reports", "/clusters"):
        assert "Y2FuYXJ5" not in json.dumps(await world.get(path))


async def test_reports_say_what_an_object_selected() -> None:
    world = World()
    (report,) = (await world.get("/reports", kind="rt"))["items"]
    assert report["allowedVirtualGateways"] == ["mgmt/gw/edge"]
    assert report["destinations"] == ["VirtualDestination mgmt/shop/cart:80"]
    assert report["gateways"] == ["east/gw/ingress", "west/gw/ingress"]
    kinds = {r["kind"] for r in (await world.get("/reports"))["items"]}
    assert {"RouteTable", "VirtualGateway", "VirtualDestination", "Workspace", "KubernetesCluster"} == kinds


async def test_reports_and_reach_count_istio_gateways_like_plain_envoys() -> None:
    world = World()
    gateway = ObjectKey("internal.gloo.solo.io/DiscoveredGateway", "east", "gw", "ingress")
    obj = world.body(gateway)
    obj["spec"]["gatewayKind"] = "istio"
    world.put({gateway: obj})
    (virtual,) = (await world.get("/reports", kind="vg"))["items"]
    assert virtual["selectedWorkloads"] == ["east/gw/ingress", "west/gw/ingress"]
    assert virtual["allowedRouteTables"] == ["mgmt/shop/www"]
    assert virtual["gateways"] == ["east/istio", "west/gw/ingress"]
    assert virtual["arrival"]["total"] == 2
    west = ObjectKey("internal.gloo.solo.io/DiscoveredGateway", "west", "gw", "ingress")
    world.put({west: None})
    (table,) = (await world.get("/reports", kind="rt"))["items"]
    assert table["destinations"] == ["VirtualDestination mgmt/shop/cart:80"]


async def test_explain_names_the_route() -> None:
    world = World()
    async with world.client() as client:
        question = {"url": "http://www.shop.example/old/shoe", "gateway": "east/gw/ingress"}
        found = (await client.post("/explain/route", json=question)).json()
        unknown = await client.post("/explain/route", json=question | {"gateway": "east/gw/none"})
        no_url = await client.post("/explain/route", json={"url": "ftp://x"})
    assert "moved" in found["text"]
    assert found["verdicts"] == ["route"]
    assert (unknown.status_code, no_url.status_code) == (404, 400)
