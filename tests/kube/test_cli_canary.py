"""No command prints a token, a key or a Secret value, however much it is asked to tell (C-7)."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from ctl.__main__ import command
from tests.fleet import fleet_manifests as m
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import running_cluster
from tests.kube.command_line import CommandLine
from tests.kube.kube_client import namespace, secret
from tests.kube.release import gateway, install_release
from tests.unit.ctl.commands import leaves

CANARY = "canary-that-nobody-may-see"
VALUES: dict[str, Any] = {
    "common": {"cluster": "mgmt", "imageRegistry": "registry.test"},
    "glooMgmtServer": {"enabled": True, "registerCluster": True, "createGlobalWorkspace": True},
}
REGISTER = ("cluster", "register", "new", "--remote-context", "mgmt")
ADDRESS = ("--relay-server-address", "192.0.2.7:9900")
# For each command how it is asked; `proxy bootstrap`, which exists to print a token, finds no agent here.
ASKED: dict[tuple[str, ...], list[tuple[str, ...]]] = {
    ("version",): [()],
    ("check",): [(), ("agent",), ("server",)],
    ("cluster", "list"): [()],
    ("cluster", "describe"): [("mgmt",)],
    ("cluster", "register"): [REGISTER[2:], ("new", "--print-manifests", *ADDRESS)],
    ("cluster", "deregister"): [("new", "--remote-context", "mgmt", "--purge", "--dry-run")],
    ("get",): [("secrets",), ("gateways",), ("services",)],
    ("describe",): [("routetable", "shop/www"), ("secret", "gw/canary")],
    ("wait",): [("routetable", "shop/www", "--timeout", "1s")],
    ("validate",): [("-f", "{folder}/objects.yaml")],
    ("install",): [("--profiles", "gloo-mesh-single", "--dry-run"), ("--profiles", "agent", "--print-values")],
    ("uninstall",): [("--dry-run",)],
    ("explain", "route"): [(f"http://{m.HOST}/hi",)],
    ("explain", "code"): [("CHK044",)],
    ("proxy", "bootstrap"): [("--cluster", "mgmt", "--gateway", "gw/ingress")],
    ("release",): [("mgmt",)],
    ("config", "view"): [()],
    ("config", "use"): [("nowhere",)],
    ("config", "set-context"): [("here", "--server", "http://127.0.0.1:1", "--config", "{folder}/other.yaml")],
    ("license", "check"): [()],
    ("completion",): [("bash",)],
    ("cluster", "accept"): [("mgmt", "--dry-run")],
    ("cluster", "reject"): [("mgmt", "--dry-run"), ("nowhere",)],
    ("translate",): [("-f", "{folder}/clusters", "-o", "{folder}/out")],
    ("snapshot",): [("input",), ("output",)],
    ("diff",): [("-f", "{folder}/objects.yaml")],
    ("whatif",): [("--without", "mgmt")],
    ("conflicts",): [()],
    ("history", "list"): [()],
    ("history", "show"): [("1",)],
    ("history", "diff"): [("1",)],
    ("rollback", "to"): [("1", "--dry-run")],
    ("rollback", "status"): [()],
    ("rollback", "release"): [()],
    ("trace",): [("routetable", "shop/www")],
    ("events",): [()],
}


@pytest.mark.timeout(400)
@pytest.mark.spec("C-7")
async def test_no_output_of_any_command_holds_a_secret(tmp_path: Path) -> None:
    missing = set(leaves(command())) - ASKED.keys()
    assert not missing, "each command there is has to be asked"
    async with running_cluster("mgmt", tmp_path / "mgmt") as cluster:
        await install_release(cluster, VALUES)
        table = m.table("www", [m.says("/hi", "hi")], host=m.HOST)
        canary = secret("gw", "canary", **{"tls.key": CANARY, "password": CANARY})
        await cluster.kube.apply(namespace("gw"), namespace("shop"), canary, m.virtual_gateway(), table)
        await cluster.kube.apply(*gateway("mgmt"))
        (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all([table, canary]))
        (tmp_path / "clusters" / "mgmt").mkdir(parents=True)
        (tmp_path / "clusters" / "mgmt" / "objects.yaml").write_text(yaml.safe_dump_all([table, canary]))
        hidden = await _hidden(cluster, canary)
        fingerpost = CommandLine(tmp_path, cluster.server.kubeconfig())
        slots, told = asyncio.Semaphore(2), 0

        async def ask(words: tuple[str, ...]) -> None:
            nonlocal told
            async with slots:
                given = [word.replace("{folder}", str(tmp_path)) for word in words]
                result = await fingerpost(*given)
            output = result.out + result.err
            told += len(output)
            for name, value in hidden.items():
                assert value not in output, f"{' '.join(words)} prints {name}"

        async with asyncio.TaskGroup() as group:
            for path, ways in ASKED.items():
                for way in ways:
                    for form in (("-v",), ("-v", "-o", "json")):
                        group.create_task(ask((*form, *path, *way)))
        assert told > 50_000, "they did say something"


async def _hidden(cluster: Any, canary: dict[str, Any]) -> dict[str, str]:
    """Of all Secrets but Helm's records the values that are no certificates, as they stand and as written; and the
    caller's own bearer token.
    """
    out = {"the caller's token": cluster.server.token("admin")}
    found = (await cluster.kube.http.get("/api/v1/secrets")).json()["items"]
    assert len([one for one in found if one["metadata"]["namespace"] == NAMESPACE]) >= 5
    for one in found:
        if one["metadata"]["name"].startswith("sh.helm"):
            continue
        for key, value in (one.get("data") or {}).items():
            if key.endswith(".crt"):
                continue
            name = f"{one['metadata']['namespace']}/{one['metadata']['name']} {key}"
            plain = base64.b64decode(value).decode(errors="replace")
            out[f"{name} in base64"] = value
            # a key in PEM: its second line, since a line is what would be printed
            out[name] = plain.splitlines()[1] if plain.startswith("-----BEGIN") else plain
    assert CANARY in out.values()
    return {name: value for name, value in out.items() if len(value) > 8}
