"""Small Envoy resources by hand, and an agent's xDS side on loopback with values in place of its neighbours."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf.json_format import ParseDict

from agent.apply.disk import Disk
from agent.discovery.locality import Locality
from agent.xds.bootstrap import bootstrap
from agent.xds.callers import TokenCallers
from agent.xds.gateways import Gateways
from agent.xds.ports import Applied, CertificateFiles
from agent.xds.server import AdsServer
from agent.xds.tokens import Tokens, ensure_token
from fingerpost.relay.pieces import PieceList, Role, field, piece
from fingerpost.relay.route_forms import FORMS, Form
from fingerpost.relay.v1.endpoints_pb2 import EndpointsTemplate
from tests.fleet.fleet_network import listening
from tests.splicing import diff

GATEWAY = "ingress/gw"
ENVOY = str(Path((find_spec("envoy").submodule_search_locations or [""])[0]) / "_bin" / "envoy")
Key = tuple[str, str]


class Spot(NamedTuple):
    address: str
    port: int
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    has_sidecar: bool = False


class Endpoints(dict[tuple[str, str], list[Spot]]):
    """By (namespace, service); ports and subsets do not matter here."""

    def of(self, namespace: str, service: str, port: int, subset: Mapping[str, str]) -> Sequence[Spot]:
        return self.get((namespace, service), ())


class SecretStore(dict[tuple[str, str], dict[str, bytes]]):
    def get(self, namespace: str, name: str) -> Mapping[str, bytes] | None:  # type: ignore[override]
        return dict.get(self, (namespace, name))


class Nowhere:
    def locality_of_proxy(self, namespace: str, instance: str) -> Locality | None:
        return None

    def locality_of_gateway(self, namespace: str, service: str) -> Locality:
        return Locality()


class Certs(dict[str, CertificateFiles]):
    def of(self, gateway: str) -> CertificateFiles | None:
        return self.get(gateway)


class Told:
    """What the xDS side reported, and a way to wait for it."""

    def __init__(self) -> None:
        self.applied: dict[str, Applied] = {}
        self.offered: list[int] = []
        self._news = asyncio.Event()

    def on_applied(self, applied: Applied) -> None:
        self.applied[applied.scope] = applied
        self._news.set()

    def on_offered(self, scope: str, version: int, seen_unix_nanos: int) -> None:
        self.offered.append(version)
        self._news.set()

    async def until(self, condition: Callable[[Applied], bool], scope: str = GATEWAY, timeout: float = 15) -> Applied:
        try:
            async with asyncio.timeout(timeout):
                while scope not in self.applied or not condition(self.applied[scope]):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"never so; last report: {self.applied.get(scope)}") from None
        return self.applied[scope]


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = Told()
        self.local = Endpoints()
        self.secrets = SecretStore()
        self.certificates: Any = Certs()
        self.version = 0
        self.port = 0
        self.lists: dict[Key, PieceList] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        tokens = Tokens(self.folder / "tokens")
        self.disk = Disk(self.folder / "gateways", interval=0.01)
        self.gateways = Gateways(
            "east",
            local=self.local,
            secrets=self.secrets,
            certificates=self,
            localities=Nowhere(),
            reports=self.told,
            store=self.disk,
            found=tokens.ensure,
        )
        self.gateways.restore(self.disk.load())
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self.disk.run(), name="disk"),
                tasks.create_task(self.gateways.resolver.run(), name="resolver"),
            ]
            async with AdsServer(self.gateways, TokenCallers(tokens)).serve(f"127.0.0.1:{self.port}") as self.port:
                yield self
            for task in background:
                task.cancel()

    def of(self, gateway: str) -> CertificateFiles | None:
        found: CertificateFiles | None = self.certificates.of(gateway)
        return found

    def push(
        self,
        changed: Mapping[Key, PieceList | None],
        keep: Mapping[str, str] | None = None,
        confirmed: bool = False,
    ) -> int:
        self.version += 1
        spliced: dict[Key, PieceList | None] = {}
        for key, new in changed.items():
            old = self.lists.get(key)
            if new is None:
                self.lists.pop(key, None)
                spliced[key] = None
                continue
            # as the relay delivers it: spliced from the list before
            now = new if old is None else old.spliced(diff(old.pieces, new.pieces))
            spliced[key] = self.lists[key] = now
        self.gateways.on_version(
            GATEWAY, self.version, spliced, keep or {}, confirmed=confirmed, seen_unix_nanos=time.time_ns()
        )
        return self.version

    async def live(self, version: int | None = None, timeout: float = 15) -> Applied:
        wanted = self.version if version is None else version
        return await self.told.until(lambda a: a.watermark >= wanted and a.proxies > 0, timeout=timeout)

    @asynccontextmanager
    async def envoy(
        self,
        *,
        gateway: str = GATEWAY,
        delta: bool = True,
        bind: str = "127.0.0.1",
        arguments: Sequence[str] = (),
        **more: Any,
    ) -> AsyncIterator[EnvoyProcess]:
        token = ensure_token(self.folder / "tokens", gateway)
        admin = free_port()
        config = bootstrap(
            f"127.0.0.1:{self.port}", gateway, "east", token, bind=bind, admin_port=admin, delta=delta, **more
        )
        async with run_envoy(self.folder, config, admin, arguments) as process:
            yield process


class EnvoyProcess(NamedTuple):
    process: asyncio.subprocess.Process
    admin: str

    async def get(self, path: str) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.admin}{path}")).text


@asynccontextmanager
async def run_envoy(
    folder: Path, config: Mapping[str, Any], admin: int, arguments: Sequence[str] = ()
) -> AsyncIterator[EnvoyProcess]:
    path = folder / f"envoy-{admin}.json"
    path.write_text(json.dumps(config))
    with (folder / f"envoy-{admin}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            ENVOY,
            "-c",
            str(path),
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
            "-l",
            "warning",
            *arguments,
            stdout=log,
            stderr=log,
        )
    try:
        yield EnvoyProcess(process, f"http://127.0.0.1:{admin}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Backend:
    """Answers every request with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Backend]:
        async with listening(self._serve) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def service(name: str) -> str:
    return f"core/Service/east/shop/{name}"


def table(name: str) -> str:
    return f"networking.gloo.solo.io/RouteTable/east/shop/{name}"


def listener(
    port: int,
    routes: str = "http",
    *,
    secrets: Sequence[tuple[str, str]] = (),
    owner: str = "web",
    form: Form = Form.PLAIN,
) -> PieceList:
    """Plain, or with one filter chain per (host, secret)."""
    head = listener_pb2.Listener(name=f"0.0.0.0_{port}")
    head.address.socket_address.address = "0.0.0.0"
    head.address.socket_address.port_value = port
    if form is not Form.PLAIN:
        head.metadata.filter_metadata[FORMS].fields[routes].string_value = form.value
    if secrets:
        inspector = head.listener_filters.add(name="envoy.filters.listener.tls_inspector")
        inspector.typed_config.type_url = (
            "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
        )
    pieces = [piece(Role.TOP, "", head.SerializeToString())]
    for host, secret in secrets or (("", ""),):
        chain = _chain(routes, host, secret)
        whose = f"networking.gloo.solo.io/VirtualGateway/east/ingress/{host or owner}"
        pieces.append(piece(Role.TOP, whose, listener_pb2.Listener(filter_chains=[chain]).SerializeToString()))
    return PieceList(pieces)


def _chain(routes: str, host: str, secret: str) -> listener_components_pb2.FilterChain:
    manager = hcm_pb2.HttpConnectionManager(stat_prefix="http")
    manager.rds.route_config_name = routes
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2
    router = manager.http_filters.add(name="envoy.filters.http.router")
    router.typed_config.Pack(router_pb2.Router())
    chain = listener_components_pb2.FilterChain()
    chain.filters.add(name="envoy.filters.network.http_connection_manager").typed_config.Pack(manager)
    if secret:
        chain.filter_chain_match.server_names.append(host)
        context = tls_pb2.DownstreamTlsContext()
        named = context.common_tls_context.tls_certificate_sds_secret_configs.add(name=f"kubernetes://{secret}")
        named.sds_config.ads.SetInParent()
        named.sds_config.resource_api_version = 2
        chain.transport_socket.name = "envoy.transport_sockets.tls"
        chain.transport_socket.typed_config.Pack(context)
    return chain


class Rule(NamedTuple):
    """One route of one table on one host."""

    owner: str
    cluster: str
    prefix: str = "/"
    regex: str = ""
    host: str = "*"


def routes(rules: Sequence[Rule], name: str = "http") -> PieceList:
    head = route_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=True)
    pieces = [piece(Role.TOP, "", head.SerializeToString())]
    hosts: dict[str, list[Rule]] = {}
    for rule in rules:
        hosts.setdefault(rule.host, []).append(rule)
    for host, members in hosts.items():
        head = route_components_pb2.VirtualHost(name=f"{host}:80", domains=[host]).SerializeToString()
        pieces.append(piece(Role.GROUP, "", bytes((2 << 3 | 2,)) + head))
        for rule in members:
            route = route_components_pb2.Route()
            if rule.regex:
                route.match.safe_regex.regex = rule.regex
            else:
                route.match.prefix = rule.prefix
            route.route.cluster = rule.cluster
            pieces.append(piece(Role.ITEM, rule.owner, field(3, route.SerializeToString())))
    return PieceList(pieces)


def cluster(name: str, owner: str = "", **more: Any) -> PieceList:
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.eds_cluster_config.service_name = name
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = 2
    message.connect_timeout.FromSeconds(1)
    ParseDict(more, message)
    return PieceList([piece(Role.TOP, owner or service(name), message.SerializeToString())])


def template(name: str, owner: str = "", **more: Any) -> PieceList:
    """Backed by the local Service shop/<name>."""
    message = EndpointsTemplate(cluster_name=name)
    part = message.parts.add(cluster="east")
    part.local.namespace, part.local.name, part.local.port = "shop", name, 80
    ParseDict(more, message)
    return PieceList([piece(Role.TOP, owner or service(name), message.SerializeToString())])


def destination(name: str) -> dict[Key, PieceList | None]:
    return {("cluster", name): cluster(name), ("endpoints", name): template(name)}


async def ask(
    port: int, path: str = "/", host: str = "www.shop.example", address: str = "127.0.0.1"
) -> tuple[int, str]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{address}:{port}{path}", headers={"host": host})
    return answer.status_code, answer.text


async def stream(port: int, token: str | None, data: bytes) -> bytes:
    """One request of state of the world, as a proxy would send it; the first response."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
        )(metadata=metadata)
        await call.write(data)
        answer = await call.read()
        assert isinstance(answer, bytes)
        return answer
