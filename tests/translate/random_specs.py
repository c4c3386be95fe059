"""Random specs of each kind, right and wrong ones alike."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

CLUSTERS = ("mgmt", "east", "west")
WORKLOADS = ("east", "west", "north")
NAMESPACES = ("shop", "pay", "gw")
WORKSPACES = ("one", "two", "three")
HOSTS = ("www.shop.example", "api.shop.example", "*.shop.example", "*")
MESH_HOSTS = (
    "cart.mesh",
    "pay.mesh",
    "more.mesh",
    "out.mesh",
    "cart.shop.svc.cluster.local",
    "cart.shop.svc.east.global",
)
APPS = ("cart", "pay")

Json = dict[str, Any]


def some(random: Random, chance: float = 0.5) -> bool:
    return random.random() < chance


# ---------------------------------------------------------------- workspaces


def cluster(random: Random) -> Json:
    return {"clusterDomain": "other.local"} if some(random, 0.2) else {}


def nothing(_: Random) -> Json:
    return {}


def _namespaces(random: Random) -> list[Json]:
    shapes: list[Json] = [{"name": "*"}, *({"name": n} for n in NAMESPACES), {"labels": {"team": "a"}}]
    chosen = random.sample(shapes, random.randint(1, 3))
    return [{**shape, "configEnabled": False} if some(random, 0.1) else shape for shape in chosen]


def home(namespace: str) -> Callable[[Random], Json]:
    """A workspace that mostly is one namespace of every cluster, or all of them, so that most of a fleet works."""

    def spec(random: Random) -> Json:
        if some(random, 0.15):
            return _workspace(random)
        return {"workloadClusters": [{"name": "*", "namespaces": [{"name": "*" if some(random, 0.3) else namespace}]}]}

    return spec


def _workspace(random: Random) -> Json:
    shapes: list[Json] = [
        {"name": "*"},
        {"name": "*"},
        {},
        *({"name": c} for c in CLUSTERS),
        {"selector": {"team": "a"}},
    ]
    chosen = random.sample(shapes, random.randint(1, 3))
    return {"workloadClusters": [{**shape, "namespaces": _namespaces(random)} for shape in chosen]}


def _shared(random: Random) -> Json:
    if some(random, 0.8):
        return {"workspaces": [{"name": "*"}]}
    whom: list[Json] = [{"name": "*"}, *({"name": w} for w in WORKSPACES), {"selector": {"team": "a"}}]
    out: Json = {"workspaces": random.sample(whom, random.randint(1, 2))}
    if some(random, 0.4):
        what: list[Json] = [{"kind": k} for k in ("SERVICE", "ROUTE_TABLE", "VIRTUAL_DESTINATION", "EXTERNAL_SERVICE")]
        what += [{"kind": "ALL"}, {"labels": {"team": "b"}}, {"name": "cart"}, {"namespace": "shop"}]
        out["resources"] = random.sample(what, random.randint(1, 3))
    return out


def _options(random: Random) -> Json:
    out: Json = {}
    if some(random, 0.3):
        out["eastWestGateways"] = [{"selector": {}}]
    elif some(random):
        selector: Json = random.choice(({}, {"selector": {}}, {"selector": {"labels": {"istio": "eastwestgateway"}}}))
        ports: Json = random.choice(({}, {"tlsTerminationPort": {"number": 443}}, {"port": {"name": "https"}}))
        out["eastWestGateways"] = [{**selector, **ports}]
        if some(random, 0.2):
            out["eastWestGateways"][0]["hostInfoOverrides"] = [{"addr": "192.0.2.7", "port": 9443}]
    if some(random):
        out["virtualDestClientMode"] = {random.choice(("auto", "sniRouting", "tlsTermination")): {}}
    if some(random):
        federation: Json = {"enabled": some(random, 0.9)}
        if some(random, 0.3):
            federation["hostSuffix"] = random.choice(("global", "mesh.example"))
        if some(random, 0.5):
            federation["serviceSelector"] = [{"cluster": random.choice(WORKLOADS)}, {"name": random.choice(APPS)}]
        if some(random, 0.3):
            federation["ports"] = [{"name": "http"}]
        out["federation"] = federation
    return out


def settings(random: Random) -> Json:
    """Never an invalid one: of settings alone the last valid version counts, which no rebuild can know (W-37)."""
    out: Json = {"options": _options(random)} if some(random) else {}
    for way in ("importFrom", "exportTo"):
        if some(random, 0.9):
            out[way] = [_shared(random) for _ in range(random.randint(1, 2))]
    return out


# ---------------------------------------------------------------- facts


def service(random: Random) -> Json:
    if some(random, 0.1):
        return {"type": "ExternalName", "externalName": "out.example", "ports": [{"name": "http", "port": 8000}]}
    ports = [{"name": "http", "port": 8000, "targetPort": 8080}, {"name": "grpc", "port": 9000, "appProtocol": "grpc"}]
    return {"ports": ports[: random.choice((1, 2, 2))], "selector": {"app": random.choice(APPS)}}


def facts(random: Random) -> Json:
    out: Json = {"readyPorts": random.choice(([], [8000], [8000, 9000])), "serviceAccounts": [random.choice(APPS)]}
    out["allSidecars"] = some(random)
    if some(random, 0.3):
        out["labels"] = [{"version": v} for v in random.sample(("v1", "v2"), random.randint(1, 2))]
    if some(random, 0.3):
        out["region"] = random.choice(("r1", "r2"))
    return out


def gateway(random: Random) -> Json:
    targets = (
        (15443, "tls", 15443),
        (80, "http2", 8080),
        (81, "alt", random.choice((8080, 8081))),
        (443, "https", random.choice((8443, 0))),
    )
    ports = [{"number": n, "name": name, "target": t} for n, name, t in targets if some(random, 0.95)]
    out: Json = {"ports": ports, "serviceType": random.choice(("LOAD_BALANCER", "CLUSTER_IP"))}
    out["workloadLabels"] = {"app": "gateway", "istio": "eastwestgateway" if some(random, 0.7) else "ingress"}
    out["serviceLabels"] = {"istio": random.choice(("eastwestgateway", "ingressgateway"))}
    out["externalAddresses"] = [{"address": a} for a in ("192.0.2.1", "gw.example") if some(random, 0.7)]
    out["serviceAccounts"] = ["gw"]
    if some(random, 0.1):
        out["gatewayKind"] = "istio"
    return out


# ---------------------------------------------------------------- gateways and tables


def _listener(random: Random) -> Json:
    port: Json = random.choice(({"number": 80}, {"number": 80}, {"name": "http2"}, {"number": 81}, {"number": 443}))
    out: Json = {"http": {}, "port": port}
    if port == {"number": 443} or some(random, 0.1):
        mode = random.choice(("SIMPLE", "SIMPLE", "MUTUAL", "PASSTHROUGH"))
        out["tls"] = {"mode": mode, "secretName": random.choice(("cert", "other"))}
    elif some(random, 0.2):
        out["httpsRedirect"] = True
    if some(random, 0.6):
        allowed: Json = {"host": random.choice((*HOSTS, "shop/*"))}
        if some(random, 0.3):
            allowed["selector"] = {"labels": {"team": random.choice(("a", "b"))}}
        out["allowedRouteTables"] = [allowed]
    return out


def virtual_gateway(random: Random) -> Json:
    listeners = [_listener(random) for _ in range(random.randint(1, 4))]
    workloads: list[Json] = [
        {"selector": {"labels": {"app": "gateway"}}},
        {"selector": {"cluster": "east"}},
        {"kind": "VM"},
    ]
    workloads += [{"selector": {}}] * 6
    if some(random, 0.8):
        listeners = [{"http": {}, "port": {"number": 80}}, *listeners[1:]]
    return {"listeners": listeners, **({"workloads": [random.choice(workloads)]} if some(random, 0.8) else {})}


def _destination(random: Random) -> Json:
    out: Json = {"ref": {"name": random.choice(APPS), "namespace": "shop" if some(random, 0.9) else "pay"}}
    if some(random, 0.9):
        out["ref"]["cluster"] = random.choice(CLUSTERS) if some(random, 0.9) else "nowhere"
    kind = random.choice((*["VIRTUAL_DESTINATION"] * 4, "SERVICE", "EXTERNAL_SERVICE"))
    out["kind"] = kind
    if some(random, 0.9):
        out["port"] = {"number": 8000 if kind == "SERVICE" else 80}
    if some(random, 0.2):
        out["subset"] = {"version": random.choice(("v1", "v2"))}
    if some(random, 0.3):
        out["weight"] = random.randint(1, 9)
    return out


def _forward(random: Random) -> Json:
    out: Json = {"destinations": [_destination(random) for _ in range(random.choice((1, 1, 2)))]}
    if some(random, 0.2):
        out.update(random.choice(({"pathRewrite": "/new"}, {"hostRewrite": "new.example"})))
    elif some(random, 0.1):
        out["autoHostRewrite"] = True
    return out


def _action(random: Random) -> Json:
    kind = random.random()
    if kind < 0.6:
        return {"forwardTo": _forward(random)}
    if kind < 0.75:
        return {"redirect": {"hostRedirect": "else.example", "responseCode": "FOUND"}}
    if kind < 0.9:
        return {"directResponse": {"status": random.choice((200, 503, 101))}}
    return random.choice(({}, {"delegate": {"routeTables": [{"namespace": "shop"}]}}, {"graphql": {}}))


def _matcher(random: Random) -> Json:
    uris: list[Json] = [{"prefix": "/a"}, {"exact": "/b"}, {"regex": "/c.*"}, {"prefix": "/d"}]
    uris.append(random.choice(({"prefix": "/"}, {"prefix": "/e"}, {"regex": "("})))
    out: Json = {"uri": random.choice(uris)}
    if some(random, 0.2):
        out["headers"] = [{"name": "x", "value": random.choice(("", "v"))}]
    if some(random, 0.2):
        out["port"] = random.choice((80, 81, 443))
    return out


def _route(random: Random, index: int) -> Json:
    matchers = [_matcher(random) for _ in range(random.choice((1, 1, 1, 1, 2, 0)))]
    return {"name": f"r{index}", "matchers": matchers, **_action(random)}


def table(random: Random) -> Json:
    if some(random, 0.04):
        return {"hosts": "www.shop.example"}  # the wrong type
    gateways: list[Json] = [{"name": "edge", "namespace": "gw", "cluster": c} for c in ("mgmt", "east")]
    gateways += [{"name": "inner", "namespace": "shop", "cluster": "mgmt"}, {"name": "edge", "namespace": "gw"}]
    out: Json = {"virtualGateways": random.sample(gateways, random.randint(1, 3))}
    if some(random, 0.95):
        out["hosts"] = random.sample(HOSTS, random.choice((1, 1, 1, 2, 3)))
    if some(random, 0.95):
        out["http"] = [_route(random, i) for i in range(random.randint(1, 5))]
    if some(random, 0.05):
        out["colour"] = "red"  # an unknown field
    return out


# ---------------------------------------------------------------- destinations


def named(name: str) -> Callable[[Random], Json]:
    """A VirtualDestination that mostly is in order."""
    port = {"number": 80, "protocol": "HTTP", "targetPort": {"name": "http"}}
    usual = {"hosts": [f"{name}.mesh"], "services": [{"labels": {"app": name.partition("-")[0]}}], "ports": [port]}
    return lambda random: usual if some(random, 0.6) else _virtual_destination(random)


def _virtual_destination(random: Random) -> Json:
    selectors: list[Json] = [{"labels": {"app": a}} for a in APPS]
    selectors += [{"namespace": "shop"}, {"cluster": "east"}, {"workspace": "two"}, {"name": "cart"}]
    out: Json = {"services": random.sample(selectors, random.choice((0, 1, 1, 1, 2)))}
    if some(random, 0.85):
        out["hosts"] = random.sample(MESH_HOSTS, random.choice((1, 1, 2)))
    targets: list[Json] = [{"targetPort": {"name": "http"}}, {"targetPort": {"number": 8000}}, {}]
    out["ports"] = [
        {"number": 80, "protocol": random.choice(("HTTP", "HTTP", "GRPC", "TCP")), **random.choice(targets)}
    ]
    if some(random, 0.2):
        out["ports"].append({"number": 81, "protocol": "HTTP", "targetPort": {"number": 9000}})
    if some(random, 0.2):
        out["externalServices"] = [{"labels": {"team": random.choice(("a", "b"))}}]
    if some(random, 0.3):
        out["clientMode"] = {random.choice(("auto", "sniRouting", "tlsTermination")): {}}
    return out


def external_service(random: Random) -> Json:
    port: Json = {"number": 80, "name": "http", "protocol": random.choice(("HTTP", "HTTPS"))}
    if some(random, 0.3):
        port["clientsideTls"] = {"mode": random.choice(("SIMPLE", "DISABLE", "MUTUAL")), "sni": "x.example"}
    out: Json = {"hosts": [random.choice((*MESH_HOSTS, "a.example", "b.example", "c.example"))], "ports": [port]}
    if some(random):
        out["selector"] = {"app": random.choice(APPS)}
    elif some(random, 0.3):
        out = {"addresses": ["192.0.2.9"], "ports": [port]}
    return out


def external_endpoint(random: Random) -> Json:
    address = random.choice(("192.0.2.20", "far.example", "unix:///run/x.sock"))
    return {"address": address, "ports": [{"name": "http", "number": random.choice((8000, 8001))}]}


def outlier_detection_policy(random: Random) -> Json:
    kind = random.choice(("VIRTUAL_DESTINATION", "VIRTUAL_DESTINATION", "EXTERNAL_SERVICE", "SERVICE"))
    target: Json = {"kind": kind}
    if some(random, 0.6):
        selectors: list[Json] = [
            {"name": "cart"},
            {"labels": {"team": "a"}},
            {"namespace": "shop"},
            {"workspace": "one"},
        ]
        target["selector"] = random.choice(selectors)
    if some(random, 0.3):
        target["port"] = {"number": random.choice((80, 81))}
    config: Json = {"consecutiveErrors": random.randint(1, 9)} if some(random) else {"maxEjectionPercent": 0}
    if some(random, 0.2):
        config["baseEjectionTime"] = "400s"  # more than Istio gateways know
    return {"applyToDestinations": [target], "config": config}
