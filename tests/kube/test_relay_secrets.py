"""The relay's secrets as Kubernetes Secrets: made by the server, copied by a person, completed by the agent."""

from __future__ import annotations

import asyncio
import base64
import datetime
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from fingerpost.cluster.kubernetes.api import connected
from fingerpost.relay import pki
from fingerpost.secrets.kubernetes import KubernetesSecrets
from fingerpost.secrets.protocol import BLOCKLIST, SecretsFailed
from mgmt.ingest.values import State
from mgmt.relay.secrets import Plan, RelaySecrets
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.api_server import ApiServer
from tests.kube.kube_client import KubeClient, Object, may_read, namespace
from tests.kube.kube_fleet import running_kube_fleet

NAMES = ("relay-root-tls-secret", "relay-client-tls-secret", "relay-identity-token-secret")


def _rights(user: str, names: tuple[str, ...]) -> tuple[Object, Object]:
    """By name, and no listing; only `create` cannot be granted by name."""
    role, binding = may_read(user, "configmaps", named="relay")
    secrets: Object = {"apiGroups": [""], "resources": ["secrets"]}
    role["rules"] = [
        secrets | {"resourceNames": list(names), "verbs": ["get", "watch", "patch"]},
        secrets | {"verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [BLOCKLIST], "verbs": ["get", "watch"]},
    ]
    return role, binding


@asynccontextmanager
async def _secrets(server: ApiServer, user: str, where: str) -> AsyncIterator[KubernetesSecrets]:
    async with connected(server.kubeconfig(user)) as api:
        yield KubernetesSecrets(api, where, "gloo-mesh-agent")


async def test_secrets_with_rights_by_name(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("relay"), *_rights("agent", NAMES))
    root, client, token = NAMES
    async with _secrets(shared_server, "agent", "relay") as secrets:
        assert await secrets.get(client) == {}
        assert await secrets.create(client, {"tls.crt": b"\0one"})
        assert not await secrets.create(client, {"tls.crt": b"two"})
        assert await secrets.get(client) == {"tls.crt": b"\0one"}
        await secrets.put(client, {"tls.crt": b"three", "tls.key": b"k"})
        assert await secrets.get(client) == {"tls.crt": b"three", "tls.key": b"k"}
        await secrets.put(root, {"ca.crt": b"new"})
        with pytest.raises(SecretsFailed, match=r"secret other in namespace relay of .* cannot be read: .*403"):
            await secrets.get("other")
        async with aclosing(secrets.watch([token, BLOCKLIST])) as changes:
            assert {await anext(changes), await anext(changes)} == {token, BLOCKLIST}
            await asyncio.sleep(0)
            await kube.apply(_secret("relay", token, "token", b"t1"))
            assert await _seen(secrets, changes, token, {"token": b"t1"})
            blocked = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ab12": ""}}
            await kube.apply(blocked | {"metadata": {"name": BLOCKLIST, "namespace": "relay"}})
            assert await _seen(secrets, changes, BLOCKLIST, {"ab12": b""})


async def _seen(secrets: KubernetesSecrets, changes: AsyncIterator[str], name: str, wanted: dict[str, bytes]) -> bool:
    async with asyncio.timeout(20):
        async for changed in changes:
            if changed == name and await secrets.get(name) == wanted:
                return True
    return False


def _secret(where: str, name: str, key: str, value: bytes) -> Object:
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {key: base64.b64encode(value).decode()}}


@pytest.mark.spec("M-30")
async def test_registration_by_hand_with_api_servers(tmp_path: Path) -> None:
    root, client, token = NAMES
    where = {"secrets_dir": None}
    async with running_kube_fleet(tmp_path, "east") as fleet, AsyncExitStack() as stack:
        await fleet.apply_world()
        server = await fleet.start_server(**where)

        def warm() -> bool:
            found = server.ingest.states.clusters.get("east")
            return found is not None and found.state is State.WARM

        async def copied(name: str, key: str) -> bytes:
            body = await fleet.kubes["mgmt"].get(_secret(m.ADMIN_NAMESPACE, name, key, b""))
            return base64.b64decode(body["data"][key])

        async with fleet.agent("east", server.relay.port, **where) as agent:
            await until(lambda: agent.trust.finding, why="it says that the root is missing")
            await fleet.apply("east", _secret(m.ADMIN_NAMESPACE, root, "ca.crt", await copied(root, "ca.crt")))
            await fleet.apply("east", _secret(m.ADMIN_NAMESPACE, token, "token", await copied(token, "token")))
            await until(warm, why="warm without a restart")
            assert agent.link.connections == 1
        await fleet.kubes["east"].delete(_secret(m.ADMIN_NAMESPACE, token, "token", b""))
        made = await fleet.kubes["east"].get(_secret(m.ADMIN_NAMESPACE, client, "tls.crt", b""))
        assert set(made["data"]) == {"tls.crt", "tls.key", "ca.crt"}
        assert {f["manager"] for f in made["metadata"]["managedFields"]} == {"gloo-mesh-agent"}
        await stack.enter_async_context(fleet.agent("east", server.relay.port, **where))
        await until(warm, why="warm again without a token")


_MADE = ("relay-root-tls-secret", "relay-server-tls-secret", "relay-tls-signing-secret")


@pytest.mark.spec("C-5", "M-34")
async def test_lost_secrets_come_back_and_a_new_root_needs_a_new_copy_only(tmp_path: Path) -> None:
    root, _, token = NAMES
    where = {"secrets_dir": None}
    async with running_kube_fleet(tmp_path, "east", limit=150) as fleet, AsyncExitStack() as stack:
        await fleet.apply_world()
        mgmt = fleet.kubes["mgmt"]

        async def data(name: str) -> dict[str, str]:
            found = await mgmt.http.get(f"/api/v1/namespaces/{m.ADMIN_NAMESPACE}/secrets/{name}")
            return dict(found.json().get("data") or {})

        async def copy() -> None:
            for name, key in ((root, "ca.crt"), (token, "token")):
                value = base64.b64decode((await data(name))[key])
                await fleet.apply("east", _secret(m.ADMIN_NAMESPACE, name, key, value))

        async with fleet.server(**where) as server:
            await copy()
            agent = await stack.enter_async_context(fleet.agent("east", server.relay.port, **where))
            await until(lambda: agent.pull.connected)
            before = {name: await data(name) for name in _MADE}
            for name in _MADE[:2]:
                await mgmt.delete(_secret(m.ADMIN_NAMESPACE, name, "", b""))
            await fleet.apply("mgmt", _secret(m.ADMIN_NAMESPACE, _MADE[2], "tls.crt", b"garbage"))
            await until(lambda: len(server.gate.info.unusable) == 3, why="each is told")
            sections = await fleet.client.json(server.admin_port, "/check")
            assert str(sections).count("'CHK103'") == 3

            async def back() -> bool:
                return {name: await data(name) for name in _MADE} == before and not server.gate.info.unusable

            await until(back, 40, why="the server has written them back")
            port = server.relay.port
        for name in (*_MADE, token):
            await mgmt.delete(_secret(m.ADMIN_NAMESPACE, name, "", b""))
        server = await fleet.start_server(**where, relay_address=f"127.0.0.1:{port}")
        await until(lambda: agent.trust.finding and agent.trust.finding.code == "RelayUnknownAuthority")
        await copy()
        await until(lambda: agent.pull.connected, 60, why="it has a certificate of the new root")
        assert agent.findings() == []


async def test_a_root_is_succeeded_by_the_leader_and_the_other_replica_follows(
    shared_server: ApiServer, kube: KubeClient
) -> None:
    root, server, signing, token = Plan().root, Plan().server, Plan().signing, Plan().token
    where = "gloo-mesh-rotation"
    await kube.apply(namespace(where), *_rights("agent", (root, server, signing, token)))
    later = datetime.timedelta(0)

    def now() -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + later

    async with _secrets(shared_server, "agent", where) as one, _secrets(shared_server, "agent", where) as two:
        leader, other = RelaySecrets(one, Plan(), now=now), RelaySecrets(two, Plan(), now=now)
        await leader.begin()
        await other.begin()
        first = (await one.get(root))["tls.crt"]
        following = asyncio.ensure_future(other.run())
        later = datetime.timedelta(days=9 * 365)
        try:
            await leader.make(lambda _: False)
            await until(lambda: len(pki.certificates(other.roots)) == 2, why="the other replica hands out both")
            assert (await one.get(root))["tls.crt"] == first
            assert len(pki.certificates((await one.get(server))["ca.crt"])) == 2
            former = other.signing
            await leader.make(lambda _: True)
            await until(lambda: other.signing not in (None, former), why="the other replica signs with the new one")
            successor = (await two.get(root))["tls.crt"]
            assert successor != first
            assert other.signing is not None
            other.signing.leaf.verify_directly_issued_by(pki.certificates(successor)[0])
        finally:
            following.cancel()
            await asyncio.wait([following])
