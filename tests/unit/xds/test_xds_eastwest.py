"""Two gateways with certificates of the agent: mutual TLS between them, and who else is turned away."""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf.json_format import ParseDict
from xds_certificates import Signer
from xds_support import (
    GATEWAY,
    Backend,
    Rig,
    Rule,
    Spot,
    ask,
    cluster,
    destination,
    free_port,
    listener,
    routes,
    table,
    template,
)

from agent.apply.certificates import Certificates, spiffe
from agent.apply.kept import KeptInFolder
from fingerpost.relay.pieces import PieceList, Role, piece

EAST_WEST = "ingress/ew"
SNI = "outbound_.80_._.cart.global"
ADS = {"ads": {}, "resourceApiVersion": "V3"}
OWN = {"tlsCertificateSdsSecretConfigs": [{"name": "default", "sdsConfig": ADS}]}


def tls(kind: str, **more: object) -> dict:
    url = f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}TlsContext"
    return {"name": "envoy.transport_sockets.tls", "typedConfig": {"@type": url, **more}}


def east_west(port: int) -> PieceList:
    roots = {"validationContextSdsSecretConfig": {"name": "ROOTCA", "sdsConfig": ADS}}
    proxy, inspector = (
        f"type.googleapis.com/{m.DESCRIPTOR.full_name}"
        for m in (tcp_proxy_pb2.TcpProxy, tls_inspector_pb2.TlsInspector)
    )
    head = {
        "name": f"eastwest_{port}",
        "address": {"socketAddress": {"address": "0.0.0.0", "portValue": port}},
        "listenerFilters": [{"name": "envoy.filters.listener.tls_inspector", "typedConfig": {"@type": inspector}}],
    }
    forward = {"@type": proxy, "statPrefix": "ew", "cluster": "cart"}
    chain = {
        "filterChainMatch": {"serverNames": [SNI]},
        "transportSocket": tls("Downstream", requireClientCertificate=True, commonTlsContext={**OWN, **roots}),
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typedConfig": forward}],
    }
    parts = [head, {"filterChains": [chain]}]
    return PieceList(
        piece(Role.TOP, "", ParseDict(part, listener_pb2.Listener()).SerializeToString()) for part in parts
    )


def towards(identity: str) -> PieceList:
    """A cluster that speaks mutual TLS where an endpoint says so, and accepts one identity."""
    san = [{"sanType": "URI", "matcher": {"exact": identity}}]
    combined = {
        "defaultValidationContext": {"matchTypedSubjectAltNames": san},
        "validationContextSdsSecretConfig": {"name": "ROOTCA", "sdsConfig": ADS},
    }
    context = tls("Upstream", sni=SNI, commonTlsContext={**OWN, "combinedValidationContext": combined})
    return cluster(
        "remote",
        transportSocketMatches=[{"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transportSocket": context}],
    )


@pytest.mark.envoy
@pytest.mark.spec("D-27")
async def test_a_request_crosses_two_gateways_by_mutual_tls(rig: Rig, backend: Backend) -> None:
    port, crossing = free_port(), free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", backend.port)]
    identity = spiffe("cluster.local", "ingress", "ew")
    rig.certificates = Certificates(KeptInFolder(rig.folder / "certs"), Signer(3600), rig.gateways.certificate_changed)
    there = {"cluster": "west", "remote": [{"address": "localhost", "port": crossing, "mutualTls": True}]}
    rig.gateways.on_version(
        EAST_WEST,
        1,
        {("listener", "ew"): east_west(crossing), **destination("cart")},
        {},
        confirmed=False,
        seen_unix_nanos=time.time_ns(),
    )
    rig.push(
        {
            ("cluster", "remote"): towards(identity),
            ("endpoints", "remote"): template("remote", parts=[there]),
            ("listener", "http"): listener(port),
            ("routes", "http"): routes([Rule(table("www"), "remote")]),
        }
    )
    missing = await rig.told.until(lambda a: bool(a.deviations), EAST_WEST)
    assert missing.deviations[0].message == "gateway ingress/ew in cluster east has no certificate yet"

    rig.certificates.want(EAST_WEST, identity)
    rig.certificates.want(GATEWAY, spiffe("cluster.local", "ingress", "gw"))
    async with asyncio.TaskGroup() as tasks:
        renewal = tasks.create_task(rig.certificates.run(), name="certificates")
        async with rig.envoy(gateway=EAST_WEST), rig.envoy():
            await rig.told.until(lambda a: a.watermark == 1 and a.proxies == 1 and not a.deviations, EAST_WEST)
            await rig.live()
            async with asyncio.timeout(10):
                while await ask(port) != (200, "one"):  # until localhost is resolved
                    pass
            assert await turned_away(crossing, SNI)
            assert await turned_away(crossing, "outbound_.80_._.other.global")
        renewal.cancel()


async def turned_away(port: int, sni: str) -> bool:
    """A client without a certificate gets no byte of an answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=sni)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        return await reader.read() == b""
    except (ssl.SSLError, ConnectionError):
        return True
