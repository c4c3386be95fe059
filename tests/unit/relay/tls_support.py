"""Both halves of the relay over real TLS on loopback, each with a folder of secrets; certificates made with openssl."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.relay.trust import Plan as AgentPlan
from agent.relay.trust import SecretTrust
from fingerpost.background import background
from fingerpost.relay.reasons import Reason
from fingerpost.relay.settings import RelaySettings
from fingerpost.secrets.folder import FolderSecrets
from mgmt.relay.bootstrap import Bootstrap
from mgmt.relay.identity import Guarded
from mgmt.relay.ports import Fence, SessionControl, SessionInfo
from mgmt.relay.secrets import Plan, RelaySecrets
from mgmt.relay.server import RelayServer, serve
from tests.unit.relay.support import FAST, Agent, FakeIngest, FakeMetrics, FakePublisher, facts, running

AUTHORITY = "gloo-mesh-mgmt-server.gloo-mesh"
ROOT, SERVER, SIGNING = "relay-root-tls-secret", "relay-server-tls-secret", "relay-tls-signing-secret"
TOKEN, CLIENT, BLOCKLIST = "relay-identity-token-secret", "relay-client-tls-secret", "relay-client-blocklist"
LOOK = 0.02
PATIENT = msgspec.structs.replace(FAST, heartbeat=2.0)  # certificates are made meanwhile, in this very thread


class OneSession(FakeIngest):
    """As the real one: the newest session of a cluster ends the former."""

    def __init__(self) -> None:
        super().__init__()
        self.conflict_message = ""
        self._controls: dict[str, SessionControl] = {}

    def conflict(self, cluster: str, uid: str, peer: str) -> str:
        return self.conflict_message

    async def open(self, cluster: str, session: SessionInfo) -> Fence:
        if (former := self._controls.pop(cluster, None)) is not None:
            former.close(Reason.DUPLICATE, "a newer session")
        self._controls[cluster] = session.control
        return await super().open(cluster, session)


class Server:
    """One server; `secrets` is its folder."""

    def __init__(self, folder: Path, plan: Plan | None = None, **more: Any) -> None:
        self.secrets = FolderSecrets(folder, LOOK)
        self.plan, self._more = plan or Plan(), more
        self.ingest, self.publisher, self.metrics = OneSession(), FakePublisher(), FakeMetrics()
        self.relay: RelayServer
        self.held: RelaySecrets
        self.registered: set[str] | None = None  # None: every cluster

    @asynccontextmanager
    async def running(self, settings: RelaySettings = PATIENT) -> AsyncIterator[Server]:
        self.held = RelaySecrets(self.secrets, self.plan, **self._more)
        await self.held.begin()
        door = Guarded(self.held)
        bootstrap = Bootstrap(self.held, self.metrics, self.ingest.conflict, self._barred)
        arguments: dict[str, Any] = {"settings": settings, "metrics": self.metrics, "door": door}
        async with (
            task(self.held.run()),
            serve(self.ingest, self.publisher, bootstrap=bootstrap, **arguments) as self.relay,
        ):
            self.held.blocked_changed = self.relay.expel
            yield self

    def _barred(self, cluster: str, renewal: bool) -> str:
        known = self.registered is None or cluster in self.registered
        return "" if known or not renewal else f"no KubernetesCluster {cluster}, so no renewal; create it"

    def fingerprints(self) -> set[str]:
        """Of the certificates behind the streams of now."""
        return {shown.fingerprint for shown in self.relay._shown.values()}

    def shown(self) -> list[str]:
        """The fingerprint of each session's certificate; "" of one that showed none."""
        return [s.certificate.fingerprint if s.certificate else "" for s in self.ingest.sessions]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.relay.port}"

    def failures(self, reason: str) -> float:
        return self.metrics.counts.get(("relay_auth_failures_total", reason), 0)

    def connected(self, cluster: str = "east") -> bool:
        return self.metrics.counts.get(("relay_push_clients_connected", cluster)) == 1


class Client:
    """An agent's half with a folder of secrets."""

    def __init__(self, folder: Path, server: Server, cluster: str = "east", **plan: Any) -> None:
        self.secrets = FolderSecrets(folder, LOOK)
        self.plan = msgspec.structs.replace(
            AgentPlan(cluster=cluster, address=server.address, authority=AUTHORITY), **plan
        )
        self.trust = SecretTrust(self.secrets, self.plan)
        self.agent = Agent(server.address, cluster=cluster, authority=AUTHORITY, settings=PATIENT, trust=self.trust)
        self.agent.push.update(facts("core/Service", 3))
        self.agent.push.complete(["core/Service"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Client]:
        await self.trust.begin()
        async with task(self.trust.run()), running(self.agent):
            yield self

    @property
    def connected(self) -> bool:
        return self.agent.pull.connected

    async def certificate(self) -> bytes:
        return (await self.secrets.get(CLIENT)).get("tls.crt", b"")


def task(work: Any) -> AbstractAsyncContextManager[None]:
    return background({"beside": work})


async def enroll(server: Server, folder: Path, *, token: bool = True) -> None:
    """Way 2 of relay.md §4.2: a person copies the root, and the token."""
    own = FolderSecrets(folder)
    await own.put(ROOT, {"ca.crt": (await server.secrets.get(ROOT))["ca.crt"]})
    if token:
        await own.put(TOKEN, await server.secrets.get(TOKEN))


class OpenSsl:
    """The commands of docs/certificates.md in a folder of their own."""

    def __init__(self, folder: Path, name: str = "root", *, days: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        self._run("req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "3650", "-subj", f"/CN=relay {name}",
                  "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip
        if days:  # also 0, which a new one cannot have
            self._run("x509", "-in", f"{name}.crt", "-signkey", f"{name}.key", "-days", days, "-out", f"{name}.new")
            (folder / f"{name}.new").replace(folder / f"{name}.crt")

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

    @property
    def root(self) -> bytes:
        return (self._folder / f"{self._name}.crt").read_bytes()

    def leaf(self, name: str, usage: str = "clientAuth", *, days: str = "365", extra: str = "") -> dict[str, bytes]:
        """`tls.crt`, `tls.key`, `ca.crt` for one DNS name."""
        file = f"{self._name}-{name.replace('*', 'any')}"
        extensions = self._folder / f"{file}.ext"
        extensions.write_text(
            f"subjectAltName=DNS:{name}{extra}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
        )
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{file}.key",
                  "-out", f"{file}.csr")  # fmt: skip
        self._sign(file, days, extensions.name)
        return self._secret(file)

    def signing(self) -> dict[str, bytes]:
        file = f"{self._name}-signing"
        (self._folder / f"{file}.ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign\n")
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=relay signing", "-keyout", f"{file}.key",
                  "-out", f"{file}.csr")  # fmt: skip
        self._sign(file, "1825", f"{file}.ext")
        return self._secret(file)

    def _sign(self, file: str, days: str, extensions: str) -> None:
        self._run("x509", "-req", "-in", f"{file}.csr", "-CA", f"{self._name}.crt", "-CAkey", f"{self._name}.key",
                  "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", f"{file}.crt")  # fmt: skip

    def _secret(self, file: str) -> dict[str, bytes]:
        crt, key = ((self._folder / f"{file}.{end}").read_bytes() for end in ("crt", "key"))
        return {"tls.crt": crt, "tls.key": key, "ca.crt": self.root}
