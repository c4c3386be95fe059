"""Where a demo stands: its addresses, its ports, its folders. Several demos can run at once, each on its own block of
loopback addresses (127.N.1.x, 127.N.2.x, ...) and in its own state folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from demo.processes import running, stop_kept

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
STATES = ROOT / ".state"
KEPT = "kept"  # a file that says: left up on purpose
HTTP, REDIRECT, BACKOFFICE, HTTPS, EAST_WEST = 8080, 8081, 8082, 8443, 16443
_BLOCKS = 64


class Place(NamedTuple):
    """A cluster of the demo. `agent`, `xds` and `envoy` are ports of 127.0.0.1."""

    name: str
    gateway: str  # the address of its Envoy
    agent: int
    xds: int
    envoy: int


class Ground(NamedTuple):
    block: int
    state: Path
    relay: int  # port of 127.0.0.1
    admin: int
    clusters: dict[str, Place]
    lock: int  # held as long as this process lives

    def address(self, text: str) -> str:
        """An address or a manifest of the examples, on this demo's block."""
        return text.replace("127.0.", f"127.{self.block}.") if self.block else text

    def folder(self, cluster: str) -> Path:
        return self.state / "clusters" / cluster

    @property
    def contexts(self) -> Path:
        return self.state / "config.yaml"

    @property
    def authority(self) -> Path:
        """The certificate that clients of the shop trust."""
        return self.state / "shop-ca.pem"


class NoGround(Exception):
    """All blocks are taken."""


def take_ground() -> Ground:
    """The first block that is free. A demo left up on purpose keeps its own; what a killed one left is stopped."""
    for block in range(_BLOCKS):
        state = STATES / (f"demo-{block}" if block else "demo")
        lock = lock_of(state)
        if lock is None:
            continue
        if not ((state / KEPT).exists() and running(state)):
            stop_kept(state)
            if _free(block):
                shutil.rmtree(state, ignore_errors=True)
                state.mkdir()
                return _ground(block, state, lock)
        os.close(lock)
    raise NoGround(f"no free block of loopback addresses: port {HTTP} of 127.0.1.1 to 127.{_BLOCKS - 1}.1.1 is in use")


def lock_of(state: Path) -> int | None:
    """None while a demo is telling its story there."""
    STATES.mkdir(exist_ok=True)
    lock = os.open(state.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _free(block: int) -> bool:
    for cluster in (1, 2, 3):
        for port in (HTTP, REDIRECT, BACKOFFICE, HTTPS, EAST_WEST):
            with socket.socket() as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    one.bind((f"127.{block}.{cluster}.1", port))
                except OSError:
                    return False
    return True


def _ground(block: int, state: Path, lock: int) -> Ground:
    ports = iter(_free_ports(11))
    relay, admin = next(ports), next(ports)
    clusters = {
        name: Place(name, f"127.{block}.{i}.1", next(ports), next(ports), next(ports))
        for i, name in enumerate(("mgmt", "east", "west"), 1)
    }
    return Ground(block, state, relay, admin, clusters, lock)


def _free_ports(count: int) -> list[int]:
    """Taken all at once, so that none is given twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
