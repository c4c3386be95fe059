"""Random configurations at Istio gateways: a request takes the route that `explain` names for that gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
from explain_envoy import Answer, Closed, Gateways
from listener_certificates import issue
from random_world import PLACE, SERVICES, Configuration, Try, configuration, request
from test_explain_agrees import agree, explained

from fingerpost.objects import ObjectKey
from mgmt.explain import parse_request
from mgmt.explain.answer import Verdict
from tests.fleet.fleet_network import backend, until
from tests.istio_world import IstioWorld
from tests.kube.api_server import running_api_server
from tests.kube.istio_listeners import gateway_token, secret_of, secret_rights
from tests.kube.istiod import IstioGateway, Object, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, endpoint_slice, namespace

_CONFIGURATIONS = 6
_REQUESTS = 60  # for each
_PORTS = {80: 8080, 443: 8443, 81: 8081}


def _port(index: int, listening: int) -> int:
    return 20000 + 10 * index + sorted(_PORTS.values()).index(listening)


def _apart(index: int, obj: Object) -> Object:
    """Configurations share a cluster, so each has names, ports and labels of its own; a route says which it is."""
    if obj["kind"] not in ("Gateway", "VirtualService"):
        return obj
    obj = json.loads(json.dumps(obj).replace('"app": "gateway"', f'"app": "gateway-{index}"'))
    obj["metadata"]["name"] = f"c{index}-{obj['metadata']['name']}"
    spec = obj["spec"]
    for server in spec.get("servers", ()):
        server["port"]["number"] = _port(index, server["port"]["number"])
    if "gateways" in spec:
        spec["gateways"] = [f"c{index}-{name}" for name in spec["gateways"]]
    for route in spec.get("http", ()):
        route["headers"] = {"response": {"set": {"x-route": route["name"], "x-cluster": "%UPSTREAM_CLUSTER%"}}}
        for match in route["match"]:
            if "port" in match:
                match["port"] = _port(index, match["port"])
            if "gateways" in match:
                match["gateways"] = [f"c{index}-{name}" for name in match["gateways"]]
    return obj


def _at_istio(seed: int) -> Configuration:
    one, world = configuration(seed), IstioWorld(PLACE)
    world.feed(one.objects.items())
    return one._replace(translator=world.translator)


def _emitted(one: Configuration) -> list[tuple[str, Object]]:
    """With the day on which the user's object was made."""
    out = []
    for _, obj in sorted(one.translator.istio.objects.items.items()):
        out.append((_created(one, obj.parents[0]), json.loads(obj.body)))
    return out


def _created(one: Configuration, key: ObjectKey) -> str:
    return str(json.loads(one.objects[key])["metadata"].get("creationTimestamp", ""))


def _pods() -> list[Object]:
    out: list[Object] = []
    for i, name in enumerate(SERVICES):
        address, meta = f"192.0.2.{20 + i}", {"name": name, "namespace": "shop", "labels": {"app": name}}
        port = {"name": "http", "port": 8000, "targetPort": 8080}
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        pod = {"containers": [{"name": "app", "image": "app"}], "nodeName": "node"}
        entry = endpoint_slice("shop", name, 8080, address)
        entry["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": name, "namespace": "shop"}
        out += [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": {"ports": [port], "selector": {"app": name}},
            },
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod, "status": status},
            entry,
        ]
    return out


def _done(gateways: Gateways, index: int, tried: Try) -> Answer | None:
    asked = parse_request(tried.url, tried.method, tried.headers)
    sni = asked.sni if asked.scheme == "https" else ""
    port = _PORTS[asked.port]
    try:
        done = gateways.ask(index, port, sni, asked.authority, tried.target, tried.method, tried.headers)
    except Closed:
        return None
    return done._replace(cluster=done.cluster.rstrip(";").removeprefix("-"))  # istiod ends names with ;


async def _complete(gateway: IstioGateway, ports: set[int]) -> bool:
    return ports <= await gateway.listeners()


@pytest.mark.spec("R-1", "R-47", "R-59", "R-67")
async def test_istio_does_what_explain_says(tmp_path: Path) -> None:
    configurations = [_at_istio(seed) for seed in range(_CONFIGURATIONS)]
    emitted = [(made, i, _apart(i, obj)) for i, one in enumerate(configurations) for made, obj in _emitted(one)]
    seen: Counter[Verdict] = Counter()
    different = []
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_api_server("one", tmp_path / "server"))
        kube = await stack.enter_async_context(KubeClient(server))
        for i in range(len(SERVICES)):
            await stack.enter_async_context(backend(f"192.0.2.{20 + i}", "pod", 8080))
        own = issue("cert")
        secret = secret_of("cert", **{"tls.crt": own.pem, "tls.key": own.key_pem})
        await kube.apply(*(namespace(n) for n in ("gw", "shop")), *secret_rights(), secret, *_pods())
        environment = {"XDS_AUTH_PLAINTEXT": "true"}
        istiod = await stack.enter_async_context(running_istiod(server, kube, "east", environment=environment))
        for day in sorted({made for made, _, _ in emitted}):
            # Istio orders by age in whole seconds: what was made earlier is to be older.
            second = int(time.time())
            await kube.apply(*(obj for made, _, obj in emitted if made == day))
            await until(lambda second=second: int(time.time()) > second, why="the next second")
        token = await gateway_token(kube)
        ports: dict[str, int] = {}
        for i in range(_CONFIGURATIONS):
            gateway = IstioGateway(istiod, Proxy(f"192.0.2.{200 + i}", {"app": f"gateway-{i}"}, token=token))
            stack.callback(gateway.close)
            servers: list[Any] = [s for _, at, o in emitted if at == i for s in o["spec"].get("servers", ())]
            wanted = {s["port"]["number"] for s in servers}
            await until(lambda g=gateway, w=wanted: _complete(g, w), 30, gateway.said)
            ports |= {f"{i}/0.0.0.0_{p}": _port(i, p) for p in _PORTS.values() if _port(i, p) in wanted}
        gateways = Gateways(ports)
        for index, one in enumerate(configurations):
            random = Random(1000 + index)
            for tried in (request(random) for _ in range(_REQUESTS)):
                said = explained(one, tried)
                done = await asyncio.to_thread(_done, gateways, index, tried)
                if not agree(said, done):
                    different.append((index, tried, done, said.verdict, said.route.name if said.route else said.status))
                seen[said.verdict] += 1
    assert not different, "\n".join(map(str, (len(different), *different[:12])))
    assert seen[Verdict.ROUTE] >= 50, seen
