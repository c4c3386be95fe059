"""A change of a secret that cannot be read when it is told: said by `check`, and taken up as soon as it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from agent.apply.kept import KeptInSecret
from agent.relay.trust import Plan, SecretTrust
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.secrets.protocol import Data, SecretsFailed
from tests.unit.relay.support import until
from tests.unit.relay.tls_support import AUTHORITY, BLOCKLIST, CLIENT, LOOK, ROOT, TOKEN, OpenSsl, Server, task

FINGERPRINT = "ab" * 32


class _Closed(FolderSecrets):
    """Nobody may read those in `closed`. To open one changes no file, as with chmod."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, LOOK)
        self.closed: set[str] = set()
        self.refused = 0

    async def get(self, name: str) -> Data:
        if name in self.closed:
            self.refused += 1
            raise SecretsFailed(f"secret {name} cannot be read in {self.where}: Permission denied")
        return await super().get(name)


async def test_who_is_blocked_is_blocked_once_the_list_can_be_read(tmp_path: Path) -> None:
    server = Server(tmp_path, read_again=LOOK)
    server.secrets = secrets = _Closed(tmp_path)
    async with server.running():
        secrets.closed.add(BLOCKLIST)
        with structlog.testing.capture_logs() as logs:
            await secrets.put(BLOCKLIST, {FINGERPRINT: b""})
            await until(lambda: secrets.refused > 3)
        assert [line["event"] for line in logs] == ["relay.secret.unread"], "once, however often it is tried"
        assert server.held.unusable == {
            BLOCKLIST: f"secret {BLOCKLIST} cannot be read in {tmp_path}: Permission denied"
        }
        secrets.closed.clear()
        await until(lambda: server.held.blocked == {FINGERPRINT})
        assert not server.held.unusable


@pytest.mark.parametrize("name", [ROOT, CLIENT, TOKEN])
async def test_an_agent_takes_up_a_secret_once_it_can_be_read(tmp_path: Path, name: str) -> None:
    ssl, secrets = OpenSsl(tmp_path / "openssl"), _Closed(tmp_path / "east")

    def fresh() -> Data:
        return ssl.leaf("east") if name != TOKEN else {"token": ssl.leaf("east")["tls.key"]}

    await secrets.put(name, fresh())
    trust = SecretTrust(secrets, Plan(cluster="east", address="127.0.0.1:1", authority=AUTHORITY), read_again=LOOK)
    await trust.begin()
    async with task(trust.run()):
        secrets.closed.add(name)
        await secrets.put(name, fresh())
        await until(trust.unusable)
        assert [one.message for one in trust.unusable()] == [
            f"secret {name} cannot be read in {tmp_path / 'east'}: Permission denied; what it held before stays in use"
        ]
        held = trust._roots, trust._pair, trust._token
        secrets.closed.clear()
        await until(lambda: not trust.unusable())
        if name != ROOT:  # all are of one root
            assert (trust._roots, trust._pair, trust._token) != held


async def test_what_another_agent_keeps_is_taken_up_once_it_can_be_read(tmp_path: Path) -> None:
    secrets = _Closed(tmp_path)
    kept = KeptInSecret(secrets, "kept", lambda: False, again=LOOK)
    await kept.begin()
    async with task(kept.run()):
        secrets.closed.add("kept")
        await secrets.put("kept", {"gw.crt": b"certificate"})
        await until(lambda: secrets.refused)
        secrets.closed.clear()
        await until(lambda: kept.read("gw.crt") == b"certificate")
