"""A server without relay and Redis: a real translator and publisher, and an agent's answers by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import yaml

from fingerpost.cluster.protocol import Finding
from fingerpost.objects import ObjectKey, canonical, content_hash, trim
from fingerpost.relay.applied import ScopeApplied, ScopeException
from fingerpost.tracing import Tracer
from mgmt.admin.app import app
from mgmt.admin.ports import Plane, StoreInfo
from mgmt.bell import Bell
from mgmt.changes.events import Events
from mgmt.changes.journal import Journal
from mgmt.changes.passage import Translated, came
from mgmt.changes.spans import Spans
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.values import ClusterState, ClusterStates, InputChange, State
from mgmt.publish.guard import GuardSettings
from mgmt.publish.publisher import Publisher
from mgmt.relay.gate import Certificate, RelayInfo
from mgmt.status.clusters import cluster_status
from mgmt.store.values import Stored
from mgmt.translate.translator import Translator
from tests.plain_world import HOME, PLACE, key_of

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
MILLI = 1_000_000
DAY = 86400 * SECOND
TABLE = "networking.gloo.solo.io/RouteTable"
WWW = ObjectKey(TABLE, "mgmt", "shop", "www")

SHOP = """
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- apiVersion: admin.gloo.solo.io/v2
  kind: KubernetesCluster
  metadata: {name: east, namespace: gloo-mesh, labels: {region: eu}}
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: edge, namespace: gw}
  spec: {workloads: [{selector: {labels: {app: gateway}}}], listeners: [{http: {}, port: {number: 80}}]}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: www, namespace: shop, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z'}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{name: edge, namespace: gw}]
    http:
    - name: cart
      matchers: [{uri: {prefix: /cart}}]
      forwardTo: {destinations: [{ref: {name: cart, namespace: shop}, kind: VIRTUAL_DESTINATION, port: {number: 80}}]}
    - name: moved
      matchers: [{uri: {prefix: /old}}]
      redirect: {hostRedirect: new.example}
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualDestination
  metadata: {name: cart, namespace: shop}
  spec: {hosts: [cart.shop.example], services: [{namespace: shop, labels: {app: cart}}], ports: [{number: 80, protocol:
  HTTP, targetPort: {name: http}}]}
"""
WORKLOAD = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- {apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop, labels: {app: cart}}, spec: {ports: [{name:
http, port: 8000, targetPort: 8080}], selector: {app: cart}}}
- {apiVersion: fingerpost.dev/v1, kind: ServiceFacts, metadata: {name: cart, namespace: shop}, spec: {readyPorts:
[8000], serviceAccounts: [cart]}}
- {apiVersion: internal.gloo.solo.io/v2, kind: DiscoveredGateway, metadata: {name: ingress, namespace: gw}, spec:
{workloadLabels: {app: gateway, istio: eastwestgateway}, ports: [{number: 80, name: http2, target: 8080}, {number: 443,
name: https, target: 16443}], serviceType: LOAD_BALANCER, externalAddresses: [{address: 127.0.1.9, ports: {}}],
serviceAccounts: [gw]}}
"""


def own_certificate(kind: str, left: int = 300) -> Certificate:
    """Of a year, with so many days left."""
    begins, ends = NOW + (left - 365) * DAY, NOW + left * DAY
    return Certificate(kind=kind, begins=begins, ends=ends, issuer="CN=relay root", fingerprint="ab" * 32)


def warm(replica: str = "mgmt-0", **more: Any) -> ClusterState:
    return ClusterState(
        state=State.WARM,
        ready=True,
        since=NOW - 60 * SECOND,
        replica=replica,
        version="0.1.0",
        peer="127.0.0.1:5",
        **more,
    )


# Of a client certificate of 30 days, 10 of which are left.
LASTING = {"certificate_begins": NOW - 20 * DAY, "certificate_ends": NOW + 10 * DAY}


class Fed:
    """What is asked of `Ingest`, held in the hand."""

    def __init__(self) -> None:
        self.inputs = Inputs()
        self.states = ClusterStates(clusters={"east": warm(**LASTING), "west": warm(**LASTING)})
        self.findings: Sequence[Finding] = ()
        self.seq = 0
        self.synced = self.reached = True
        self.trouble = ""
        self.owns_management = True
        self.mine = {"east", "west"}

    def owns(self, cluster: str) -> bool:
        return cluster in self.mine

    def knows(self, cluster: str) -> bool:
        return self.synced or cluster in self.mine


class World:
    """`put` is one turn; `answer` is an agent's answer about its gateway."""

    def __init__(self, replica: str = "mgmt-0", floor: int = 10) -> None:
        self.fed = Fed()
        self.translator = Translator(PLACE)
        self.relisted: list[str] = []
        self.publisher = Publisher(
            relist=self.relisted.extend, now=lambda: NOW - 30 * SECOND, guard=GuardSettings(floor=floor)
        )
        self.changed: dict[ObjectKey, int] = {}
        self.bell = Bell()
        self.store = StoreInfo(where="127.0.0.1:6379", persistence="appendonly", eviction="noeviction")
        self.folder_released = 0
        self.serving = True
        self.relay = RelayInfo(certificates=(own_certificate("server"), own_certificate("signing")))
        self.journal = Journal(lambda: NOW + MILLI * 8, Spans(Tracer()))
        self.moment = NOW
        self.events = Events(lambda: self.moment)
        self.plane = Plane(
            journal=self.journal,
            events=self.events,
            translator=self.translator,
            publisher=self.publisher,
            ingest=self.fed,
            changed_at=lambda key: self.changed.get(key, 0),
            turns=self.bell,
            version="0.1.0",
            now=lambda: NOW,
            replica=replica,
            folder="clusters/mgmt",
            store=self._store,
            release_folder=self._release_folder,
            serving=lambda: self.serving,
            relay=lambda: self.relay,
            registration=self.registration,
        )
        self.app = app(self.plane)
        everything: dict[ObjectKey, Mapping[str, Any] | None] = {}
        for cluster, text in (("mgmt", HOME + SHOP), ("east", WORKLOAD), ("west", WORKLOAD)):
            for obj in yaml.safe_load(text):
                everything[key_of(cluster, obj)] = obj
        self.put(everything)

    def registration(self, cluster: str) -> Mapping[str, Any]:
        """What the server writes as the status of its KubernetesCluster."""
        state = self.fed.states.clusters.get(cluster)
        return cluster_status(None, state, ever=state is not None, now_unix_nanos=NOW)

    async def _store(self) -> StoreInfo:
        return self.store

    async def _release_folder(self) -> int:
        return self.folder_released

    def put(self, objects: Mapping[ObjectKey, Mapping[str, Any] | None]) -> int:
        self.fed.seq += 1
        for key, obj in objects.items():
            body = None if obj is None else canonical(trim(key.type, dict(obj)))
            self.fed.inputs.put(key, None if body is None else Stored(content_hash(body), body))
            self.translator.feed([(key, body)])
            self.changed[key] = self.fed.seq
        seen = NOW if len(objects) == 1 else 0
        changes = [InputChange(key, None, seen, "", seen and seen + MILLI) for key in objects]
        turn = self.translator.turn()
        work = Translated(came(changes), NOW + 2 * MILLI, NOW + 5 * MILLI, turn.steps)
        passage = self.journal.translated(work, self.fed.seq, NOW + 6 * MILLI)
        self.journal.published(passage, self.publisher.publish(turn, self.fed.seq))
        self.bell.ring()
        return self.fed.seq

    def body(self, key: ObjectKey) -> dict[str, Any]:
        stored = self.fed.inputs.get(key)
        assert stored is not None
        found: dict[str, Any] = json.loads(stored.body)
        return found

    def edit(self, key: ObjectKey = WWW) -> int:
        """Another redirect; the generation grows, as a cluster would have it."""
        obj = self.body(key)
        obj["metadata"]["generation"] += 1
        obj["spec"]["http"][1]["redirect"]["hostRedirect"] = f"new{obj['metadata']['generation']}.example"
        return self.put({key: obj})

    def answer(
        self, cluster: str, *exceptions: ScopeException, watermark: int | None = None, proxies: int = 1, **more: Any
    ) -> None:
        applied = ScopeApplied(
            scope="gw/ingress",
            watermark=self.fed.seq if watermark is None else watermark,
            proxies=proxies,
            exceptions=exceptions,
            **more,
        )
        self.publisher.applied(cluster, self.fed.seq, [applied])
        self.journal.applied(cluster, [applied])

    def client(self, host: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(host, 4711))
        return httpx.AsyncClient(transport=transport, base_url="http://server")

    async def get(self, path: str, expect: int = 200, **query: str) -> Any:
        async with self.client() as client:
            response = await client.get(path, params=query)
        assert response.status_code == expect, response.text
        return response.json()


def healthy() -> World:
    world = World()
    world.answer("east")
    world.answer("west")
    return world
