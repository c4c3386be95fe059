"""Whoever reads the logs of a process reads JSON lines, whatever its libraries would like to say."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fingerpost.secrets.folder import FolderSecrets
from mgmt.authority import open_authority, root_place
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import module
from tests.orphans import kill_redis


async def strangers_root(folder: Path) -> bytes:
    return (await open_authority(root_place(folder, folder, FolderSecrets(folder)))).roots


@pytest.mark.redis
async def test_all_lines_are_json_also_when_handshakes_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)  # as where no test is
    here, free = tmp_path / "state", "127.0.0.1:0"
    given = {"directory": tmp_path, "admin_address": free}
    server = module("mgmt", tmp_path / "mgmt.log", state_dir=here, relay_address=free, **given)
    try:
        port = (await server.ready("mgmt.server.ready"))["relay"]
        secrets = FolderSecrets(tmp_path / "east" / "secrets")
        await secrets.put("relay-root-tls-secret", {"ca.crt": await strangers_root(tmp_path / "stranger")})
        await secrets.put("relay-identity-token-secret", {"token": b"of nobody"})
        to = {"cluster": "east", "server_address": f"127.0.0.1:{port}", "xds_address": free}
        agent = module("agent", tmp_path / "agent.log", state_dir=tmp_path / "east", **to, **given)
        try:
            assert await asyncio.to_thread(answer_to_plaintext, port) == b""
            await until(lambda: "relay.link.lost" in agent.said(), 20, agent.said)
        finally:
            await agent.stop()
    finally:
        await server.stop()
        kill_redis(here / "redis")
    for process in (server, agent):
        lines = process.said().splitlines()
        assert [line for line in lines if not line.startswith("{")] == []
        assert all("msg" in json.loads(line) for line in lines)


def test_what_a_library_says_is_a_line_of_json_with_the_replica() -> None:
    script = (
        "import logging; from fingerpost import log; log.configure(replica='r1', logger='mgmt')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logging.getLogger('asyncio').exception('never retrieved\\nfuture: %r', 3)\n"
    )
    (line,) = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stderr.splitlines()
    said = json.loads(line)
    assert (said["msg"], said["logger"], said["replica"]) == ("never retrieved\nfuture: 3", "asyncio", "r1")
    assert said["exception"].endswith("ZeroDivisionError: division by zero")


def answer_to_plaintext(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return plain.recv(100)
