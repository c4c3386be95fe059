"""Random small configurations and requests that come close to them, from a seed."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from fingerpost.objects import ObjectKey, canonical, trim, type_of
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import Translator, translate
from mgmt.translate.turn import Turn

GATEWAY = "east/gw/ingress"
PLACE = Place(cluster="mgmt", admin_namespace="gloo-mesh")
HOSTS = ("www.shop.example", "api.shop.example", "*.shop.example", "*.api.shop.example", "*-x.shop.example", "*")
NAMES = (
    *("www.shop.example", "api.shop.example", "WWW.shop.example", "v1.api.shop.example", "a-x.shop.example"),
    *("shop.example", "other.example", "x.y.shop.example"),
)
SEGMENTS = ("a", "A", "b", "ab", "a%62", "..", "%2e%2E", ".", "", "a\\b", "a%2Fb", "{", "é")
QUERIES = ("p", "p=", "p=1", "p=2", "q=2", "q=12", "P=1", "", "%70=1")
FIELDS = (("x", "v"), ("x", "V"), ("x", "vv"), ("X", ""), ("y", "v"), ("accept", "v"), ("accept", "w"))
SERVICES = ("one", "two", "three")
NET = "networking.gloo.solo.io/v2"
_ADMIN = "admin.gloo.solo.io/v2"
_SPEC = dict[str, Any]


class Configuration(NamedTuple):
    translator: Translator
    turn: Turn
    objects: dict[ObjectKey, bytes]


class Try(NamedTuple):
    url: str
    target: str  # path and query as sent
    method: str
    headers: tuple[tuple[str, str], ...]


def configuration(seed: int) -> Configuration:
    random = Random(seed)
    objects: dict[ObjectKey, bytes] = {}

    def add(cluster: str, api_version: str, kind: str, namespace: str, name: str, spec: _SPEC, **more: Any) -> None:
        metadata = {"name": name, "namespace": namespace, **more}
        obj = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
        type_ = type_of(api_version, kind)
        objects[ObjectKey(type_, cluster, namespace, name)] = canonical(trim(type_, obj))

    for cluster, namespace in (("mgmt", "gloo-mesh"), ("mgmt", "shop"), ("east", "shop"), ("east", "gw")):
        add(cluster, "v1", "Namespace", "", namespace, {})
    add("mgmt", _ADMIN, "KubernetesCluster", "gloo-mesh", "east", {})
    everywhere = {"workloadClusters": [{"name": "*", "namespaces": [{"name": "*"}]}]}
    add("mgmt", _ADMIN, "Workspace", "gloo-mesh", "all", everywhere)
    for name in SERVICES:
        ports = [{"name": "http", "port": 8000, "targetPort": 8080}]
        add("east", "v1", "Service", "shop", name, {"ports": ports, "selector": {"app": name}}, labels={"app": name})
        add("east", "fingerpost.dev/v1", "ServiceFacts", "shop", name, {"readyPorts": [8000]})
        backing = {"hosts": [f"{name}.mesh"], "services": [{"labels": {"app": name}}]}
        add(
            "mgmt",
            NET,
            "VirtualDestination",
            "shop",
            name,
            {**backing, "ports": [{"number": 80, "targetPort": {"name": "http"}, "protocol": "HTTP"}]},
        )
    policy = {"applyToDestinations": [{"kind": "VIRTUAL_DESTINATION", "selector": {"name": "two"}}], "config": {}}
    add("mgmt", "resilience.policy.gloo.solo.io/v2", "OutlierDetectionPolicy", "shop", "calm", policy)
    gateway_ports = [{"number": n, "target": t} for n, t in ((80, 8080), (443, 8443), (81, 8081))]
    add(
        "east",
        "internal.gloo.solo.io/v2",
        "DiscoveredGateway",
        "gw",
        "ingress",
        {"workloadLabels": {"app": "gateway"}, "ports": gateway_ports},
    )
    for i in range(random.choice((1, 1, 2))):
        listeners = _listeners(random)
        add(
            "mgmt", NET, "VirtualGateway", "shop", f"edge{i}", {"workloads": [{"selector": {}}], "listeners": listeners}
        )
    for i in range(random.randint(1, 4)):
        created = f"2024-01-0{random.randint(1, 3)}T00:00:00Z"
        add("mgmt", NET, "RouteTable", "shop", f"t{i}", _table(random), creationTimestamp=created)
    return Configuration(*translate(PLACE, objects), objects)


def _listeners(random: Random) -> list[_SPEC]:
    plain: _SPEC = {"http": {}, "port": {"number": 80}}
    if random.random() < 0.4:
        plain["allowedRouteTables"] = [{"host": random.choice(HOSTS)} for _ in range(2)]
    out = [plain]
    for host in random.sample(("*.shop.example", "api.shop.example", "*"), random.randint(0, 3)):
        tls = {"mode": "SIMPLE", "secretName": "cert"}
        out.append({"http": {}, "port": {"number": 443}, "tls": tls, "allowedRouteTables": [{"host": host}]})
    if random.random() < 0.6:
        redirected: _SPEC = {"http": {}, "port": {"number": 81}, "httpsRedirect": True}
        redirected["allowedRouteTables"] = [{"host": random.choice(HOSTS)}]
        out.append(redirected)
    return out


def _table(random: Random) -> _SPEC:
    http = [_route(random, i) for i in range(random.randint(1, 7))]
    if random.random() < 0.4:
        http.append({"name": "rest", "directResponse": {"status": 418}})
    gateways = [{"name": "edge0"}, {"name": "edge1"}][: random.choice((1, 2, 2))]
    return {"hosts": random.sample(HOSTS, random.randint(1, 3)), "virtualGateways": gateways, "http": http}


def _route(random: Random, index: int) -> _SPEC:
    matchers = [_matcher(random) for _ in range(random.choice((1, 1, 2)))]
    return {"name": f"r{index}", "matchers": matchers, **_action(random)}


def _action(random: Random) -> _SPEC:
    kind = random.random()
    if kind < 0.15:
        return {"redirect": {"hostRedirect": "else.example", "responseCode": "FOUND"}}
    if kind < 0.3:
        return {"directResponse": {"status": random.choice((200, 204, 503))}}
    destinations: list[_SPEC] = []
    for name in random.sample((*SERVICES, *(("nope",) if random.random() < 0.1 else ())), random.randint(1, 2)):
        if random.random() < 0.5:
            ref = {"name": name, "cluster": "mgmt"}
            destinations.append({"ref": ref, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}})
        else:
            destinations.append({"ref": {"name": name, "cluster": "east"}, "port": {"number": 8000}})
    return {"forwardTo": {"destinations": destinations}}


def _matcher(random: Random) -> _SPEC:
    out: _SPEC = {}
    if random.random() < 0.8:
        value = random.choice(("/a", "/a/b", "/A", "/b", "/ab", "/", "/a//b", "/%7B"))
        kind = random.choice(("prefix", "prefix", "exact", "regex"))
        out["uri"] = {kind: "/a(/b)?" if kind == "regex" else value}
        if kind != "regex" and random.random() < 0.3:
            out["uri"]["ignoreCase"] = True
    if random.random() < 0.3:
        value, regex = random.choice((("", False), ("v", False), ("v*", True)))
        name = random.choice(("x", "x", "y", "accept", "host", "x-forwarded-proto", "x-request-id"))
        header: _SPEC = {"name": name, "value": value, "regex": regex, "invertMatch": random.random() < 0.3}
        out["headers"] = [header]
    if random.random() < 0.25:
        out["queryParameters"] = [
            random.choice(({"name": "p"}, {"name": "p", "value": "1"}, {"name": "q", "value": "1|2", "regex": True}))
        ]
    if random.random() < 0.2:
        out["method"] = random.choice(("GET", "put"))
    if random.random() < 0.15:
        out["port"] = random.choice((80, 443, 81, 9))
    return out


def request(random: Random) -> Try:
    scheme, port = random.choice(
        (("http", 80), ("http", 80), ("https", 443), ("http", 81), ("https", 80), ("http", 443))
    )
    default = (scheme, port) in (("http", 80), ("https", 443))
    path = "/" + "/".join(
        random.choice(SEGMENTS[: random.choice((4, len(SEGMENTS)))]) for _ in range(random.randint(0, 3))
    )
    path = path.replace("é", "%C3%A9")
    query = "&".join(random.choice(QUERIES) for _ in range(random.choice((0, 0, 1, 2))))
    target = f"{path}?{query}" if query else path
    headers = tuple(random.choice(FIELDS) for _ in range(random.choice((0, 0, 1, 2))))
    if random.random() < 0.1:
        headers = (*headers, ("x-forwarded-proto", "https"))
    host = random.choice(NAMES) + ("" if default else f":{port}")
    return Try(f"{scheme}://{host}{target}", target, random.choice(("GET", "GET", "PUT")), headers)
