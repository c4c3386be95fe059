"""What `translate` makes of folders is what a server relays for them, and what its agents hold (C-44)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from ctl.offline.fleet import translate_folder
from fingerpost.relay.pieces import join
from mgmt.app import Server
from mgmt.snapshot.outcome import Outcome
from mgmt.translate.graph.ownership import Place
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective, running_fleet
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import command

ROOT = Path(__file__).parents[2]
CLUSTERS = ("mgmt", "east", "west")
PLACE = Place(cluster="mgmt", admin_namespace="gloo-mesh")
Bytes = dict[tuple[str, str, str, str], bytes]  # cluster, scope, type, name


def offline(outcome: Outcome) -> Bytes:
    return {(*at, *key): join(pieces) for at, scope in outcome.scopes().items() for key, pieces in scope.items()}


def relayed(server: Server) -> Bytes:
    return {
        (cluster, scope, *key): join(pieces)
        for cluster in CLUSTERS
        for scope, view in server.publisher.scopes(cluster).items()
        for key, pieces in view.resources.items()
    }


def istio_gateway() -> list[m.Object]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    spec = {"type": "LoadBalancer", "selector": {"app": "gateway", "istio": "ingress"}, "ports": ports}
    router = {"name": "istio-proxy", "args": ["proxy", "router"]}
    labels = {"app": "gateway", "istio": "ingress"}
    pod = m.pod("gw", "istio-0", "127.0.3.9", "west-node-1", labels)
    pod["spec"]["containers"] = [router]
    return [m.core("Service", "gw", "istio-ingress", labels={"app": "gateway"}, spec=spec), pod]


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("C-43", "C-44")
async def test_folders_are_translated_and_compared_offline_as_by_a_server(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, *CLUSTERS) as fleet:
        for cluster in CLUSTERS:
            shutil.copytree(ROOT / "examples" / cluster, fleet.folder(cluster), dirs_exist_ok=True)
        fleet.write("west", "istio.yaml", *istio_gateway())
        made = translate_folder(fleet.root / "clusters", PLACE)
        assert made.findings == ()
        wanted = offline(made.outcome)
        assert {scope for _, scope, _, _ in wanted} == {"", "gw/ingress", "istio"}
        server = await fleet.start_server()
        agents = [await fleet.start_agent(c, server.relay.port) for c in CLUSTERS]
        await until(lambda: relayed(server).keys() == wanted.keys())
        await until(lambda: relayed(server) == wanted, 10, lambda: str(differing(relayed(server), wanted)))
        digests = {(*at, *k): p.digest for at, s in made.outcome.scopes().items() for k, p in s.items()}
        for agent in agents:
            mine = {k[2:]: d for k, d in digests.items() if k[:2] == (agent.cluster, "gw/ingress")}
            await until(lambda agent=agent, mine=mine: effective(agent) == mine)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}") as client:
            told = (await client.get("/snapshots/output")).json()["clusters"]
        said = {
            (cluster, entry["gateway"], type_, entry["name"]): bytes.fromhex(entry["hash"])
            for cluster, shown in told.items()
            for type_, entries in shown["types"].items()
            for entry in entries
        }
        assert said == digests
        config = tmp_path / "contexts.yaml"
        m.write_text(config, f"current: fleet\ncontexts: {{fleet: {{server: '{client.base_url}'}}}}\n")
        live = {name: gateway.resources for name, gateway in server.publisher.scopes("east").items()}
        order = ("--config", str(config), "-q", "-o", "json")
        code, out = await command("diff", "-f", str(fleet.root / "clusters"), "--prune", "cluster", *order)
        assert (code, json.loads(out)["spec"]["empty"]) == (0, True), out
        edited = tmp_path / "www.yaml"
        edited.write_text(
            (ROOT / "examples/mgmt/route-www.yaml").read_text().replace("prefix: /reviews", "prefix: /opinions")
        )
        code, out = await command("diff", "-f", str(edited), *order)
        found = json.loads(out)["spec"]
        assert code == 1
        assert {origin for r in found["resources"] for origin in r["origins"]} == {"RouteTable mgmt/shop/www"}
        assert {r["route"] for r in found["routes"]} == {"reviews-www.shop.mgmt"}
        assert [o["name"] for o in found["objects"]] == ["www"]
        assert {r["request"] for r in found["requests"]} == {
            "ANY www.shop.example/opinions*",
            "ANY www.shop.example/reviews*",
        }
        assert {d.partition(":")[0] for r in found["requests"] for d in r["doors"]} == {
            *(f"{c}/gw/ingress" for c in CLUSTERS),
            "west/gw/istio-ingress",
        }
        assert live == {name: gateway.resources for name, gateway in server.publisher.scopes("east").items()}


def differing(one: Bytes, other: Bytes) -> list[tuple[str, ...]]:
    return sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))
