"""What a route does with a request, asked of a real Envoy whose backends tell what reached them."""

from __future__ import annotations

from collections import Counter

import pytest
from case_gateway import HALF_DEAD, Gateway, declare

pytestmark = pytest.mark.envoy

PATHS = declare(
    "paths",
    r"""
    - name: regex
      matchers: [{uri: {prefix: /item}}]
      forwardTo:
        regexRewrite: {pattern: {googleRe2: {}, regex: '/item/([^/]+)/pic'}, substitution: '/pictures/\1.png'}
        hostRewrite: static.shop.example
        destinations: [{ref: {name: cdn}}]
    - name: prefix
      matchers: [{uri: {prefix: /api/shop/v1}}]
      forwardTo: {pathRewrite: /api/v1, destinations: [{ref: {name: cart}}]}
    - name: literal
      matchers: [{uri: {exact: /old}}]
      forwardTo: {pathRewrite: '/new?x=1', destinations: [{ref: {name: cart}}]}
    - name: slashes
      matchers: [{uri: {prefix: /double}}]
      forwardTo: {pathRewrite: /, destinations: [{ref: {name: cart}}]}
    - name: any-case
      matchers: [{uri: {prefix: /Any, ignoreCase: true}}]
      forwardTo: {pathRewrite: /fixed, destinations: [{ref: {name: cart}}]}
    - name: every-match
      matchers: [{uri: {regex: '/swap.*'}}]
      forwardTo:
        regexRewrite: {pattern: {regex: '(a)(b)'}, substitution: '\2\\\1'}
        destinations: [{ref: {name: cart}}]
    - name: anywhere
      forwardTo: {pathRewrite: /new, destinations: [{ref: {name: cart}}]}
    """,
)


@pytest.mark.spec("R-80")
def test_regex_rewrite_with_host(gateway: Gateway) -> None:
    seen = gateway.ask(PATHS, "/item/42/pic?size=s").seen
    assert (seen["path"], seen["host"]) == ("/pictures/42.png?size=s", "static.shop.example")
    assert seen["cluster"] == "outbound|8080||cdn.shop.svc.cluster.local"


@pytest.mark.spec("R-81")
def test_prefix_rewrite(gateway: Gateway) -> None:
    assert gateway.ask(PATHS, "/api/shop/v1/items?q=1").seen["path"] == "/api/v1/items?q=1"
    assert gateway.ask(PATHS, "/api/shop/v1").seen["path"] == "/api/v1"


@pytest.mark.spec("R-82")
def test_a_query_in_the_rewrite_is_passed_on_as_it_is(gateway: Gateway) -> None:
    assert gateway.ask(PATHS, "/old").seen["path"] == "/new?x=1"


def test_rewrite_is_a_pure_string_replacement(gateway: Gateway) -> None:
    assert gateway.ask(PATHS, "/double/a").seen["path"] == "//a"
    assert gateway.ask(PATHS, "/a").seen["path"] == "/newa"
    assert gateway.ask(PATHS, "/ANY/Path").seen["path"] == "/fixed/Path"
    assert gateway.ask(PATHS, "/swap/ab/xabx").seen["path"] == "/swap/b\\a/xb\\ax"


HOSTS = declare(
    "hosts",
    """
    - name: kept
      matchers: [{uri: {prefix: /kept}}]
      forwardTo: {destinations: [{ref: {name: cart}}]}
    - name: auto
      matchers: [{uri: {prefix: /auto}}]
      forwardTo: {autoHostRewrite: true, destinations: [{ref: {name: cart}}]}
    - name: auto-several
      matchers: [{uri: {prefix: /several}}]
      forwardTo: {autoHostRewrite: true, destinations: [{ref: {name: cart}}, {ref: {name: cdn}}]}
    """,
)


@pytest.mark.spec("R-84")
def test_the_host_stays_and_no_forwarded_host_is_added(gateway: Gateway) -> None:
    seen = gateway.ask(HOSTS, "/kept").seen
    assert seen["host"] == "hosts.test"
    assert "x-forwarded-host" not in seen["headers"]


def test_auto_host_rewrite_names_the_chosen_destination(gateway: Gateway) -> None:
    assert gateway.ask(HOSTS, "/auto").seen["host"] == "cart.shop.svc.cluster.local"
    several = {(s["host"], s["cluster"]) for s in (gateway.ask(HOSTS, "/several").seen for _ in range(40))}
    assert several == {
        (f"{name}.shop.svc.cluster.local", f"outbound|8080||{name}.shop.svc.cluster.local") for name in ("cart", "cdn")
    }


WEIGHTED = declare(
    "weighted",
    """
    - name: split
      forwardTo:
        destinations:
        - {ref: {name: split}, subset: {version: v1}, weight: 90}
        - {ref: {name: split}, subset: {version: v2}}
    """,
)


@pytest.mark.spec("R-85")
def test_weights_share_the_requests(gateway: Gateway) -> None:
    seen = Counter(gateway.ask(WEIGHTED).seen["cluster"] for _ in range(200))
    assert set(seen) == {f"outbound|8080|version-{v}|split.shop.svc.cluster.local" for v in ("v1", "v2")}
    minority = seen["outbound|8080|version-v2|split.shop.svc.cluster.local"]
    assert 2 <= minority <= 55, f"{minority} of 200, wanted about 20"  # beyond 8 sigma, and never an even split


REDIRECTS = declare(
    "redirects",
    """
    - name: moved
      matchers: [{uri: {prefix: /old-shop}}]
      redirect: {hostRedirect: new.shop.example, pathRedirect: /start, responseCode: FOUND}
    - name: host
      matchers: [{uri: {prefix: /a}}]
      redirect: {hostRedirect: new.example, responseCode: PERMANENT_REDIRECT}
    - {name: path, matchers: [{uri: {prefix: /x}}], redirect: {pathRedirect: /home}}
    - {name: query, matchers: [{uri: {prefix: /q}}], redirect: {pathRedirect: '/home?own=1', responseCode: 303}}
    - name: kept
      matchers: [{uri: {prefix: /k}}]
      redirect: {pathRedirect: /home, responseCode: TEMPORARY_REDIRECT}
    """,
)


def moved(gateway: Gateway, path: str, host: str = REDIRECTS.host) -> tuple[int, str]:
    answer = gateway.ask(host, path)
    return answer.status, answer.headers["location"]


@pytest.mark.spec("R-90")
def test_redirect_example(gateway: Gateway) -> None:
    assert moved(gateway, "/old-shop/x?c=1") == (302, "http://new.shop.example/start?c=1")


@pytest.mark.spec("R-91")
def test_host_redirect_keeps_path_and_query_and_drops_the_port(gateway: Gateway) -> None:
    assert moved(gateway, "/a?b=1") == (308, "http://new.example/a?b=1")
    assert moved(gateway, "/a", "redirects.test:8080") == (308, "http://new.example/a")


@pytest.mark.spec("R-92")
def test_path_redirect_keeps_host_and_query(gateway: Gateway) -> None:
    assert moved(gateway, "/x/y?z=1") == (301, "http://redirects.test/home?z=1")
    assert moved(gateway, "/q?z=1") == (303, "http://redirects.test/home?own=1")
    assert moved(gateway, "/k") == (307, "http://redirects.test/home")


DIRECT = declare(
    "direct",
    f"""
    - {{name: retired, matchers: [{{uri: {{prefix: /old-app}}}}], directResponse: {{status: 510, body: gone}}}}
    - {{name: empty, matchers: [{{uri: {{prefix: /empty}}}}], directResponse: {{status: 204}}}}
    - {{name: bodiless, matchers: [{{uri: {{prefix: /bodiless}}}}], directResponse: {{status: 200}}}}
    - name: largest
      matchers: [{{uri: {{prefix: /largest}}}}]
      directResponse: {{status: 200, body: {"x" * 1024 * 1024}}}
    """,
)


@pytest.mark.spec("R-94")
def test_direct_response(gateway: Gateway) -> None:
    assert gateway.ask(DIRECT, "/old-app/x")[:2] == (510, "gone")


@pytest.mark.spec("R-95")
def test_direct_response_without_body(gateway: Gateway) -> None:
    answer = gateway.ask(DIRECT, "/bodiless")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, "", "0")


@pytest.mark.spec("R-96")
def test_a_body_of_one_mebibyte_is_served(gateway: Gateway) -> None:
    assert len(gateway.ask(DIRECT, "/largest").body) == 1024 * 1024


BROKEN = declare(
    "broken",
    """
    - name: list
      matchers: [{uri: {prefix: /cart}}]
      forwardTo: {pathRewrite: /x, destinations: [{ref: {name: nope, namespace: shop}}]}
    - {name: b, matchers: [{uri: {prefix: /b}}], forwardTo: {destinations: [{ref: {name: cart}}]}}
    - {name: bad-regex, matchers: [{uri: {regex: '/(x'}}], directResponse: {status: 200, body: wide}}
    - name: half-bad
      matchers: [{uri: {suffix: .html}}, {uri: {prefix: /half}}]
      directResponse: {status: 200, body: half}
    - {name: rest, matchers: [{uri: {prefix: /}, method: GET}], directResponse: {status: 200, body: rest}}
    """,
)


@pytest.mark.spec("R-155")
def test_missing_destination_answers_500(gateway: Gateway) -> None:
    answer = gateway.ask(BROKEN, "/cart/1")
    assert answer[:2] == (500, "invalid route configuration: destination")
    message = 'route "list" (http[0]): destination Service shop/nope in cluster east-1 not found'
    assert message in [p.message for p in BROKEN.resolved.problems]


@pytest.mark.spec("R-162")
def test_a_replaced_route_keeps_its_traffic(gateway: Gateway) -> None:
    assert gateway.ask(BROKEN, "/cart").status == 500
    assert gateway.ask(BROKEN, "/half/page")[:2] == (500, "invalid route configuration: matchers")


@pytest.mark.spec("R-156")
def test_the_other_routes_work(gateway: Gateway) -> None:
    assert gateway.ask(BROKEN, "/b").seen["cluster"] == "outbound|8080||cart.shop.svc.cluster.local"
    assert gateway.ask(BROKEN, "/other").body == "rest"


@pytest.mark.spec("R-164", "R-4")
def test_a_broken_matcher_never_widens(gateway: Gateway) -> None:
    assert gateway.ask(BROKEN, "/(x").body == "rest"
    assert gateway.ask(BROKEN, "/x.html").body == "rest"
    assert gateway.ask(BROKEN, "/", method="POST").status == 404


API = declare(
    "api",
    "- {name: only, matchers: [{uri: {prefix: /some}}], directResponse: {status: 200, body: api}}",
    host="api.shop.example",
)
WILD = declare(
    "wild",
    "- {name: all, matchers: [{uri: {prefix: /}}], directResponse: {status: 200, body: wild}}",
    host="*.Shop.example",
)
THREE = declare(
    "three",
    """
    - name: same
      matchers: [{uri: {exact: /1}}, {uri: {exact: /2}}, {uri: {exact: /3}}]
      directResponse: {status: 200, body: same}
    """,
)


@pytest.mark.spec("R-61")
def test_matchers_are_alternatives(gateway: Gateway) -> None:
    assert [gateway.ask(THREE, f"/{i}").status for i in range(5)] == [404, 200, 200, 200, 404]


@pytest.mark.spec("R-47")
def test_no_fall_through_to_a_wider_host(gateway: Gateway) -> None:
    assert gateway.ask(API, "/some").body == "api"
    assert gateway.ask(API, "/none").status == 404
    assert gateway.ask("www.shop.example:80", "/none").body == "wild"


RETRIED = declare("retried", f"- {{name: all, forwardTo: {{destinations: [{{ref: {{name: {HALF_DEAD}}}}}]}}}}")


def test_the_default_retries_reach_the_living_endpoint(gateway: Gateway) -> None:
    assert [gateway.ask(RETRIED).status for _ in range(20)] == [200] * 20
