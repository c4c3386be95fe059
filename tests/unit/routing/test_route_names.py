"""Names, hosts and weights: the three small rules of a RouteTable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_texts import KEY, compiled, found

from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.hosts import covers, host_problem, hostname_problem, normalize_hosts
from mgmt.translate.routing.names import full_name, unique_names
from mgmt.translate.routing.weights import share_weights


@pytest.mark.spec("R-56")
def test_full_names() -> None:
    child = ObjectKey(KEY.type, "east-1", "shop", "catalog-api")
    middle = ObjectKey(KEY.type, "west-1", "mid", "hub")
    assert full_name("list", (KEY, child)) == "list-catalog-api.shop.east-1--www.edge.east-1"
    assert full_name("list", (KEY, middle, child)) == "list-catalog-api.shop.east-1--hub.mid.west-1--www.edge.east-1"
    assert full_name("list", (KEY,)) == "list-www.edge.east-1"


@pytest.mark.spec("R-57", "R-58")
def test_names_in_a_table() -> None:
    assert unique_names(["a", "a", "", "a", "insecure-login"]) == (
        "a",
        "duplicate-a-1",
        "route-2",
        "duplicate-a-2",
        "login",
    )
    assert unique_names(["login", "insecure-login", "insecure-"]) == ("login", "duplicate-login-1", "route-2")


@given(st.lists(st.sampled_from(["a", "", "insecure-a", "duplicate-a-1", "duplicate-a-2", "route-1"]), max_size=8))
def test_names_are_never_used_twice(names: list[str]) -> None:
    assert len(set(unique_names(names))) == len(names)


@pytest.mark.spec("R-57")
def test_a_repeated_name_is_a_warning() -> None:
    route = "{name: a, directResponse: {status: 200}}"
    plan = compiled(f"[{route}, {route}]")
    assert [r.name for r in plan.routes] == ["a-www.edge.east-1", "duplicate-a-1-www.edge.east-1"]
    (message,) = [m for m in found(plan, Severity.WARNING) if "name" in m]
    assert message == 'http[1].name: "a" is used by an earlier route, so this one is called "duplicate-a-1"'


@pytest.mark.spec("R-46")
@pytest.mark.parametrize(
    "host",
    [
        "bar.*.com",
        "foo.*",
        "a..b",
        "-a.b",
        "1.2.3",
        "a." * 128,
        "",
        "a_b.c",
        "x" * 64 + ".io",
        "**.a",
        "*.",
        "a.b-",
        ".a",
    ],
)
def test_invalid_hosts_make_the_table_invalid(host: str) -> None:
    plan = compiled(hosts=["fine.example", host])
    assert plan.hosts == ()
    assert [p.path for p in plan.problems if p.severity == Severity.INVALID] == ["spec.hosts[1]"]


@pytest.mark.spec("R-46")
@pytest.mark.parametrize("host", ["*-x.a.io", "a.io.", "*.foo.com", "*bar.foo.com", "localhost", "*", "A-1.2b.c"])
def test_valid_hosts(host: str) -> None:
    assert host_problem(host) is None
    assert compiled(hosts=[host]).hosts == (host.lower(),)


def test_the_lone_star_needs_a_gateway() -> None:
    plan = compiled(hosts=["*"], virtualGateways=[])
    assert plan.hosts == ()
    assert found(plan) == ['hosts: "*" needs virtualGateways']


def test_hosts_are_lowered_once_and_covered_ones_stay() -> None:
    plan = compiled(hosts=["A.shop.example", "*.shop.example", "a.shop.example"])
    assert plan.hosts == ("a.shop.example", "*.shop.example") == normalize_hosts(plan.hosts)
    assert found(plan, Severity.INFO) == ['hosts: "a.shop.example" is covered by "*.shop.example"']


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        ("*", "a.b", True),
        ("*.b", "a.b", True),
        ("*.b", "*.a.b", True),
        ("*a.b", "*xa.b", True),
        ("*.b", "b", False),
        ("a.b", "a.b", False),
        ("*a.b", "a.b", False),
        ("*.a.b", "*.b", False),
    ],
)
def test_cover(wide: str, narrow: str, covered: bool) -> None:
    assert covers(wide, narrow) == covered


@pytest.mark.parametrize(("host", "fine"), [("a.example", True), ("-a.b", False), ("a_b", False), ("a..b", False)])
def test_hosts_of_rewrites(host: str, fine: bool) -> None:
    assert (hostname_problem(host) is None) == fine


@pytest.mark.spec("R-63")
def test_annotations_of_our_own_are_refused() -> None:
    plan = compiled(virtualServiceAnnotations={"cluster.solo.io/cluster": "x"})
    assert plan.hosts == ()
    assert "cluster.solo.io/cluster" in found(plan)[0]
    assert compiled(virtualServiceAnnotations={"example.com/a": "x", "solo.io.example/a": "x"}).hosts


@pytest.mark.spec("R-86", "R-87")
@pytest.mark.parametrize(
    ("weights", "shared"),
    [
        ((50, 25, 25), (50, 25, 25)),
        ((50, 25, 0), (50, 25, 25)),
        ((0, 0, 0), (34, 33, 33)),
        ((97, 0, 0, 0), (97, 1, 1, 1)),
        ((0, 1, 0), (50, 1, 49)),
        ((7,), (100,)),
        ((0,), (100,)),
    ],
)
def test_legal_weights(weights: tuple[int, ...], shared: tuple[int, ...]) -> None:
    assert share_weights(weights) == shared


@pytest.mark.spec("R-86", "R-87", "R-88")
@pytest.mark.parametrize(
    ("weights", "total"), [((50, 50, 25), 125), ((50, 50, 0), 100), ((98, 0, 0, 0), 98), ((60, 30), 90)]
)
def test_illegal_weights(weights: tuple[int, ...], total: int) -> None:
    error = share_weights(weights)
    assert isinstance(error, RouteError)
    assert error.kind == "weights"
    assert error.reason.startswith(f"weights of destinations sum to {total}, must be ")


@pytest.mark.spec("R-89")
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_shared_weights_sum_to_100_and_keep_what_is_written(weights: list[int]) -> None:
    shared = share_weights(weights)
    if isinstance(shared, RouteError):
        assert sum(weights) != 100 or 0 in weights
    else:
        assert sum(shared) == 100
        assert min(shared) >= 1
        if len(weights) > 1:
            assert all(got == written for got, written in zip(shared, weights, strict=True) if written)
