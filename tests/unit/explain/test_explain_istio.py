"""An Istio gateway is explained like any other; what was written are the objects that istiod reads."""

from __future__ import annotations

import yaml
from explain_world import CLUSTER, objects, table, world

from mgmt.explain.answer import GatewayAnswer, Verdict
from mgmt.explain.route import explain_url
from mgmt.translate.graph.inputs import GATEWAY
from mgmt.translate.translator import Translator
from tests.istio_world import with_istio_gateways

_HTTP = yaml.safe_dump(
    [
        {"name": "hello", "matchers": [{"uri": {"exact": "/hello"}}], "directResponse": {"status": 200, "body": "x"}},
        {"name": "old", "matchers": [{"uri": {"prefix": "/old"}}], "redirect": {"pathRedirect": "/new"}},
    ]
)


def at_istio() -> Translator:
    translator = world(table("www", ["www.shop.example"], _HTTP))
    gateways = [item for item in objects(CLUSTER, "east").items() if item[0].type == GATEWAY]
    translator.feed(with_istio_gateways(gateways))
    translator.turn()
    assert not translator.failures()
    return translator


def ask(url: str) -> tuple[GatewayAnswer, GatewayAnswer]:
    east, west = explain_url(at_istio(), url).gateways
    return east, west


def test_it_says_what_it_says_of_a_plain_envoy_and_names_the_virtual_service() -> None:
    istio, plain = ask("http://www.shop.example/hello")
    assert istio.verdict is plain.verdict is Verdict.ROUTE
    assert istio.route == plain.route
    assert [w.partition(" ")[0] for w in istio.written] == ["VirtualService"]
    assert plain.written == ("listener 0.0.0.0_8080, routes http.8080",)


def test_hosts_and_listeners_that_are_not_there() -> None:
    for url in ("http://shop.example/hello", "http://www.shop.example:85/", "http://www.shop.example:81/hello"):
        istio, plain = ask(url)
        assert (istio.verdict, istio.status, istio.hosts) == (plain.verdict, plain.status, plain.hosts)
        assert istio.message == plain.message
