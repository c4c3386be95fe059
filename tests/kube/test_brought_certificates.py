"""The values of docs/bring-certificates.md by Helm: what they render reads the Secrets that the Certificates write."""

from __future__ import annotations

import pytest

from tests.brought_certificates import RECIPES, certificates, recipe, values
from tests.kube.charts import NAMESPACE, Rendered, environment

SERVER, AGENT = "gloo-mesh-mgmt-server", "gloo-mesh-agent"


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.spec("M-29")
def test_the_secrets_are_those_that_server_and_agents_read(name: str) -> None:
    management, workload = (Rendered(given) for given in values())
    assert management.warnings() == workload.warnings() == []
    server = environment(management.one("Deployment", SERVER))
    agents = [environment(one.one("Deployment", AGENT)) for one in (management, workload)]
    found = recipe(name)
    assert certificates(found.management).keys() == {
        server["FINGERPOST_MGMT_SERVER_TLS_SECRET"],
        agents[0]["FINGERPOST_AGENT_CLIENT_TLS_SECRET"],
    }
    assert certificates(found.workload).keys() == {agents[1]["FINGERPOST_AGENT_CLIENT_TLS_SECRET"]}
    for one in (*certificates(found.management).values(), *certificates(found.workload).values()):
        assert one["metadata"]["namespace"] == NAMESPACE
    for agent, objects in zip(agents, found, strict=True):
        client = certificates(objects)[agent["FINGERPOST_AGENT_CLIENT_TLS_SECRET"]]
        assert client["spec"]["dnsNames"] == [agent["FINGERPOST_AGENT_CLUSTER"]]
    for process in ("DISABLE_CA", "DISABLE_CA_CERT_GENERATION", "DISABLE_TOKEN_GENERATION"):
        assert server[f"FINGERPOST_MGMT_{process}"] == "true"
    root = {agent["FINGERPOST_AGENT_ROOT_TLS_SECRET"] for agent in agents} | {server["FINGERPOST_MGMT_ROOT_TLS_SECRET"]}
    assert root == {"relay-root-tls-secret"}
