"""Which Services stand behind a VirtualDestination, and who may bear a host."""

from __future__ import annotations

import itertools

import pytest
from destination_cases import decoded, endpoint, external, service, virtual

from fingerpost.api.networking.virtual_destination import VirtualDestination
from fingerpost.objects import ObjectKey
from fingerpost.problems import Reporter, Severity
from mgmt.translate.check.virtual_destination import check
from mgmt.translate.routing.destination_views import VIRTUAL_DESTINATION
from mgmt.translate.routing.external_services import as_backing, resolve_external
from mgmt.translate.routing.virtual_destinations import (
    Backing,
    claim_hosts,
    clash_problem,
    host_claims,
    select_backing,
    service_name_problems,
)

BY_LABEL = "{hosts: [cart.example], services: [{labels: {app: cart}}], ports: [{number: 80, protocol: HTTP%s}]}"


def owner(key: ObjectKey) -> str:
    return key.namespace


def chosen(backing: Backing) -> list[tuple[str, str]]:
    return [(b.key.cluster, b.key.name) for b in backing.services]


@pytest.mark.spec("D-33")
def test_the_older_of_two_in_a_cluster_is_used_and_its_end_promotes_the_younger() -> None:
    vd = virtual(BY_LABEL.replace("{labels: {app: cart}}", "{}") % "")
    old = service("cart-a", created="2026-01-01T00:00:00Z")
    young = service("cart-b", created="2026-02-01T00:00:00Z")
    for order in itertools.permutations([old, young]):
        backing = select_backing(vd, order, (), owner)
        assert chosen(backing) == [("east", "cart-a")]
        assert [p.severity for p in backing.problems] == [Severity.WARNING]
        assert "shop/cart-b ignored" in backing.problems[0].message
    after = select_backing(vd, [young], (), owner)
    assert chosen(after) == [("east", "cart-b")]
    assert after.problems == ()


@pytest.mark.spec("D-34")
def test_a_cluster_without_the_port_adds_nothing_and_is_named() -> None:
    services = [service(), service(cluster="west", ports="[{port: 8080, name: http}]")]
    backing = select_backing(virtual(BY_LABEL % ""), services, (), owner)
    assert chosen(backing) == [("east", "cart")]
    (problem,) = backing.problems
    assert problem.severity is Severity.WARNING
    assert "in cluster west has no port 80" in problem.message


@pytest.mark.spec("D-35")
def test_target_port_by_name_may_differ_from_cluster_to_cluster() -> None:
    services = [service(), service(cluster="west", ports="[{port: 8080, name: http}, {port: 80, name: other}]")]
    backing = select_backing(virtual(BY_LABEL % ", targetPort: {name: http}"), services, (), owner)
    assert [(b.key.cluster, b.port(80)) for b in backing.services] == [("east", 80), ("west", 8080)]
    assert backing.problems == ()


@pytest.mark.spec("D-82")
def test_count_is_over_all_clusters() -> None:
    services = [service(cluster=c) for c in ("east", "north", "west")]
    assert select_backing(virtual(BY_LABEL % ""), services, (), owner).selected == 3


@pytest.mark.spec("D-46")
def test_selector_of_another_workspace_takes_nothing_of_the_own() -> None:
    vd = virtual(BY_LABEL.replace("{labels:", "{workspace: data, labels:") % "")
    backing = select_backing(vd, [service()], (), owner)
    assert backing.services == ()
    assert [p.message for p in backing.problems] == ["no backing services selected"]
    assert chosen(select_backing(vd, [service(namespace="data")], (), owner)) == [("east", "cart")]


@pytest.mark.spec("D-31", "D-32")
@pytest.mark.parametrize(
    ("spec", "broken"),
    [
        ("{hosts: ['*.x.com'], ports: [{number: 80, protocol: HTTP}]}", True),
        ("{hosts: [x.com], ports: []}", True),
        ("{hosts: [x.com], ports: [{number: 80, protocol: HTTP, targetPort: {number: 1}}]}", True),
        ("{ports: [{number: 80, protocol: HTTP}]}", True),
        ("{hosts: [x.com], ports: [{number: 80, protocol: ftp}]}", True),
        ("{hosts: [x.com], ports: [{number: 80, protocol: gRPC}]}", False),
    ],
)
def test_refused_shapes(spec: str, broken: bool) -> None:
    report = Reporter(ObjectKey(VIRTUAL_DESTINATION, "east", "shop", "x"))
    check(decoded(f"metadata: {{}}\nspec: {spec}", VirtualDestination), report)
    assert report.broken is broken


@pytest.mark.spec("D-43")
def test_the_older_holds_the_host_until_it_goes() -> None:
    old = virtual(BY_LABEL % "", "old", created="2026-01-01T00:00:00Z")
    new = virtual(BY_LABEL % "", "new", created="2026-01-02T00:00:00Z")
    claims = [*host_claims(new), *host_claims(old)]
    settled = claim_hosts(claims)
    assert settled == claim_hosts(reversed(claims))
    assert settled.holders == {"cart.example": old.key}
    ((claim, holder),) = settled.lost.items()
    problem = clash_problem(claim, holder)
    assert problem.ref == new.key
    assert problem.severity is Severity.INVALID
    assert problem.message == "host cart.example already used by VirtualDestination old.shop.east"
    assert claim_hosts(host_claims(new)).lost == {}


def test_no_hosts_gives_a_generated_one() -> None:
    vd = virtual("{services: [{}], ports: [{number: 80, protocol: HTTP}]}", workspace="team")
    assert vd.hosts == ("cart.shop.team.vd.internal",)


def test_a_host_that_reads_like_a_service_is_warned_about() -> None:
    vd = virtual("{hosts: [a.b.svc.cluster.local, a.example], ports: [{number: 80, protocol: HTTP}]}")
    problems = service_name_problems(vd, ["cluster.local"])
    assert [(p.path, p.severity) for p in problems] == [("spec.hosts[0]", Severity.WARNING)]


@pytest.mark.spec("D-73")
def test_external_services_add_an_endpoint_per_host_or_per_endpoint() -> None:
    vd = virtual("{hosts: [x.example], externalServices: [{}], ports: [{number: 80, protocol: HTTP}]}")
    plain = external("{hosts: [a.corp, b.corp], ports: [{number: 80, protocol: HTTP}]}", "plain")
    secure = external(
        "{hosts: [c.corp], selector: {host: c}, ports: [{number: 80, protocol: HTTPS, targetPort: {name: web}}]}",
        "secure",
    )
    endpoints = [
        endpoint("{address: 192.0.2.10, ports: [{name: web, number: 9443}]}", "c1", {"host": "c"}),
        endpoint("{address: 192.0.2.11, ports: [{name: web, number: 9444}]}", "c2", {"host": "c"}),
    ]
    backing = select_backing(vd, (), [secure, plain], owner)
    assert backing.selected == 2
    addresses, tls = as_backing(resolve_external(plain, endpoints), 80)
    assert [(a.host, a.port, a.tls_mode) for a in addresses] == [("a.corp", 80, ""), ("b.corp", 80, "")]
    assert tls == ()
    addresses, tls = as_backing(resolve_external(secure, endpoints), 80)
    assert [(a.host, a.port) for a in addresses] == [("192.0.2.10", 9443), ("192.0.2.11", 9444)]
    ((mode, how),) = tls
    assert {a.tls_mode for a in addresses} == {mode}
    assert how.sni == "c.corp"
