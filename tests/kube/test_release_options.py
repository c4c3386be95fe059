"""The options of relay.md §5.3, each installed anew: values and Secrets as the table there has them, and no others."""

from __future__ import annotations

import base64
import datetime
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from fingerpost.relay import pki
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.kube_client import Object, namespace
from tests.kube.release import begin_release, enroll, pods, ready, relay_address, remove_release, said

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
SERVER, AGENT = "gloo-mesh-mgmt-server", "gloo-mesh-agent"
ROOT, SERVED, SIGNING = "relay-root-tls-secret", "relay-server-tls-secret", "relay-tls-signing-secret"
CLIENT, TOKEN = "relay-client-tls-secret", "relay-identity-token-secret"
DAY = datetime.timedelta(days=1)
_TOKEN_ONLY = {"RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION": {"value": "true"}, "RELAY_TOKEN": {"value": "t0k3n"}}
_SHOWN = {"RELAY_TOKEN": {"value": "t0k3n"}}
_BLIND = {"RELAY_DISABLE_SERVER_CERTIFICATE_VALIDATION": {"value": "true"}}


class Option(NamedTuple):
    """`server` and `agent` are values, `brought` the Secrets that a person makes, `copied`: root and token are."""

    server: dict[str, Any] = {}
    agent: dict[str, Any] = {}
    brought: tuple[str, ...] = ()
    copied: bool = False
    insecure: bool = False


OPTIONS = {
    "0": Option(insecure=True),
    "1": Option({"extraEnvs": _TOKEN_ONLY}, {"extraEnvs": _SHOWN | _BLIND}),
    "2": Option(
        {"extraEnvs": _TOKEN_ONLY, "relay": {"disableCa": True, "disableCaCertGeneration": True}},
        {"extraEnvs": _SHOWN},
        (ROOT, SERVED),
    ),
    "3": Option(copied=True),
    "4": Option({"relay": {"disableCaCertGeneration": True}}, {}, (ROOT, SERVED, SIGNING), copied=True),
    "5": Option(
        {"relay": {"disableCa": True, "disableCaCertGeneration": True, "disableTokenGeneration": True}},
        {},
        (ROOT, SERVED, CLIENT),
    ),
}


class Two(NamedTuple):
    management: Cluster
    east: Cluster


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    folder = tmp_path_factory.mktemp("options")
    async with (
        running_cluster("mgmt", folder / "mgmt", 0) as management,
        running_cluster("east", folder / "east", 1) as east,
    ):
        for cluster in (management, east):
            await cluster.kube.apply(namespace(NAMESPACE))
        yield Two(management, east)


def _tls(pair: pki.Pair, root: pki.Pair) -> Mapping[str, bytes]:
    return {"tls.crt": pair.chain, "tls.key": pair.key, "ca.crt": root.chain}


def _brought(cluster: str) -> dict[str, Mapping[str, bytes]]:
    """As with OpenSSL: the key of the root is in no cluster."""
    key = pki.new_key()
    chain = pki.issue(pki.request(cluster, key), cluster, DAY, _root)
    return {
        ROOT: {"ca.crt": _root.chain},
        SERVED: _tls(pki.server(["gloo-mesh-mgmt-server.gloo-mesh"], DAY, _root), _root),
        SIGNING: _tls(pki.authority("intermediate", DAY, _root), _root),
        CLIENT: _tls(pki.pair_of(chain, pki.key_pem(key)), _root),
    }


_root = pki.authority("a root of one's own", 10 * DAY)


def _secret(name: str, data: Mapping[str, bytes]) -> Object:
    coded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return m.core("Secret", NAMESPACE, name, data=coded)


async def _warm(two: Two, name: str) -> bool:
    """By the status that the server writes, and by the word of the agent of now."""
    found = (await two.management.kube.get(m.registered(name))).get("status", {})
    conditions = {c["type"]: c["status"] for c in found.get("conditions", ())}
    agents = await pods(two.management if name == "mgmt" else two.east, NAMESPACE, AGENT)
    if conditions.get("Warm") != "True" or len(agents) != 1:
        return False
    async with httpx.AsyncClient(trust_env=False) as client:
        checks = (await client.get(f"http://{agents[0]['status']['podIP']}:9988/readyz")).json()["checks"]
    return bool(checks["server connected"])


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.spec("M-29")
async def test_an_option_needs_its_values_and_secrets_and_no_more(two: Two, name: str) -> None:
    option = OPTIONS[name]
    await remove_release(*two)
    for cluster, called in ((two.management, "mgmt"), (two.east, "east")):
        await cluster.kube.delete(*(_secret(one, {}) for one in (ROOT, SERVED, SIGNING, CLIENT, TOKEN)))
        made = _brought(called)
        for one in option.brought:
            if cluster is two.management or one in (ROOT, CLIENT):
                await cluster.kube.apply(_secret(one, made[one]))
    common = {"insecure": option.insecure}
    server = {"enabled": True, "registerCluster": True, "agents": [{"name": "east"}], **option.server}
    given = {"common": {"cluster": "mgmt", **common}, "glooMgmtServer": server, "glooAgent": option.agent}
    await begin_release(two.management, given)
    await ready(two.management, NAMESPACE, SERVER)
    if option.copied:
        await enroll(two.management, two.east)
    agent = {"enabled": True, **option.agent}
    agent["relay"] = {"serverAddress": await relay_address(two.management)}
    await begin_release(two.east, {"common": {"cluster": "east", **common}, "glooAgent": agent})
    for cluster, called in ((two.management, "mgmt"), (two.east, "east")):
        await ready(cluster, NAMESPACE, AGENT)
        try:
            await until(lambda called=called: _warm(two, called), 40, f"{called} is warm")
        except AssertionError as late:
            words = [await said(cluster, NAMESPACE, AGENT), await said(two.management, NAMESPACE, SERVER)]
            raise AssertionError("\n".join([str(late), *words])) from late
