"""Manifests that the API server must refuse: one per rule, with the field that its answer names and its words."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from fingerpost.api.base import Duration
from fingerpost.api.decode import decode
from fingerpost.crd.rules import external_endpoint as endpoint
from fingerpost.crd.rules import external_service as service
from fingerpost.crd.rules import kubernetes_cluster as cluster
from fingerpost.crd.rules import outlier_detection_policy as outlier
from fingerpost.crd.rules import virtual_destination as destination
from fingerpost.crd.rules import workspace
from fingerpost.crd.rules import workspace_settings as settings
from fingerpost.crd.rules.common import WHOLE_MILLISECONDS, supported_words
from fingerpost.objects import ObjectKey, canonical, trim, type_of
from fingerpost.problems import Severity
from mgmt.translate.check import check_object
from tests.unit.check.test_check_admission import GATEWAYS, LIMITS, ONE_OFS, TABLES, gateway, table, tls

ADMIN = "admin.gloo.solo.io/v2"
NET = "networking.gloo.solo.io/v2"
RESILIENCE = "resilience.policy.gloo.solo.io/v2"

Case: TypeAlias = tuple[dict[str, Any], str, str]


class Refusal(NamedTuple):
    """`message` empty: the API server's own words for a limit of OpenAPI, which name the field only."""

    manifest: dict[str, Any]
    path: str
    message: str = ""


def manifest(api_version: str, kind: str, spec: dict[str, Any] | None, name: str = "one") -> dict[str, Any]:
    namespace = "gloo-mesh" if kind in ("KubernetesCluster", "Workspace") else "shop"  # where they count
    made = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    return made if spec is None else made | {"spec": spec}


def refusals() -> list[Refusal]:
    return [*_tables_and_gateways(), *_destinations(), *_external(), *_admin(), *_outliers()]


def stored_refusals() -> list[Refusal]:
    """One per rule of ours, named so that all can be in one namespace."""
    found = [r for r in refusals() if r.message and r.manifest["metadata"]["namespace"] == "shop"]
    return [
        r._replace(manifest=r.manifest | {"metadata": {"name": f"old-{n}", "namespace": "shop"}})
        for n, r in enumerate(found)
    ]


def words_of(one: Refusal) -> tuple[str, ...]:
    """Of the rule: in CEL, where they cannot hold the values, and as the command line says them with the values."""
    obj = one.manifest
    key = ObjectKey(type_of(obj["apiVersion"], obj["kind"]), "east", "shop", obj["metadata"]["name"])
    decoded, problems = decode(key, canonical(trim(key.type, obj)))
    found = (*problems, *(check_object(key, decoded) if decoded is not None else ()))
    return (one.message, *(p.message for p in found if p.severity is Severity.INVALID))


def state_of(obj: dict[str, Any]) -> tuple[str, str]:
    """(approval, message)."""
    state = obj.get("status", {}).get("common", {}).get("State", {})
    return state.get("approval", ""), state.get("message", "")


def accepted() -> list[dict[str, Any]]:
    """The counterparts of the refusals: what is just within the rules (R-183)."""
    return [
        *(manifest(NET, "RouteTable", good) for good, *_ in TABLES),
        *(manifest(NET, "VirtualGateway", good) for good, *_ in GATEWAYS),
        *(manifest(NET, kind, good) for kind, good, *_ in LIMITS),
        manifest(RESILIENCE, "OutlierDetectionPolicy", {"config": {"interval": "359999999.999s"}}),
    ]


def _tables_and_gateways() -> list[Refusal]:
    exclude = "{} and {} are set together, but they exclude each other; keep one of them"
    listener = "spec.listeners[0]"
    certificate = {"mode": "SIMPLE", "secretName": "c"}
    tcp = {"destinations": [{"ref": {"name": "web"}}]}
    rewrites = {
        "pathRewrite": "/x",
        "regexRewrite": {"substitution": "x"},
        "hostRewrite": "a.example",
        "autoHostRewrite": True,
    }
    workloads = "workloads are selected by labels only; remove it"
    text: dict[str, Any] = {"uri": {"exact": "/a", "prefix": "/b", "regex": "/c", "suffix": "/d"}}
    action = {"redirect": {"hostRedirect": "b.example"}}
    actions = {
        "forwardTo": tcp,
        "delegate": {},
        "directResponse": {"status": 200},
        "graphql": {"schema": {"name": "a"}},
        **action,
    }
    routes: list[Case] = [
        ({"hosts": ["a_b.example"]}, "spec.hosts[0]", "is no host; write one such as www.example.com or *.example.com"),
        ({"hosts": ["*"]}, "spec.hosts", 'hosts: "*" needs virtualGateways'),
        ({"virtualGateways": [{"namespace": "gw"}]}, "spec.virtualGateways[0].name", ""),
        ({"http": [{"directResponse": {}}]}, "spec.http[0].directResponse.status", ""),
        ({"http": [{**action, "labels": {"a": "b c"}}]}, "spec.http[0].labels.a", ""),
        *(
            (
                {"workloadSelectors": [{"selector": {name: "x"}}]},
                f"spec.workloadSelectors[0].selector.{name}",
                workloads,
            )
            for name in ("name", "namespace", "cluster", "workspace")
        ),
        *(
            (
                {"tcp": [{"forwardTo": {**tcp, name: value}}]},
                f"spec.tcp[0].forwardTo.{name}",
                "tcp routes have no path and no host to rewrite; remove it",
            )
            for name, value in rewrites.items()
        ),
        (
            {"tls": [{}]},
            "spec.tls[0].forwardTo.destinations",
            "At least one destination must be specified.",
        ),
        *(
            ({"http": [{**action, "matchers": [text]}]}, "spec.http[0].matchers[0].uri", exclude.format(one, other))
            for one, other in _pairs(text["uri"])
        ),
        *(
            ({"http": [actions]}, "spec.http[0]", exclude.format(one, other))
            for one, other in _pairs(("forwardTo", "delegate", "redirect", "directResponse", "graphql"))
        ),
    ]
    return [
        *(Refusal(manifest(NET, "RouteTable", bad), path, message) for _, bad, path, message in TABLES),
        *(Refusal(manifest(NET, "VirtualGateway", bad), path, message) for _, bad, path, message in GATEWAYS),
        *(Refusal(manifest(NET, kind, bad), path) for kind, _, bad, path in LIMITS),
        *(Refusal(manifest(NET, "RouteTable", spec), path, message) for spec, path, message in ONE_OFS),
        *(Refusal(manifest(NET, "RouteTable", table(action) | spec), path, words) for spec, path, words in routes),
        Refusal(manifest(NET, "RouteTable", None), "spec"),
        Refusal(manifest(NET, "VirtualGateway", None), "spec"),
        Refusal(
            manifest(NET, "VirtualGateway", gateway({"http": {}, "tls": certificate, "httpsRedirect": True})),
            listener,
            exclude.format("tls", "httpsRedirect"),
        ),
        Refusal(
            manifest(NET, "VirtualGateway", gateway({"http": {}, "tcp": {}})), listener, exclude.format("http", "tcp")
        ),
        Refusal(
            manifest(NET, "VirtualGateway", tls(secretName="c", files={"serverCert": "/c"})),
            f"{listener}.tls",
            "secretName and files are set together, but they exclude each other; keep one of them",
        ),
        *(
            Refusal(manifest(NET, "VirtualGateway", gateway({"http": {}, name: [{}]})), f"{listener}.{name}[0].host")
            for name in ("allowedRouteTables", "exposedExternalServices")
        ),
    ]


def _pairs(names: Any) -> list[tuple[str, str]]:
    return [(one, other) for i, one in enumerate(names) for other in list(names)[i + 1 :]]


def _destinations() -> list[Refusal]:
    port: dict[str, Any] = {"number": 80, "protocol": "HTTP"}
    good = {"hosts": ["cart.global"], "ports": [port]}
    modes: dict[str, Any] = {"auto": {}, "sniRouting": {}, "tlsTermination": {}}
    cases: list[Case] = [
        ({"hosts": []}, "spec", destination.STANDS_FOR_NOTHING),
        (
            {"hosts": ["*.global"]},
            "spec.hosts[0]",
            "is no full host name; write one such as cart.global, without wildcard",
        ),
        ({"hosts": ["a.b", "A.b"]}, "spec.hosts", "a host is listed twice; remove one of them"),
        ({"ports": []}, "spec.ports", ""),
        ({"ports": [port, port]}, "spec.ports", "a number is used by two ports; every number must differ"),
        ({"ports": [port | {"number": 0}]}, "spec.ports[0].number", ""),
        ({"ports": [port | {"protocol": "UDP"}]}, "spec.ports[0].protocol", ""),
        ({"ports": [{"number": 80}]}, "spec.ports[0].protocol", ""),
        (
            {"ports": [port | {"targetPort": {"number": 1}}]},
            "spec.ports",
            f"targetPort {destination.TARGET_OF_NOTHING}",
        ),
        *(
            (
                {"clientMode": modes},
                "spec.clientMode",
                f"{one} and {other} are set together, but they exclude each other; keep one of them",
            )
            for one, other in _pairs(modes)
        ),
    ]
    return [
        Refusal(manifest(NET, "VirtualDestination", None), "spec"),
        *(Refusal(manifest(NET, "VirtualDestination", good | bad), path, words) for bad, path, words in cases),
    ]


def _external() -> list[Refusal]:
    port: dict[str, Any] = {"number": 80, "protocol": "HTTP"}
    other = {"number": 81, "protocol": "HTTP"}
    egress: dict[str, Any] = {"egressGatewayRoutes": {}}
    good = {"hosts": ["a.example"], "ports": [port]}
    istio = {"mode": "ISTIO_MUTUAL", "clientCertificate": "/a", "privateKey": "/b", "caCertificates": "/c"}
    where = "spec.ports[0].clientsideTls"
    services: list[Case] = [
        ({"addresses": ["192.0.2.1"]}, "spec", service.BOTH),
        ({"hosts": []}, "spec", service.NEITHER),
        ({"hosts": ["*a.example"]}, "spec.hosts[0]", "is no host name; write one such as example.com or *.example.com"),
        (
            {"hosts": [], "addresses": ["192.0.2.0/33"]},
            "spec.addresses[0]",
            "is neither an IP nor a range such as 192.0.2.0/24",
        ),
        ({"ports": [port, port]}, "spec.ports", "a number is used by two ports; every number must differ"),
        (
            {"ports": [port | {"name": "a"}, other | {"name": "a"}]},
            "spec.ports",
            "a name is used by two ports; every name must differ",
        ),
        (
            {"ports": [port | egress, other | {"egressGatewayRoutes": {"portMatch": 80}}]},
            "spec.ports",
            "a portMatch is used by two ports; every portMatch must differ",
        ),
        (
            {"ports": [port | {"targetPort": {"name": "web"}}]},
            "spec.ports",
            "a name as targetPort needs ExternalEndpoints, but selector is empty; use a number",
        ),
        (
            {"hosts": [], "addresses": ["192.0.2.1"], "ports": [port | egress]},
            "spec.ports",
            "egressGatewayRoutes needs hosts; a service known by addresses only cannot be reached through a gateway",
        ),
        (
            {"ports": [port | egress | {"protocol": "TCP"}]},
            "spec.ports[0].egressGatewayRoutes",
            "egressGatewayRoutes needs protocol HTTP, HTTP2 or HTTPS",
        ),
        (
            {"ports": [port | {"egressGatewayRoutes": {"virtualGatewayRefs": [{}]}}]},
            "spec.ports[0].egressGatewayRoutes.virtualGatewayRefs[0].name",
            "",
        ),
        (
            {"ports": [port | {"clientsideTls": {"mode": "MUTUAL", "privateKey": "/a"}}]},
            where,
            "mode MUTUAL needs clientCertificate and privateKey; set both files, or credentialName",
        ),
        *(
            (
                {"ports": [port | {"clientsideTls": istio}]},
                f"{where}.{name}",
                f"mode ISTIO_MUTUAL brings its own certificates; remove {name}",
            )
            for name in ("clientCertificate", "privateKey", "caCertificates")
        ),
    ]
    endpoints: list[Case] = [
        ({"address": "*.example.com"}, "spec.address", endpoint.ADDRESS),
        ({"address": "unix://run/a.sock"}, "spec.address", endpoint.ADDRESS),
        ({"address": ""}, "spec.address", ""),
        ({"ports": [{"name": "a"}]}, "spec.ports[0].number", ""),
        (
            {"ports": [{"number": 1}, {"number": 2, "name": "a"}]},
            "spec.ports",
            "with several ports each needs a name",
        ),
        (
            {"ports": [{"number": 1, "name": "a"}, {"number": 2, "name": "a"}]},
            "spec.ports",
            "a name is used by two ports; every name must differ",
        ),
    ]
    return [
        Refusal(manifest(NET, "ExternalService", None), "spec"),
        Refusal(manifest(NET, "ExternalEndpoint", None), "spec"),
        *(Refusal(manifest(NET, "ExternalService", good | bad), path, words) for bad, path, words in services),
        *(
            Refusal(manifest(NET, "ExternalEndpoint", {"address": "192.0.2.1"} | bad), path, words)
            for bad, path, words in endpoints
        ),
    ]


def _admin() -> list[Refusal]:
    addresses = "spec.options.eastWestGateways[0].hostInfoOverrides[0]"

    def override(**info: Any) -> dict[str, Any]:
        return {"options": {"eastWestGateways": [{"hostInfoOverrides": [info]}]}}

    return [
        Refusal(
            manifest(ADMIN, "KubernetesCluster", {"clusterDomain": "*.local"}), "spec.clusterDomain", cluster.DOMAIN
        ),
        Refusal(
            manifest(ADMIN, "Workspace", {"workloadClusters": [{"name": "*"}]}),
            "spec.workloadClusters",
            workspace.NOTHING_SELECTED,
        ),
        Refusal(
            manifest(ADMIN, "WorkspaceSettings", {"options": {"federation": {"hostSuffix": "*.global"}}}),
            "spec.options.federation.hostSuffix",
            settings.SUFFIX,
        ),
        Refusal(manifest(ADMIN, "WorkspaceSettings", override(port=1)), f"{addresses}.addr"),
        Refusal(manifest(ADMIN, "WorkspaceSettings", override(addr="192.0.2.1")), f"{addresses}.port"),
        Refusal(manifest(ADMIN, "WorkspaceSettings", override(addr="192.0.2.1", port=65536)), f"{addresses}.port"),
        *(
            Refusal(manifest(ADMIN, "KubernetesCluster", None, name), "metadata.name", cluster.NAME)
            for name in ("Prod_1", "1a", "a.b", "a-", "x" * 64)
        ),
    ]


def _outliers() -> list[Refusal]:
    configs: list[Case] = [
        ({"consecutiveErrors": -1}, "consecutiveErrors", ""),
        ({"consecutiveErrors": 0}, "consecutiveErrors", ""),
        ({"consecutiveGatewayErrors": 2**31}, "consecutiveGatewayErrors", ""),
        ({"maxEjectionPercent": 101}, "maxEjectionPercent", ""),
        ({"interval": "soon"}, "interval", ""),
        *(
            ({"interval": text}, "interval", Duration.TOO_LONG)
            for text in ("100000h", "-360000000s", "99999h60m", "876000000h")
        ),
        *(({"interval": text}, "interval", WHOLE_MILLISECONDS) for text in ("0s", "-1s", "1.0005s", "10us")),
        ({"baseEjectionTime": "0.5ms"}, "baseEjectionTime", WHOLE_MILLISECONDS),
    ]
    return [
        Refusal(
            manifest(RESILIENCE, "OutlierDetectionPolicy", {"applyToDestinations": [{}]}),
            "spec.applyToDestinations[0].kind",
            supported_words(outlier.SUPPORTED),
        ),
        *(
            Refusal(manifest(RESILIENCE, "OutlierDetectionPolicy", {"config": bad}), f"spec.config.{name}", words)
            for bad, name, words in configs
        ),
    ]
