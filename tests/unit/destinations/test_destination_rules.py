"""Whatever the destination policies settle reaches Istio: the DestinationRules of all kinds of destinations."""

from __future__ import annotations

import pytest
from destination_cases import external, service, settings, virtual
from msgspec.structs import replace

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.destination import External, Port, VirtualHost
from mgmt.translate.emit.istio.destination_rule import emit_external_rules, emit_service_rule, emit_virtual_rule
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted
from mgmt.translate.ir import Destination, DestinationSettings, OutlierDetection
from mgmt.translate.policy import DESTINATION_POLICIES, outlier_detection_policy

SITE = Site(cluster="east", namespace="gw", workspace="gateways")
SERVICE = service(ports="[{port: 80, name: http}]").key
VIRTUAL = virtual("{hosts: [cart.example], services: [{}], ports: [{number: 80, protocol: HTTP}]}").key
EXTERNAL = external("{hosts: [a.corp], ports: [{number: 80, protocol: HTTP}]}", "legacy").key
POLICIES = tuple(sorted(ObjectKey(kind.type, "mgmt", "shop", "calm") for kind in DESTINATION_POLICIES))
KINDS = ("Service", "VirtualDestination", "ExternalService")


def rules(kind: str, found: DestinationSettings) -> Emitted:
    found = replace(found, policies=POLICIES)
    port = Port(number=80, protocol="HTTP", name="http", settings=found)
    if kind == "Service":
        used = Destination(object=SERVICE, host="cart.shop.svc.cluster.local", port=80)
        return emit_service_rule(SITE, SERVICE, [used], [(80, found)])
    if kind == "VirtualDestination":
        host = VirtualHost(parent=VIRTUAL, host="cart.example", workspace="shop", ports=(port,))
        return emit_virtual_rule(SITE, host, [port], None, ["."])
    parts = External(parent=EXTERNAL, hosts=("a.corp",), addresses=(), ports=(port,))
    return emit_external_rules(SITE, parts, parts.hosts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "without", "with_it"), [pytest.param(n, a, b, id=n) for n, a, b in settings()])
def test_whatever_a_policy_settles_is_written(
    kind: str, name: str, without: DestinationSettings, with_it: DestinationSettings
) -> None:
    """Of a part that Istio has no field for, a finding says so."""
    former, latter = rules(kind, without), rules(kind, with_it)
    if "." in name:
        assert former != latter
    else:
        assert former.objects != latter.objects


@pytest.mark.parametrize(("kind", "destination"), [*zip(KINDS, (SERVICE, VIRTUAL, EXTERNAL), strict=True)])
def test_a_longer_ejection_than_istio_knows_is_a_finding_about_the_policy(kind: str, destination: ObjectKey) -> None:
    assert not rules(kind, DestinationSettings(outlier_detection=OutlierDetection(base_ejection_ms=300_000))).problems
    [problem] = rules(kind, DestinationSettings(outlier_detection=OutlierDetection(base_ejection_ms=300_001))).problems
    assert problem.ref.type == outlier_detection_policy.TYPE
    assert problem.path == "spec.config.baseEjectionTime"
    assert problem.message.startswith(f"300.001s counts as 300s for {destination} at Istio gateways")
