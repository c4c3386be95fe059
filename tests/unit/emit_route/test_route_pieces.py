"""Routes as Envoy's messages, and RouteConfigurations as pieces."""

from __future__ import annotations

import random

import pytest
from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf.json_format import MessageToDict

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, Role, join
from mgmt.translate import ir
from mgmt.translate.emit.envoy.route import encode_routes
from mgmt.translate.emit.envoy.route_config import blackhole, route_config_head, table_pieces, virtual_host_head
from tests.splicing import diff

TABLE = ObjectKey("networking.gloo.solo.io/RouteTable", "east-1", "shop", "www")
CONTRIBUTION = "networking.gloo.solo.io/RouteTable/east-1/shop/www"
SOURCE = ir.Source(TABLE, "spec.http[0]")


def route(name: str, *matchers: ir.Matcher, action: ir.Action | None = None) -> ir.Route:
    done = action or ir.DirectResponse(status=200, body=name)
    return ir.Route(name=name, source=SOURCE, chain=(TABLE,), matchers=matchers or (ir.Matcher(),), action=done)


def prefix(value: str, **more: int) -> ir.Matcher:
    return ir.Matcher(path=ir.PathMatch(value=value), **more)


def destination(version: str) -> ir.Destination:
    service = ObjectKey("core/Service", "east-1", "shop", "cart")
    return ir.Destination(object=service, host="cart.shop.svc.cluster.local", port=8080, subset=(("version", version),))


def bodies_of(route: ir.Route, port: int) -> list[bytes]:
    return [body for body, _ in encode_routes(route, port)]


def decoded(body: bytes) -> dict[str, object]:
    return MessageToDict(route_components_pb2.Route.FromString(body), preserving_proto_field_name=True)


def names(pieces: tuple[Piece, ...]) -> list[str]:
    host = route_components_pb2.VirtualHost.FromString(b"".join(p.body for p in pieces))
    return [r.name for r in host.routes]


@pytest.mark.spec("R-85", "R-89")
def test_weighted_clusters() -> None:
    split = tuple(
        ir.WeightedDestination(destination=destination(v), weight=w, source=SOURCE) for v, w in (("v1", 90), ("v2", 10))
    )
    (body,) = bodies_of(route("split", action=ir.Forward(destinations=split)), 80)
    assert decoded(body) == {
        "name": "split",
        "match": {"prefix": "/"},
        "decorator": {"operation": "split"},
        "route": {
            "timeout": "0s",
            "max_stream_duration": {"grpc_timeout_header_max": "0s"},
            "weighted_clusters": {
                "clusters": [
                    {"name": "outbound|8080|version-v1|cart.shop.svc.cluster.local", "weight": 90},
                    {"name": "outbound|8080|version-v2|cart.shop.svc.cluster.local", "weight": 10},
                ]
            },
        },
    }


def test_a_single_destination_has_no_weight() -> None:
    only = (ir.WeightedDestination(destination=destination("v1"), weight=100, source=SOURCE),)
    (body,) = bodies_of(route("one", action=ir.Forward(destinations=only)), 80)
    action = route_components_pb2.Route.FromString(body).route
    assert action.cluster == "outbound|8080|version-v1|cart.shop.svc.cluster.local"
    assert not action.HasField("weighted_clusters")


@pytest.mark.spec("R-61")
def test_one_envoy_route_per_matcher_with_one_action() -> None:
    bodies = bodies_of(route("r", prefix("/1"), prefix("/2"), prefix("/3")), 80)
    routes = [route_components_pb2.Route.FromString(body) for body in bodies]
    assert [r.match.prefix for r in routes] == ["/1", "/2", "/3"]
    assert {(r.name, r.decorator.operation, r.direct_response.SerializeToString()) for r in routes} == {
        ("r", "r", routes[0].direct_response.SerializeToString())
    }


@pytest.mark.spec("R-79")
def test_matchers_for_other_ports_are_left_out() -> None:
    both = route("r", prefix("/1", port=80), prefix("/2", port=443), prefix("/3"))
    assert len(bodies_of(both, 80)) == len(bodies_of(both, 443)) == 2
    assert bodies_of(route("r", prefix("/1", port=443)), 80) == []


@pytest.mark.spec("R-67")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (ir.PathMatch(kind=ir.MatchKind.EXACT, value="/a"), {"path": "/a"}),
        (ir.PathMatch(value="/a"), {"prefix": "/a"}),
        (ir.PathMatch(kind=ir.MatchKind.REGEX, value="/a.*"), {"safe_regex": {"regex": "/a.*"}}),
        (None, {"prefix": "/"}),
        (ir.PathMatch(value="/a", ignore_case=True), {"prefix": "/a", "case_sensitive": False}),
    ],
)
def test_forms_of_a_path(path: ir.PathMatch | None, expected: dict[str, object]) -> None:
    assert decoded(bodies_of(route("r", ir.Matcher(path=path)), 80)[0])["match"] == expected


def test_route_configuration_is_the_join_of_its_pieces() -> None:
    runs = table_pieces(CONTRIBUTION, [route("r")], 80)
    pieces = [route_config_head("http.8080"), virtual_host_head("a.test", 8080, require_tls=True), *runs.ordered]
    config = route_pb2.RouteConfiguration.FromString(join([*pieces, blackhole(8080)]))
    assert (config.name, config.ignore_port_in_host_matching) == ("http.8080", True)
    assert config.HasField("validate_clusters")
    assert not config.validate_clusters.value
    assert config.max_direct_response_body_size_bytes.value == 1024 * 1024
    first, last = config.virtual_hosts
    assert (first.name, list(first.domains), [r.name for r in first.routes]) == ("a.test:8080", ["a.test"], ["r"])
    assert first.require_tls == route_components_pb2.VirtualHost.ALL
    assert first.retry_policy.num_retries.value == 2
    assert first.retry_policy.retry_on == (
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    )
    assert (last.name, list(last.domains), len(last.routes)) == ("blackhole:8080", ["*"], 0)
    assert {(p.role, p.contribution) for p in runs.ordered} == {(Role.ITEM, CONTRIBUTION)}


def test_catch_all_routes_come_last_where_tables_share_a_host() -> None:
    mixed = route("mixed", prefix("/"), prefix("/m"))
    runs = table_pieces(CONTRIBUTION, [route("a", prefix("/a")), mixed, route("b", prefix("/b"))], 80)
    assert names(runs.ordered) == ["a", "mixed", "mixed", "b"]
    assert names(runs.normal) == ["a", "mixed", "b"]
    assert names(runs.last) == ["mixed"]
    conditional = ir.Matcher(method="GET")
    assert table_pieces(CONTRIBUTION, [route("get", conditional)], 80).last == ()


def test_an_edit_or_an_insertion_moves_few_pieces() -> None:
    routes = [route(f"r{i}", prefix(f"/{i}")) for i in range(400)]
    before = table_pieces(CONTRIBUTION, routes, 80).ordered
    assert 10 < len(before) < 60, "about one cut in 16 routes"
    for at in random.Random(7).sample(range(400), 20):
        edited = [*routes[:at], route("edited", prefix(f"/{at}")), *routes[at + 1 :]]
        inserted = [*routes[:at], route("inserted", prefix("/new")), *routes[at:]]
        for changed in (edited, inserted):
            after = table_pieces(CONTRIBUTION, changed, 80).ordered
            (splice,) = diff(before, after)
            assert splice.remove <= 2
            assert len(splice.insert) <= 2
            assert names(after) == [r.name for r in changed]
