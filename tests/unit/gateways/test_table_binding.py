"""Which tables bind to which listeners, and for which hosts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.api.common import ObjectReference
from fingerpost.api.networking.virtual_gateway import Listener
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.routing.binding import Binding, TableView, bind, intersect, referenced_gateways, unreachable

EDGE = ObjectKey("networking.gloo.solo.io/VirtualGateway", "east-1", "gw-config", "edge")
RT = "networking.gloo.solo.io/RouteTable"


def table(
    *hosts: str, namespace: str = "shop", labels: Mapping[str, str] | None = None, http: bool = True
) -> TableView:
    key = ObjectKey(RT, "east-1", namespace, "t")
    return TableView(key=key, hosts=hosts, labels=labels or {}, workspace="shop", http=http)


def bound(
    view: TableView, *allowed: str, available: bool = True
) -> tuple[tuple[Binding, ...], list[tuple[Severity, str]]]:
    listeners = {
        i: msgspec.convert({"http": {}, "allowedRouteTables": yaml.safe_load(a) or []}, Listener)
        for i, a in enumerate(allowed)
    }
    bindings, problems = bind(view, EDGE, listeners, available=available)
    return bindings, [(p.severity, p.message) for p in problems if isinstance(p, Problem)]


@pytest.mark.spec("R-25", "W-38")
def test_a_table_that_is_not_imported_is_not_served() -> None:
    bindings, said = bound(table("a.example"), "", available=False)
    assert bindings == ()
    assert said == [(Severity.INVALID, "VirtualGateway gw-config/edge is not reachable from workspace shop")]
    assert bound(table("a.example"), "")[0] == (Binding(listener=0, hosts=("a.example",)),)


@pytest.mark.spec("W-46")
def test_only_in_ones_own_namespaces_is_a_missing_gateway_told_from_a_closed_one() -> None:
    report = Reporter(table("a.example").key)
    unreachable(report, "spec.virtualGateways[0]", EDGE, "shop", own_namespace=False)
    unreachable(report, "spec.virtualGateways[0]", EDGE, "shop", own_namespace=True)
    closed, missing = (p.message for p in report.problems)
    assert [(Severity.INVALID, closed)] == bound(table("a.example"), "", available=False)[1]
    assert missing == "VirtualGateway gw-config/edge in cluster east-1 not found"


@pytest.mark.spec("R-26")
def test_a_host_outside_the_listener_is_a_warning_while_another_is_served() -> None:
    allowed = "[{host: '*.shop.example', selector: {workspace: shop}}]"
    bindings, said = bound(table("www.shop.example", "www.other.example"), allowed)
    assert bindings == (Binding(listener=0, hosts=("www.shop.example",)),)
    ((severity, text),) = said
    assert severity is Severity.WARNING
    assert text.startswith("host www.other.example is not served by VirtualGateway gw-config/edge")
    assert [s for s, _ in bound(table("www.other.example"), allowed)[1]] == [Severity.INVALID]


@pytest.mark.spec("R-27")
@pytest.mark.parametrize(
    ("selector", "accepts"),
    [
        ("", True),
        (", selector: {}", True),
        (", selector: {workspace: shop}", True),
        (", selector: {workspace: blog}", False),
        (", selector: {labels: {expose: 'true'}}", False),
        (", selector: {labels: {team: a}}", True),
    ],
)
def test_a_selector_only_narrows(selector: str, accepts: bool) -> None:
    bindings, said = bound(table("a.example", labels={"team": "a"}), f"[{{host: '*'{selector}}}]")
    assert bool(bindings) is accepts
    assert [s for s, _ in said] == ([] if accepts else [Severity.INVALID])


@pytest.mark.spec("R-28")
@pytest.mark.parametrize(
    ("prefix", "namespaces"),
    [("./", {"gw-config"}), ("shop/", {"shop"}), ("*/", {"gw-config", "shop"}), ("", {"gw-config", "shop"})],
)
def test_the_namespace_prefix(prefix: str, namespaces: set[str]) -> None:
    allowed = f"[{{host: '{prefix}*.shop.example'}}]"
    got = {n for n in ("gw-config", "shop") if bound(table("www.shop.example", namespace=n), allowed)[0]}
    assert got == namespaces
    for bindings, _ in (bound(table("www.shop.example", namespace=n), allowed) for n in got):
        assert bindings[0].hosts == ("www.shop.example",)


@pytest.mark.spec("R-29")
@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        ("*.shop.example", "api.shop.example", "api.shop.example"),
        ("*.shop.example", "x.y.shop.example", "x.y.shop.example"),
        ("*.shop.example", "*.y.shop.example", "*.y.shop.example"),
        ("*.shop.example", "shop.example", None),
        ("*.shop.example", "myshop.example", None),
        ("*", "a.example", "a.example"),
        ("*", "*.example", "*.example"),
        ("A.example", "a.EXAMPLE", "a.example"),
        ("*-x.a.io", "b-x.a.io", "b-x.a.io"),
        ("*.a.io", "*-x.a.io", "*-x.a.io"),
        ("a.example", "b.example", None),
    ],
)
def test_intersection(a: str, b: str, both: str | None) -> None:
    assert intersect(a, b) == intersect(b, a) == both


LABELS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(".".join)
HOSTS = st.one_of(LABELS, LABELS.map("*.".__add__), st.just("*"))


@pytest.mark.spec("R-29")
@given(HOSTS, HOSTS, LABELS)
def test_a_name_is_in_the_intersection_just_when_it_is_in_both(a: str, b: str, name: str) -> None:
    def within(host: str | None) -> bool:
        return host is not None and (
            host in ("*", name) or (host.startswith("*.") and name.endswith(host[1:]) and name != host[1:])
        )

    assert within(intersect(a, b)) == (within(a) and within(b))


@pytest.mark.spec("R-30")
def test_a_table_binds_only_to_the_listeners_that_allow_it() -> None:
    bindings, said = bound(table("a.example"), "[{host: a.example}]", "[{host: b.example}]")
    assert bindings == (Binding(listener=0, hosts=("a.example",)),)
    assert said == []


def test_hosts_of_all_accepting_entries_in_the_order_of_the_table() -> None:
    allowed = "[{host: z.example}, {host: '*.a.example'}, {host: x.a.example, selector: {workspace: blog}}]"
    bindings, _ = bound(table("*.a.example", "*"), allowed)
    assert bindings == (Binding(listener=0, hosts=("*.a.example", "z.example")),)


def test_a_table_without_http_routes_binds_to_no_http_listener() -> None:
    assert bound(table("a.example", http=False), "") == ((), [])


@pytest.mark.spec("R-49", "R-50")
def test_references_default_to_the_tables_own_namespace_and_cluster() -> None:
    key = ObjectKey(RT, "east-1", "shop", "t")
    refs = (ObjectReference(name="edge"), ObjectReference(name="edge", namespace="gw-config", cluster="west-1"))
    assert referenced_gateways(key, refs) == (
        EDGE._replace(namespace="shop"),
        EDGE._replace(cluster="west-1"),
    )
    assert referenced_gateways(key, ()) == ()
