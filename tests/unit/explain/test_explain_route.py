"""`explain route` on a small world: listener, host, order, destinations, policies."""

from __future__ import annotations

import msgspec
import pytest
from explain_world import ask, asked, table, world

from mgmt.explain import BadRequest, Standing, UnknownGateway, explain_url, parse_request, render
from mgmt.explain.answer import Verdict
from mgmt.explain.request import normalize_path

OLD, NEW = "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"
CART = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualDestination
  metadata: {name: cart, namespace: shop}
  spec:
    hosts: [cart.mesh]
    services: [{namespace: shop, labels: {app: cart}}]
    ports: [{number: 80, protocol: HTTP, targetPort: {name: http}}]
"""
POLICY = """
- apiVersion: resilience.policy.gloo.solo.io/v2
  kind: OutlierDetectionPolicy
  metadata: {{name: {name}, namespace: shop, creationTimestamp: '{created}'}}
  spec: {{applyToDestinations: [{{kind: VIRTUAL_DESTINATION, selector: {{name: cart}}}}], config: {{}}}}
"""
FORWARD = """
- name: cart
  matchers: [{uri: {prefix: /cart}, method: POST}]
  forwardTo: {destinations: [{ref: {name: cart}, kind: VIRTUAL_DESTINATION, port: {number: 80}}]}
- name: own
  matchers: [{uri: {prefix: /own}}]
  forwardTo: {destinations: [{ref: {name: cart, cluster: east}, port: {number: 8000}}]}
- name: rest
  directResponse: {status: 404, body: nothing here}
"""


def answers(name: str, prefix: str = "/") -> str:
    return f"[{{name: {name}, matchers: [{{uri: {{prefix: {prefix}}}}}], directResponse: {{status: 200}}}}]"


def test_destination_with_endpoints_per_cluster_and_policies() -> None:
    translator = world(
        table("www", ["www.shop.example"], FORWARD)
        + CART
        + POLICY.format(name="young", created=NEW)
        + POLICY.format(name="old", created=OLD)
    )
    answer = ask(translator, "http://www.shop.example/cart/7", "post")
    assert answer.verdict is Verdict.ROUTE
    assert answer.route is not None
    assert (answer.route.name, answer.route.field.path) == ("cart-www.shop.mgmt", "spec.http[0]")
    (destination,) = answer.route.destinations
    assert destination.envoy_cluster == "outbound|80||cart.mesh"
    east, west = destination.endpoints
    assert (east.cluster, east.local, east.ready, east.order) == ("east", True, True, "nearest first")
    assert (west.cluster, west.addresses, west.order) == ("west", ("192.0.2.9:16443",), "when no nearer one answers")
    assert [str(p.policy) for p in destination.policies] == ["OutlierDetectionPolicy shop/old"]
    (lost,) = destination.not_applied
    assert (str(lost.policy), lost.reason) == ("OutlierDetectionPolicy shop/young", "younger than shop/old")


def test_the_same_route_differs_between_clusters() -> None:
    """A Service is reached from gateways of its own cluster only (D-2)."""
    translator = world(table("www", ["www.shop.example"], FORWARD))
    east, west = explain_url(translator, "http://www.shop.example/own").gateways
    assert east.route is not None
    assert west.route is not None
    assert [d.envoy_cluster for d in east.route.destinations] == ["outbound|8000||cart.shop.svc.cluster.local"]
    assert (west.status, west.route.destinations) == (500, ())


def test_tables_that_share_a_host_oldest_first_and_catch_alls_last() -> None:
    translator = world(
        table("young", ["www.shop.example"], answers("young", "/a"), NEW)
        + table("old", ["www.shop.example"], answers("all", "/"), OLD)
        + table("older", ["www.shop.example"], answers("a", "/a/b"), "2023-01-01T00:00:00Z")
    )
    routes = {}
    for path in ("/a/b", "/a", "/"):
        answer = ask(translator, f"http://www.shop.example{path}")
        assert answer.route is not None
        routes[path] = answer.route.name
    assert routes == {"/a/b": "a-older.shop.mgmt", "/a": "young-young.shop.mgmt", "/": "all-old.shop.mgmt"}
    answer = ask(translator, "http://www.shop.example/a/b")
    assert answer.host is not None
    assert [t.name for t in answer.host.tables] == ["older", "old", "young"]
    assert {m.route: m.reason for m in answer.near}["young-young.shop.mgmt"].startswith("matches as well")


@pytest.mark.parametrize(
    ("host", "chosen", "how"),
    [
        ("www.shop.example", "www.shop.example", "exact"),
        ("WWW.Shop.Example:80", "www.shop.example", "exact"),
        ("a.www.shop.example", "*.www.shop.example", "longest wildcard"),
        ("x.shop.example", "*.shop.example", "longest wildcard"),
        ("shop.example", "*", "any host"),
        ("www.shop.example.", "*", "any host"),
    ],
)
def test_host(host: str, chosen: str, how: str) -> None:
    hosts = ["www.shop.example", "*.www.shop.example", "*.shop.example", "*"]
    translator = world("".join(table(f"t{i}", [h], answers(f"r{i}")) for i, h in enumerate(hosts)))
    answer = ask(translator, "http://192.0.2.9/", Host=host)
    assert answer.host is not None
    assert answer.route is not None
    assert (answer.host.chosen, answer.host.how) == (chosen, how)
    assert answer.route.name == f"r{hosts.index(chosen)}-t{hosts.index(chosen)}.shop.mgmt"


def test_https_takes_the_chain_of_the_name() -> None:
    translator = world(
        table("www", ["www.shop.example"], answers("w")) + table("admin", ["admin.shop.example"], answers("a"))
    )
    for name, field in (("www", "spec.listeners[1]"), ("admin", "spec.listeners[2]")):
        answer = ask(translator, f"https://{name}.shop.example/")
        assert answer.listener is not None
        assert [place.path for place in answer.listener.fields] == [field]
        assert (answer.listener.service_port, answer.listener.port) == (443, 8443)
        assert answer.verdict is Verdict.ROUTE
    other = ask(translator, "https://www.other.example/")
    assert other.verdict is Verdict.NO_LISTENER
    assert 'no certificate is offered for the name "www.other.example"' in other.message
    plain = ask(translator, "http://www.shop.example:443/")
    assert (plain.verdict, plain.message) == (Verdict.NO_LISTENER, "no listener: port 443 speaks https only")


@pytest.mark.spec("R-33")
def test_https_redirect_comes_before_all_routes() -> None:
    translator = world(table("www", ["www.shop.example"], answers("w")))
    answer = ask(translator, "http://www.shop.example:81/")
    assert (answer.verdict, answer.status, answer.route) == (Verdict.HTTPS_REDIRECT, 301, None)
    assert answer.listener is not None
    assert [place.path for place in answer.listener.fields] == ["spec.listeners[3]"]


def test_ports_by_every_name() -> None:
    translator = world(table("www", ["www.shop.example"], answers("w")))
    for port, note in ((80, ""), (8080, "the port of the proxy"), (30080, "the port at 192.0.2.9")):
        answer = ask(translator, f"http://www.shop.example:{port}/")
        assert answer.verdict is Verdict.ROUTE
        assert answer.listener is not None
        assert answer.listener.service_port == 80
        assert note in answer.listener.note
    closed = ask(translator, "http://www.shop.example:9999/")
    assert closed.message == (
        "no listener: port 9999 is no port with a listener; listeners are on: 80 http, 81 http, 443 https"
    )


def test_a_matcher_on_a_port_means_the_service_port() -> None:
    http = (
        "[{name: p, matchers: [{port: 443}], directResponse: {status: 200}}, {name: o, directResponse: {status: 200}}]"
    )
    translator = world(table("www", ["www.shop.example"], http))
    names = []
    for url in ("https://www.shop.example/", "http://www.shop.example/"):
        answer = ask(translator, url)
        assert answer.route is not None
        names.append(answer.route.name)
    assert names == ["p-www.shop.mgmt", "o-www.shop.mgmt"]


def test_headers_that_the_proxy_sets_itself() -> None:
    http = """
    - {name: tls, matchers: [{headers: [{name: x-forwarded-proto, value: https}]}], directResponse: {status: 200}}
    - {name: plain, directResponse: {status: 200}}
    """
    answer = ask(world(table("www", ["www.shop.example"], http)), "http://www.shop.example/", x_forwarded_proto="https")
    assert answer.route is not None
    assert answer.route.name == "plain-www.shop.mgmt"


def test_standing_of_the_gateway() -> None:
    translator = world(table("www", ["www.shop.example"], answers("w")))
    contribution = "networking.gloo.solo.io/RouteTable/mgmt/shop/www"
    standing = Standing(arrived="applied, version 7", kept={contribution: "refused by the proxy"})
    explanation = explain_url(translator, "http://www.shop.example/", standings={("east", "gw/ingress"): standing})
    east, west = explanation.gateways
    assert east.notes == ("RouteTable shop/www is held at an older version: refused by the proxy",)
    assert east.written[0].endswith("(applied, version 7)")
    assert west.notes == ()


def test_unknown_gateway_names_those_there_are() -> None:
    with pytest.raises(UnknownGateway, match='"east/gw/nope"; there are: east/gw/ingress, west/gw/ingress'):
        explain_url(world(""), "http://a/", gateway="east/gw/nope")


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "http://a:x/", "http:///path"])
def test_no_url(url: str) -> None:
    with pytest.raises(BadRequest):
        parse_request(url)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/a/./b/../c", "/a/c"),
        ("/a//b", "/a//b"),
        ("/a//../b", "/a/b"),
        ("/..", "/"),
        ("/a/.", "/a/"),
        ("/a/b/%2E%2e", "/a/"),
        ("/a%2Fb/%41%7e", "/a%2Fb/A~"),
        ("/a\\b", "/a/b"),
        ("/%zz{", "/%zz%7B"),
        ("/%00", None),
    ],
)
def test_path_as_the_proxy_normalizes_it(path: str, seen: str | None) -> None:
    assert normalize_path(path) == seen


RENDERED = """\
request     POST http://www.shop.example/cart/7

gateway     east/gw/ingress
listener    80 http                                        VirtualGateway shop/edge  listeners[0]  (cluster mgmt)
host        www.shop.example                               RouteTable shop/www
route       cart-www.shop.mgmt  prefix /cart, method POST  RouteTable shop/www  http[0]  (cluster mgmt)
action      forward
destination VirtualDestination shop/cart cart.mesh:80      RouteTable shop/www  http[0].forwardTo.destinations[0]  \
(cluster mgmt)
            east: ready endpoints of Service shop/cart port 8000 (local, priority 0)
            west: ready endpoints via 192.0.2.9:16443 (priority 0)
not taken   rest-www.shop.mgmt  any request                matches as well, but the route taken comes before it
            own-www.shop.mgmt  prefix /own                 path "/cart/7" does not begin with "/own"
written as  listener 0.0.0.0_8080, routes http.8080
            cluster outbound|80||cart.mesh"""


def test_rendered_text() -> None:
    translator = world(table("www", ["www.shop.example"], FORWARD) + CART)
    assert render(asked(translator, "http://www.shop.example/cart/7", "POST")) == RENDERED


def test_an_explanation_is_json() -> None:
    translator = world(table("www", ["www.shop.example"], FORWARD) + CART)
    body = msgspec.json.decode(msgspec.json.encode(asked(translator, "http://www.shop.example/cart/7", "POST")))
    route = body["gateways"][0]["route"]
    assert route["field"]["object"] == {"kind": "RouteTable", "cluster": "mgmt", "namespace": "shop", "name": "www"}
    assert route["destinations"][0]["envoyCluster"] == "outbound|80||cart.mesh"
