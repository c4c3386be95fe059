"""All parts of the agent, joined. `agent.running` opens what they stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any, Never

import msgspec
import structlog

from agent.admin import dumps
from agent.admin.app import admin_app
from agent.apply.certificates import Certificates, spiffe
from agent.apply.gateway import GatewayState
from agent.apply.istio import TYPES as ISTIO_TYPES
from agent.apply.istio import IstioObjects
from agent.discovery.kinds import NODE, POD, SECRET, SERVICE, SLICE, is_passed_on
from agent.discovery.selectors import MESH_CONFIG, DiscoverySelectors, names
from agent.discovery.world import Derived, World
from agent.keeping import Keeping
from agent.relay.away import Away
from agent.relay.desired import DesiredState, Key
from agent.relay.facts import Fact, Facts
from agent.relay.link import AgentIdentity, AgentLink
from agent.relay.options import chosen_trust
from agent.relay.pull import Pull
from agent.relay.push import Push
from agent.settings import Settings
from agent.signing import ServerAuthority
from agent.statuses import Statuses
from agent.tracks import Tracks
from agent.xds.callers import AccountCallers, Callers, TokenCallers
from agent.xds.gateways import Gateways
from agent.xds.ports import Applied, NoReports, Reports
from agent.xds.server import AdsServer
from fingerpost import __version__
from fingerpost.api.internal.discovered_gateway import DiscoveredGateway
from fingerpost.api.kinds import KINDS
from fingerpost.background import background
from fingerpost.cluster.leading import Leading
from fingerpost.cluster.protocol import Batch, Cluster
from fingerpost.http import listen
from fingerpost.memory import settle
from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.interest import Interest
from fingerpost.relay.objects import CLUSTER_SCOPE, ISTIO_SCOPE
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.settings import RelaySettings
from fingerpost.secrets.protocol import Secrets
from fingerpost.telemetry import Telemetry
from fingerpost.tracing import Tracer

log = structlog.get_logger()
_GATEWAY = "internal.gloo.solo.io/DiscoveredGateway"
_PASSED_ON = tuple(kind.type for kind in KINDS if is_passed_on(kind.type))
_LET_GO = 2.0  # seconds
_READ = frozenset({SERVICE, SLICE, POD, NODE})
_DERIVED = frozenset({_GATEWAY, "fingerpost.dev/ServiceFacts", "fingerpost.dev/SecretFacts"})  # from what is read
# What this agent reads and pushes, announced even when there is none: the server knows an empty listing from a missing
# one, and lets go what it still holds of a kind whose last object went while this agent was away.
_ALWAYS = frozenset({SERVICE, *_DERIVED, *_PASSED_ON})
TYPES = (*_READ, SECRET, MESH_CONFIG, *_PASSED_ON, *ISTIO_TYPES)
_PATIENCE = 8.0  # seconds to wait for the cluster's first listing before proxies are served (M-9: 10 s)
_gateway = msgspec.json.Decoder(DiscoveredGateway)


class Agent:
    """All parts of one agent, joined. `observed` hears what is offered and applied besides the relay (for
    measurements).
    """

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        metrics: Telemetry,
        secrets: Secrets,
        keeping: Keeping,
        leading: Leading,
        instance: str,
        tracer: Tracer,
        observed: Reports | None = None,
    ) -> None:
        self.settings, self._folder, self._metrics, self._kept = settings, cluster, metrics, keeping.certificates
        self._observed = observed or NoReports()
        self.tokens, self._keeper = keeping.tokens, keeping.gateways
        self._callers: Callers = TokenCallers(self.tokens)
        if (outputs := cluster.outputs) is not None:
            self._callers = AccountCallers(outputs, self._accounts_of, self._callers)
        meshes = names(settings.mesh_configs)
        cluster.want(MESH_CONFIG, meshes)
        self._selectors = DiscoverySelectors(meshes)
        self.world = World(settings.cluster, keeping.key)
        self._tracks = Tracks(tracer, settings.cluster)
        self.desired = DesiredState(self._on_version)
        self.desired.took = self._tracks.took
        self.pull = Pull(self.desired, self._on_interest)
        relay = RelaySettings(heartbeat=settings.heartbeat, retry_ceiling=settings.retry_ceiling)
        self.push = Push(relay, self._relist)
        self.push.pushed = self._tracks.pushed
        self._certificates = Certificates(
            keeping.certificates, ServerAuthority(self.pull), self._certificate_changed, lambda: leading.held
        )
        keeping.certificates.changed = self._certificates.look_again
        self.gateways_ = Gateways(
            settings.cluster,
            local=self.world,
            secrets=self.world,
            certificates=self._certificates,
            localities=self.world,
            reports=self,
            store=self._keeper,
            found=self.tokens.ensure,
        )
        self.istio = IstioObjects(settings.cluster, cluster.outputs, self, self.desired, lambda: leading.held)
        identity = AgentIdentity(
            cluster=settings.cluster,
            cluster_uid=cluster.uid,
            instance=instance,
            version=__version__,
            authority=settings.authority,
        )
        self.trust = chosen_trust(settings, cluster.uid, secrets)
        self._away = Away(settings, metrics, self.trust)
        self.link = AgentLink(
            settings.server_address, identity, self.push, self.pull, relay, self._away.lost, self.trust
        )
        self.link.leads = lambda: leading.held
        self._leading, leading.changed = leading, self._led
        self._statuses = Statuses(settings.cluster, cluster, lambda: leading.held)
        self.pull.on_arrivals = self._statuses.arrived
        self._listed = asyncio.Event()
        self._announced: set[str] = set()
        self._asked = Interest()
        self._owed: bytes | None = None  # the digest of an Interest, while Secrets are read for it
        self._letting_go: asyncio.TimerHandle | None = None
        self.xds_port = 0
        self.admin_port = 0

    def _accounts_of(self, gateway: str) -> tuple[str, ...]:
        namespace, _, name = gateway.partition("/")
        body = self.world.facts.get(ObjectKey(_GATEWAY, self.settings.cluster, namespace, name))
        return () if body is None else _gateway.decode(body).spec.service_accounts

    def _certificate_changed(self, gateway: str) -> None:
        self.gateways_.certificate_changed(gateway)

    # ---------------------------------------------------------------- the cluster's side

    async def _watch(self) -> Never:
        async with aclosing(self._folder.watch()) as batches:  # type: ignore[type-var]  # every watch is a generator
            async for batch in batches:
                self._take(batch)
        raise RuntimeError("the watch of the cluster ended")

    def _take(self, batch: Batch) -> None:
        self.istio.saw(batch.changes, listed=batch.listed)
        discovered = self._selectors.take(batch).changes  # Istio's objects are followed wherever they are
        derived = self.world.apply(discovered, listed=batch.listed, unlisted=batch.unlisted)
        self._spread(derived, batch.seen_unix_nanos, self._tracks.saw(batch) if derived.facts else "")
        if batch.listed:
            types = (_ALWAYS | self.push.facts.types.keys()) - batch.unlisted
            self.push.complete(types if _READ.isdisjoint(batch.unlisted) else types - _DERIVED)
            self._listed.set()
        self._say_answered()

    def _spread(self, derived: Derived, seen_unix_nanos: int = 0, traceparent: str = "") -> None:
        facts = [Fact(key.type, key.namespace, key.name, body) for key, body in derived.facts]
        if facts:
            self.push.update(facts, seen_unix_nanos, traceparent)
            new = {fact.type for fact in facts} - self._announced
            if new and self._listed.is_set():
                self.push.complete(new)
            self._announced |= new
            self._want_certificates(derived)
        if derived.services_changed:
            self.gateways_.services_changed(derived.services_changed)
        if derived.nodes_changed:
            self.gateways_.places_changed()
        if derived.secrets_changed:
            self.gateways_.secrets_changed(derived.secrets_changed)

    def _want_certificates(self, derived: Derived) -> None:
        for key, body in derived.facts:
            if key.type != _GATEWAY:
                continue
            name = f"{key.namespace}/{key.name}"
            accounts = _gateway.decode(body).spec.service_accounts if body is not None else ()
            if accounts:
                self._certificates.want(name, spiffe(self.settings.trust_domain, key.namespace, accounts[0]))
            else:
                self._certificates.forget(name)

    async def _relist(self, types: tuple[str, ...]) -> None:
        """The folder's next batch brings everything anew; the push waits for it (design D6)."""
        await self._folder.relist()
        await asyncio.sleep(0)

    # ---------------------------------------------------------------- the server's side

    def _on_version(
        self,
        scope: str,
        version: int,
        changed: Mapping[Key, PieceList | None],
        keep: Mapping[str, str],
        confirmed: bool,
        seen_unix_nanos: int,
    ) -> None:
        if scope == CLUSTER_SCOPE:
            self._statuses.take(changed)
            self.pull.report(ScopeApplied(scope=scope, watermark=version))
        elif scope == ISTIO_SCOPE and scope in self.desired.scopes:
            self.istio.on_version(version, changed, keep, confirmed=confirmed)
        elif scope == ISTIO_SCOPE:
            self.istio.on_gone(version, confirmed=confirmed)
        elif scope in self.desired.scopes:
            self.gateways_.on_version(
                scope, version, changed, keep, confirmed=confirmed, seen_unix_nanos=seen_unix_nanos
            )
        else:
            self.gateways_.on_gone(scope, version, confirmed=confirmed)

    def _on_interest(self, interest: Interest, digest: bytes) -> None:
        """What is not asked about any more is told for a while: an agent that stood still hears of old questions first,
        and what went and came again must not go here.
        """
        self._hold_on()
        self._answer(self._asked.joined(interest))
        if self._asked != interest:
            self._letting_go = asyncio.get_running_loop().call_later(_LET_GO, self._answer, interest)
        reading, self._owed = self._owed is not None, digest
        if not reading:
            self._say_answered()

    def _say_answered(self) -> None:
        """Facts about Secrets come when these have been read."""
        if self._owed is not None and not self._folder.unread(SECRET):
            self.push.answered(self._owed)
            self._owed = None

    def _hold_on(self) -> None:
        if self._letting_go is not None:
            self._letting_go.cancel()

    def _answer(self, interest: Interest) -> None:
        self._asked = interest
        self._folder.want(SECRET, names(interest.secrets))
        self._spread(self.world.set_interest(interest.secrets, interest.label_keys, interest.services))

    def _led(self, held: bool) -> None:
        """This agent begins or ceases to lead: from now on, or no longer, it writes and pushes."""
        if held:
            self._keeper.take_over()
            self._certificates.look_again()
            self.istio.take_over()
            if (own := self.desired.scopes.get(CLUSTER_SCOPE)) is not None:
                self._statuses.take(own.lists)
        self.link.role_changed()

    def on_applied(self, applied: Applied) -> None:
        self.pull.report(applied.answer())
        self._tracks.applied(applied)
        self._observed.on_applied(applied)

    def on_offered(self, scope: str, version: int, seen_unix_nanos: int) -> None:
        self._tracks.offered(scope, version)
        self._observed.on_offered(scope, version, seen_unix_nanos)

    # ---------------------------------------------------------------- for the admin side

    @property
    def cluster(self) -> str:
        return self.settings.cluster

    @property
    def xds_address(self) -> str:
        return f"{self.settings.xds_address.rpartition(':')[0]}:{self.xds_port}"

    def checks(self) -> dict[str, bool]:
        serving = self.pull.connected or (bool(self.gateways_.states()) and self.trust.finding is None)
        # A standby whose leader was never let in is not answered either, and could not take over if a rollout waited
        # for it to be ready before it ends the leader.
        serving = serving or (not self._leading.held and self.link.reached)
        return {"cluster listed": self._listed.is_set(), "serving": serving, "server connected": self.pull.connected}

    @property
    def ready(self) -> bool:
        """Also while the server is away, with what is kept (M-9). Not with a certificate that shuts the agent out."""
        return all(holds for name, holds in self.checks().items() if name != "server connected")

    @property
    def facts(self) -> Facts:
        return self.push.facts

    @property
    def config_version(self) -> int:
        return self.desired.config_version

    def served(self) -> Mapping[str, GatewayState]:
        states = dict(self.gateways_.states())
        if self.istio.state.known:
            states[ISTIO_SCOPE] = self.istio.state
        return states

    def queues(self) -> dict[str, Any]:
        return {"push": self.push.queues, "pull": self.desired.queues, "connected": self.pull.connected}

    def gateways(self) -> list[dict[str, Any]]:
        return [dumps.gateway(name, state) for name, state in sorted(self.served().items())]

    def release(self, gateway: str) -> bool:
        return self.istio.release() if gateway == ISTIO_SCOPE else self.gateways_.release(gateway)

    async def release_folder(self) -> int:
        return await self._folder.release()

    def findings(self) -> list[dict[str, str]]:
        told = (*self._folder.findings, *self._selectors.findings)
        found = [{"source": f.source, "code": f.code, "message": f.message} for f in told]
        found += [{"source": "", **one._asdict()} for one in self.trust.unusable()]
        if not self.pull.connected and (kept := self._away.finding(self.link)):
            found.append({"source": self.settings.server_address, **kept._asdict()})
        return found

    # ---------------------------------------------------------------- running

    async def restore(self) -> None:
        """Serve what was served before, whether the server is there or not (M-9)."""
        states = await self._keeper.read()
        for state in states:
            self.desired.restore(state.scope, state.version, state.wanted, state.keep)
        self.gateways_.restore(states)

    async def _know_the_cluster(self) -> None:
        """An Envoy must not be told that there are no endpoints because they were not listed yet."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._listed.wait()
        except TimeoutError:
            log.warning("cluster.listing.late", cluster=self.cluster, remedy="look at the findings of this agent")

    async def _speak(self) -> Never:
        """The server is to hear of what an earlier process has left, so that is found out first; but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self.istio.adopted.wait()
        await self.link.run()

    async def _settle_memory(self) -> None:
        await self._listed.wait()
        await settle()

    async def _beat(self) -> Never:
        while True:
            self._metrics.set("relay_agent_connected", float(self.pull.connected))
            await asyncio.sleep(5)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.restore()
        await self.trust.begin()
        await self._leading.begin()
        async with AsyncExitStack() as stack:
            # ends last: only who leads may write what the others write at their end
            await stack.enter_async_context(background({"agent.lease": self._leading.run()}))
            keeping = {"agent.kept": self._kept.run(), "agent.keeper": self._keeper.run()}
            await stack.enter_async_context(background(keeping))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            watching = tasks.create_task(self._watch(), name="agent.watch")
            stack.callback(watching.cancel)
            if self._folder.outputs is not None:
                await self._know_the_cluster()
            xds = AdsServer(self.gateways_, self._callers).serve(self.settings.xds_address)
            self.xds_port = await stack.enter_async_context(xds)
            admin = listen(admin_app(self, self._metrics.exposition), self.settings.admin_address, "admin_address")
            self.admin_port = (await stack.enter_async_context(admin)).port
            work = {
                "agent.link": self._speak(),
                "agent.istio": self.istio.run(),
                "agent.trust": self.trust.run(),
                "agent.certificates": self._certificates.run(),
                "agent.statuses": self._statuses.run(),
                "agent.resolver": self.gateways_.resolver.run(),
                "agent.beat": self._beat(),
                "agent.memory": self._settle_memory(),
            }
            running = [tasks.create_task(task, name=name) for name, task in work.items()]
            for task in running:
                stack.callback(task.cancel)
            stack.callback(self._hold_on)
            log.info("agent.ready", cluster=self.cluster, xds=self.xds_port, admin=self.admin_port)
            yield
