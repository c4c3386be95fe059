"""The Certificates of docs/bring-certificates.md, fulfilled as cert-manager does: both halves connect with them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from fingerpost.relay import pki
from mgmt.relay.secrets import Plan
from tests.brought_certificates import RECIPES, certificates, fulfilled, recipe
from tests.unit.relay.support import until
from tests.unit.relay.tls_support import AUTHORITY, CLIENT, ROOT, SERVER, Client, Server

_BROUGHT = Plan(disable_ca=True, disable_ca_cert_generation=True, disable_token_generation=True)
_DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize("between", [False, True], ids=["by the root", "by an intermediate"])
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.spec("M-29")
async def test_an_agent_connects_with_what_the_recipe_makes(tmp_path: Path, name: str, between: bool) -> None:
    root = pki.authority("root", 100 * _DAY)
    intermediate = pki.authority("intermediate", 50 * _DAY, root) if between else None
    found = recipe(name)
    server = Server(tmp_path / "mgmt", _BROUGHT)
    await server.secrets.put(SERVER, fulfilled(certificates(found.management)[SERVER], root, intermediate))
    async with server.running():
        for cluster, objects in (("mgmt", found.management), ("east", found.workload)):
            client = Client(tmp_path / cluster, server, cluster)
            await client.secrets.put(ROOT, {"ca.crt": pki.certificates(root.chain)[0].public_bytes(pki.Encoding.PEM)})
            await client.secrets.put(CLIENT, fulfilled(certificates(objects)[CLIENT], root, intermediate))
            async with client.running():
                await until(lambda client=client, cluster=cluster: client.connected and server.connected(cluster))
                assert client.agent.losses == []


@pytest.mark.parametrize("name", RECIPES)
def test_names_and_times_are_those_that_the_page_asks_for(name: str) -> None:
    found = recipe(name)
    served, mine, theirs = (
        certificates(objects)[secret]["spec"]
        for objects, secret in ((found.management, SERVER), (found.management, CLIENT), (found.workload, CLIENT))
    )
    assert served["dnsNames"] in ([AUTHORITY], ["*." + AUTHORITY.partition(".")[2]])
    assert (mine["dnsNames"], theirs["dnsNames"]) == (["mgmt"], ["east"])
    issuers = {(one["kind"], one["metadata"]["name"]) for objects in found for one in objects}
    for spec in (served, mine, theirs):
        hours, before = (int(spec[name].removesuffix("h")) for name in ("duration", "renewBefore"))
        assert before > 0.2 * hours, "renewed before the alert fires"
        assert spec["privateKey"]["rotationPolicy"] == "Always"
        assert (spec["issuerRef"]["kind"], spec["issuerRef"]["name"]) in issuers
