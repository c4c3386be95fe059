"""`explain route` names the route, the destinations and the policies that a real Envoy uses, for random requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from random import Random

import pytest
from explain_envoy import Answer, Closed, Gateways, clusters, forwarded, running
from random_world import GATEWAY, Configuration, Try, configuration, request

from fingerpost.relay.route_forms import Form
from mgmt.explain import explain_route, parse_request
from mgmt.explain.answer import GatewayAnswer, Verdict
from tests.conformance.route_forms import BOTH

pytestmark = pytest.mark.envoy

_PORTS = {80: 8080, 443: 8443, 81: 8081}
_CONFIGURATIONS = 20
_REQUESTS = 30  # for each


def explained(one: Configuration, tried: Try) -> GatewayAnswer:
    asked = parse_request(tried.url, tried.method, tried.headers)
    return explain_route(one.translator, asked, GATEWAY).gateways[0]


def _done(gateways: Gateways, index: int, tried: Try) -> Answer | None:
    asked = parse_request(tried.url, tried.method, tried.headers)
    sni = asked.sni if asked.scheme == "https" else ""
    try:
        return gateways.ask(index, _PORTS[asked.port], sni, asked.authority, tried.target, tried.method, tried.headers)
    except Closed:
        return None


def agree(said: GatewayAnswer, done: Answer | None) -> bool:
    if done is None:
        return said.verdict is Verdict.NO_LISTENER
    route = said.route.name if said.route else ""
    wanted = {d.envoy_cluster for d in said.route.destinations} if said.route else set()
    if done.route != route or bool(done.cluster) != bool(wanted):
        return False
    if wanted:
        return done.cluster in wanted
    if said.verdict is Verdict.HTTPS_REDIRECT and not done.location.startswith("https://"):
        return False
    return said.verdict is not Verdict.NO_LISTENER and said.status == done.status


def _destinations_agree(forwarding: Mapping[str, Collection[frozenset[str]]], said: GatewayAnswer) -> bool:
    """Not only the one that this request went to."""
    if not said.route or not said.route.destinations:
        return True
    return frozenset(d.envoy_cluster for d in said.route.destinations) in forwarding[said.route.name]


def _policies_agree(one: Configuration, said: GatewayAnswer) -> bool:
    """Outlier detection shows in the cluster, not in an answer."""
    served = clusters(one)
    destinations = said.route.destinations if said.route else ()
    return all(
        served[d.envoy_cluster].HasField("outlier_detection") == any(p.policy.name == "calm" for p in d.policies)
        for d in destinations
    )


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.spec("C-41")
def test_explain_says_what_envoy_does(tmp_path_factory: pytest.TempPathFactory, form: Form) -> None:
    configurations = [configuration(seed) for seed in range(_CONFIGURATIONS)]
    seen: Counter[Verdict] = Counter()
    policies = several = 0
    with running(configurations, tmp_path_factory.mktemp("explain"), form) as gateways:
        for index, one in enumerate(configurations):
            random, forwarding = Random(1000 + index), forwarded(one)
            for tried in (request(random) for _ in range(_REQUESTS)):
                said, done = explained(one, tried), _done(gateways, index, tried)
                assert agree(said, done), (index, tried, done, said)
                assert _policies_agree(one, said), (index, tried, said)
                assert _destinations_agree(forwarding, said), (index, tried, said)
                several += len(said.route.destinations) > 1 if said.route else 0
                seen[said.verdict] += 1
                policies += sum(len(d.policies) for d in said.route.destinations) if said.route else 0
    # A sample that shows nothing would prove nothing.
    assert several > 10
    assert sum(seen.values()) >= 300
    assert all(seen[verdict] >= 10 for verdict in Verdict if verdict is not Verdict.REFUSED), seen
    assert seen[Verdict.ROUTE] >= 100
    assert policies >= 10
