"""What the change of one endpoint costs in a fleet of fifty clusters and ten thousand routes (M-55).

Measured is the time of the processor, of which a busy machine takes nothing away: all of it is one thread's work.
"""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from fleet_of_shops import east_west, facts, service, virtual_destination

from agent.discovery.world import World
from fingerpost.cluster.protocol import Change
from fingerpost.objects import ObjectKey
from mgmt.translate.translator import translate
from tests.fleet import fleet_manifests as m
from tests.plain_world import PLACE, entry

CLUSTERS = [f"c{number}" for number in range(50)]
APPS, TABLES, ROUTES = 20, 1000, 10
EDITS = 200
Json = dict[str, Any]


def _route(number: int) -> Json:
    ref = {"ref": {"name": f"app{number % APPS}"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}
    return m.to(f"/path-{number}", ref, f"route-{number}")


def _away(cluster: str, number: int) -> list[Json]:
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("shop", "gw")]
    spec = {
        "workloadLabels": {"app": "gateway"},
        "ports": [{"number": 80, "name": "http2", "target": 8080}, {"number": 15443, "name": "tls", "target": 15443}],
        "serviceType": "LOAD_BALANCER",
        "externalAddresses": [{"address": f"192.0.2.{number + 1}"}],
    }
    metadata = {"name": "ingress", "namespace": "gw"}
    kind = "DiscoveredGateway"
    return [*spaces, {"apiVersion": "internal.gloo.solo.io/v2", "kind": kind, "metadata": metadata, "spec": spec}]


def _fleet() -> dict[ObjectKey, bytes]:
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in (m.ADMIN_NAMESPACE, "shop")]
    home = [*spaces, m.workspace(), m.virtual_gateway("edge", "shop"), *map(m.registered, CLUSTERS)]
    edge = ("edge", "shop")
    home += [m.table(f"t{t}", [_route(t * ROUTES + r) for r in range(ROUTES)], edge=edge) for t in range(TABLES)]
    out = dict(entry("mgmt", obj) for obj in home) | east_west()
    out |= dict(virtual_destination(number) for number in range(APPS))
    for number, cluster in enumerate(CLUSTERS):
        out |= dict(entry(cluster, obj) for obj in _away(cluster, number))
        for app in range(APPS):
            out |= dict((service(cluster, app), facts(cluster, app, [8000])))
    return out


def _slice(cluster: str, app: int, ready: bool) -> Json:
    """Its one endpoint, which is the service's last: no other change of an endpoint is a change for the server."""
    *_, found = m.service(cluster, f"app{app}", ["127.0.9.9"])
    found["endpoints"][0]["conditions"] = {"ready": ready}
    return found


@pytest.mark.spec("M-55")
def test_a_change_of_one_endpoint_is_translated_in_a_tenth_of_a_second() -> None:
    translator, first = translate(PLACE, _fleet())
    assert len(first.gateways) == len(CLUSTERS)
    assert not translator.engine.failures()
    cluster = CLUSTERS[7]
    world = World(cluster, b"k" * 32)
    objects = [o for app in range(APPS) for o in m.service(cluster, f"app{app}", ["127.0.9.9"])]
    world.apply([Change(*entry(cluster, obj)) for obj in objects], listed=True)
    world.set_interest((), (), tuple(f"shop/app{app}" for app in range(APPS)))
    ready = dict.fromkeys(range(APPS), True)
    gc.collect()
    gc.freeze()  # as the server does after its first turn
    took = []
    try:
        for edit in range(EDITS):
            app = edit % APPS
            ready[app] = not ready[app]
            change = Change(*entry(cluster, _slice(cluster, app, ready[app])))
            began = time.process_time()
            found = world.apply([change], listed=False).facts
            translator.feed(found)
            turn = translator.turn()
            took.append(time.process_time() - began)
            named = {name for changes in turn.classes.values() for kind, name in changes if kind == "endpoints"}
            assert f"outbound|80||app{app}.mesh" in named, "the gateways of all clusters are told"
            assert turn.steps < 200, "what it costs does not grow with the routes"
    finally:
        gc.unfreeze()
    assert sorted(took)[int(0.95 * EDITS)] < 0.1, sorted(took)[-10:]
