"""Who gets an answer on the xDS port, and which secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from xds_certificates import self_signed
from xds_support import GATEWAY, Rig, destination, listener, stream

from agent.admin.app import admin_app
from agent.xds.ports import CertificateFiles
from agent.xds.tokens import Tokens, ensure_token
from agent.xds.wire import CDS, SDS


def request(type_url: str = CDS, node: str = f"{GATEWAY}/p0", names: tuple[str, ...] = ()) -> bytes:
    message = discovery_pb2.DiscoveryRequest(type_url=type_url, resource_names=names)
    message.node.id = node
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("token", [None, "guessed"])
async def test_without_a_valid_token_there_is_no_answer(rig: Rig, token: str | None) -> None:
    rig.push(destination("cart"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream(rig.port, token, request())
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_is_good_for_its_own_gateway_only(rig: Rig) -> None:
    rig.push(destination("cart"))
    other = ensure_token(rig.folder / "tokens", "ingress/other")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream(rig.port, other, request())
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    own = ensure_token(rig.folder / "tokens", GATEWAY)
    answer = discovery_pb2.DiscoveryResponse.FromString(await stream(rig.port, own, request()))
    assert len(answer.resources) == 1


async def test_tokens_can_be_read_by_their_owner_only(rig: Rig) -> None:
    rig.push(destination("cart"))
    [file] = (rig.folder / "tokens").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("ingress_gw", 0o600)


async def test_a_token_that_cannot_be_kept_ends_nothing_and_is_made_when_there_is_room(rig: Rig) -> None:
    tokens = rig.folder / "tokens"
    tokens.write_text("no folder")
    rig.push(destination("cart"))
    tokens.unlink()
    own = Tokens(tokens).ensure(GATEWAY)
    answer = discovery_pb2.DiscoveryResponse.FromString(await stream(rig.port, own, request()))
    assert len(answer.resources) == 1


async def test_who_asks_for_a_bootstrap_is_told_that_the_token_cannot_be_kept(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    folder.write_text("no folder")
    agent: Any = SimpleNamespace(tokens=Tokens(folder), xds_address="127.0.0.1:1", cluster="east")
    transport = httpx.ASGITransport(admin_app(agent, lambda: b""), client=("127.0.0.1", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        full = await client.get("/bootstrap", params={"gateway": GATEWAY})
        folder.unlink()
        assert (await client.get("/bootstrap", params={"gateway": GATEWAY})).status_code == 200
    assert full.status_code == 503
    assert f"the token of {GATEWAY} cannot be kept" in full.json()["error"]
    assert str(folder) in full.json()["error"]


async def test_only_secrets_that_the_gateways_listeners_name_are_served(rig: Rig) -> None:
    rig.secrets["ingress", "named"] = self_signed("a.example")
    rig.secrets["ingress", "other"] = self_signed("b.example")
    own = self_signed("gw")
    rig.certificates[GATEWAY] = CertificateFiles(own["tls.crt"], own["tls.key"], own["tls.crt"])
    rig.push({("listener", "https"): listener(8443, secrets=[("a.example", "named")])})
    token = ensure_token(rig.folder / "tokens", GATEWAY)
    asked = ("default", "ROOTCA", "kubernetes://named", "kubernetes://other")
    answer = await stream(rig.port, token, request(SDS, names=asked))
    served = []
    for resource in discovery_pb2.DiscoveryResponse.FromString(answer).resources:
        secret = secret_pb2.Secret()
        assert resource.Unpack(secret)
        served.append(secret.name)
    assert sorted(served) == ["ROOTCA", "default", "kubernetes://named"]


async def test_a_secret_whose_key_is_another_ones_is_reported_and_not_served(rig: Rig) -> None:
    rig.secrets["ingress", "mixed"] = self_signed("a.example") | {"tls.key": self_signed("b.example")["tls.key"]}
    rig.push({("listener", "https"): listener(8443, secrets=[("a.example", "mixed")])})
    [told] = (await rig.told.until(lambda a: bool(a.deviations))).deviations
    assert told.message == "secret ingress/mixed in cluster east: the key does not belong to the certificate"


async def test_a_proxy_of_an_unknown_gateway_waits_and_is_never_told_that_there_is_nothing(rig: Rig) -> None:
    rig.gateways.get(GATEWAY)
    token = ensure_token(rig.folder / "tokens", GATEWAY)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(stream(rig.port, token, request()), name="proxy")
        async with asyncio.timeout(10):
            while not rig.gateways.get(GATEWAY).sessions:
                await asyncio.wait([asked], timeout=0.01)
        rig.push(destination("cart"))
        answer = discovery_pb2.DiscoveryResponse.FromString(await asked)
    assert len(answer.resources) == 1
