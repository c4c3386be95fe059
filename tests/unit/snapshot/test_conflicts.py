"""`conflicts`: each code from a world that has just this, and shadowed routes against random requests."""

from __future__ import annotations

from random import Random

import pytest
import yaml
from random_world import configuration, request

from ctl.offline.fleet import translate_folder
from mgmt.explain.candidates import taken
from mgmt.explain.request import parse_request
from mgmt.explain.words import matcher_text
from mgmt.snapshot.conflicts import CODES, SHADOWED, Conflict, conflicts
from mgmt.snapshot.doors import doors, host_routes
from tests.unit.snapshot.worlds import EXAMPLES, PLACE, table, world

REST = "[{name: rest, directResponse: {status: 200}}]"
TWO = """
- {name: all, matchers: [{uri: {prefix: /}}], directResponse: {status: 200}}
- {name: cart, matchers: [{uri: {prefix: /cart}}, {uri: {prefix: /c}, port: 81}], directResponse: {status: 201}}
"""
CALM = """
- apiVersion: resilience.policy.gloo.solo.io/v2
  kind: OutlierDetectionPolicy
  metadata: {name: calm, namespace: shop}
  spec:
    applyToDestinations: [{kind: VIRTUAL_DESTINATION, selector: {labels: {team: none}}}]
    config: {consecutiveErrors: 2}
"""
GATEWAY = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: lost, namespace: shop, creationTimestamp: '2025-01-01T00:00:00Z'}
  spec:
    workloads: [{selector: {labels: {app: %s}}}]
    listeners: [{http: {}, port: {number: %d}%s}]
"""
DESTINATION = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualDestination
  metadata: {name: %s, namespace: shop, creationTimestamp: '%s'}
  spec:
    hosts: [x.example]
    services: [{labels: {app: cart}}]
    ports: [{number: 80, protocol: HTTP, targetPort: {name: http}}]
"""
TLS = ", tls: {mode: SIMPLE, secretName: other}, allowedRouteTables: [{host: '*.shop.example'}]"
OLD, NEW = "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
ONE = table("www", ["www.shop.example"], REST)


def found(text: str) -> list[Conflict]:
    return list(conflicts(world(text)))


def of(code: str, text: str) -> list[tuple[str, str]]:
    return [(c.key.name, c.path) for c in found(text) if c.code == code]


def test_the_examples_have_no_conflict() -> None:
    assert conflicts(translate_folder(EXAMPLES, PLACE).outcome.translator) == ()


def test_one_table_on_one_gateway_is_no_conflict() -> None:
    assert found(ONE) == []


def test_a_route_behind_one_that_takes_everything_is_shadowed() -> None:
    [one] = [c for c in found(table("www", ["www.shop.example"], TWO)) if c.code == SHADOWED][:1]
    assert (one.key.name, one.path, one.severity) == ("www", "spec.http[1]", "warning")
    assert "route cart-www.shop.mgmt (prefix /cart) is never reached" in one.message
    assert "route all-www.shop.mgmt (prefix /) of RouteTable shop/www in cluster mgmt, spec.http[0]" in one.message


def test_routes_of_a_younger_table_on_the_same_host_can_be_shadowed() -> None:
    cart = "[{name: cart, matchers: [{uri: {prefix: /cart}}], directResponse: {status: 200}}]"
    deep = "[{name: deep, matchers: [{uri: {exact: /cart/x}}], directResponse: {status: 200}}]"
    both = table("a", ["www.shop.example"], cart, OLD) + table("b", ["www.shop.example", "b.shop.example"], deep, NEW)
    assert of("CNF002", both) == [("b", "spec.http[0]")]  # at its other host it is reached
    assert of(SHADOWED, both) == []
    assert of("CNF003", both) == [("b", "spec.hosts")]
    alone = table("b", ["www.shop.example"], deep, NEW)
    assert of(SHADOWED, table("a", ["www.shop.example"], cart, OLD) + alone) == [("b", "spec.http[0]")]


def test_a_host_within_a_wildcard_of_another_table_is_told() -> None:
    assert of("CNF004", ONE + table("wild", ["*.shop.example"], REST, NEW)) == [("www", "spec.hosts")]
    assert of("CNF004", table("both", ["*.shop.example", "www.shop.example"], REST)) == []


@pytest.mark.parametrize(
    ("code", "text", "names"),
    [
        ("CNF005", ONE + GATEWAY % ("gateway", 80, TLS), {"lost"}),
        ("CNF006", ONE + DESTINATION % ("a", OLD) + DESTINATION % ("b", NEW), {"b"}),
        ("CNF011", ONE + table("none", ["none.example"], REST).replace("name: edge", "name: nowhere"), {"none"}),
        ("CNF012", ONE + GATEWAY % ("nobody", 80, ""), {"lost"}),
        ("CNF013", ONE + GATEWAY % ("nobody", 80, ""), {"lost"}),
        ("CNF014", ONE + DESTINATION % ("a", OLD), {"a"}),
        ("CNF015", ONE + CALM, {"calm"}),
    ],
)
def test_what_is_in_the_way_or_unused_is_named(code: str, text: str, names: set[str]) -> None:
    assert {name for name, _ in of(code, text)} == names


def test_two_policies_on_one_target_are_told() -> None:
    [calm] = yaml.safe_load(CALM.replace("team: none", "app: cart"))
    other = {**calm, "metadata": {**calm["metadata"], "name": "calmer"}}
    labelled = (DESTINATION % ("cart", OLD)).replace("namespace: shop,", "namespace: shop, labels: {app: cart},")
    assert {n for n, _ in of("CNF007", ONE + labelled + yaml.safe_dump([calm, other]))} <= {"calm", "calmer"}
    assert of("CNF007", ONE + labelled + yaml.safe_dump([calm, other]))


def test_no_request_is_taken_by_a_shadowed_matcher() -> None:
    seen = 0
    for seed in range(30):
        translator = configuration(seed).translator
        dead = {
            (c.key, c.path, c.message.partition(" is never")[0]) for c in conflicts(translator) if c.code == SHADOWED
        }
        seen += len(dead)
        random = Random(seed)
        for tried in (request(random) for _ in range(60)):
            asked = parse_request(tried.url, tried.method, tried.headers)
            for _, serving in doors(translator) if asked.path is not None else ():
                routes = host_routes(translator, serving, asked.host)
                winner = taken(routes.tried, asked)
                if winner is not None:
                    c = routes.tried[winner]
                    words = f"route {c.route.name} ({matcher_text(c.matcher)})"
                    assert (c.route.source.ref, c.route.source.path, words) not in dead
    assert seen > 10


def test_every_code_says_what_to_do() -> None:
    assert all(c.hint and c.meaning and c.severity in ("warning", "info") for c in CODES.values())


def test_the_page_lists_every_code() -> None:
    page = (EXAMPLES.parent / "docs" / "answers.md").read_text()
    assert [code for code in CODES if code not in page] == []
