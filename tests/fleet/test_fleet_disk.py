"""State folders on a disk that is full, or may not be written: said at the start, survived while running."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import free_port, until
from tests.fleet.fleet_processes import Process

_MOUNT = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"'


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True).returncode == 0
    )


pytestmark = [
    pytest.mark.fleet,
    pytest.mark.redis,
    pytest.mark.skipif(not _can_mount(), reason="no user and mount namespaces on this machine"),
]


def _on_disk(options: str, state: Path, name: str, log: Path, **flags: object) -> Process:
    """A process of ours whose state folder is a small disk of its own; it ends with the process."""
    state.mkdir(exist_ok=True)
    given = [f"--{flag.replace('_', '-')}={value}" for flag, value in {"state_dir": state, **flags}.items()]
    command = [sys.executable, "-m", name, *given]
    return Process(["unshare", "-rm", "sh", "-c", _MOUNT, "sh", options, str(state), *command], log)


class _Disk:
    """The disk of a process, seen from outside its namespace."""

    def __init__(self, process: Process, state: Path) -> None:
        self.folder = Path(f"/proc/{process.pid}/root{state}")
        self._filler = self.folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as out:
            for size in (65536, 4096, 512):
                with contextlib.suppress(OSError):
                    while True:
                        out.write(bytes(size))

    def free(self) -> None:
        self._filler.unlink()


def _agent_flags(fleet: Fleet, relay: int) -> dict[str, object]:
    return {
        "cluster": "east",
        "directory": fleet.folder("east"),
        "server_address": f"127.0.0.1:{relay}",
        "xds_address": "127.0.0.1:0",
        "admin_address": "127.0.0.1:0",
        "retry_ceiling": 0.2,
        "heartbeat": 1,
        "secrets_dir": fleet.secrets("east"),
    }


@pytest.mark.parametrize("half", ["mgmt", "agent"])
async def test_a_state_folder_that_cannot_be_written_ends_the_start_with_one_line(tmp_path: Path, half: str) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        state = tmp_path / "state"
        flags: dict[str, object] = {"relay_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0"}
        flags = flags if half == "mgmt" else _agent_flags(fleet, free_port())
        process = _on_disk("ro", state, half, tmp_path / "log", **flags)
        try:
            assert await process.ended() == 1, process.said()
        finally:
            await process.stop()
        assert "Traceback" not in process.said(), process.said()
        last = process.said().splitlines()[-1]
        assert last.startswith(f"fingerpost-{half}: "), last
        assert str(state) in last


async def test_a_disk_that_fills_up_stops_nobody_and_what_was_changed_is_kept_afterwards(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        relay = free_port()
        state = {half: tmp_path / f"disk-{half}" for half in ("mgmt", "agent")}
        server = _on_disk(
            "size=16m",
            state["mgmt"],
            "mgmt",
            tmp_path / "mgmt.log",
            directory=fleet.folder("mgmt"),
            relay_address=f"127.0.0.1:{relay}",
            admin_address="127.0.0.1:0",
            heartbeat=1,
            secrets_dir=fleet.secrets("mgmt"),
        )
        agent = _on_disk("size=8m", state["agent"], "agent", tmp_path / "agent.log", **_agent_flags(fleet, relay))
        try:
            await server.ready("mgmt.server.ready")
            own = (await agent.ready("agent.ready"))["admin"]

            async def has(text: str) -> bool:
                said = await fleet.client.text(own, "/snapshots/output")
                return text in said

            await until(lambda: has('"hi"'), 30, lambda: agent.said()[-3000:])
            disks = [_Disk(server, state["mgmt"]), _Disk(agent, state["agent"])]
            for disk in disks:
                disk.fill()
            for i in range(3):
                many = [m.says(f"/full{i}/{j}", "x" * 4000) | {"name": f"f{j}"} for j in range(50)]
                fleet.write("mgmt", f"full{i}.yaml", m.table(f"full{i}", many))
                fleet.write("east", f"full{i}.yaml", m.table(f"own{i}", many))
                await until(lambda i=i: has(f"own{i}.example"), 30, lambda: agent.said()[-3000:])
                await until(lambda i=i: has(f"full{i}.example"), 30, lambda: agent.said()[-3000:])
            for process, words in ((server, "store.link.lost"), (agent, "make room")):
                await until(lambda p=process, w=words: w in p.said(), 30, process.said)
            assert '"hi"' in await fleet.client.text(own, "/snapshots/output")
            for disk in disks:
                disk.free()

            await until(lambda: "store.link.regained" in server.said(), 40, lambda: server.said()[-3000:])
            kept = disks[1].folder / "gateways" / "gw_ingress.state"
            await until(
                lambda: kept.exists() and b"own2.example" in kept.read_bytes(), 30, lambda: agent.said()[-3000:]
            )
            fleet.write("mgmt", "after.yaml", m.table("after", [m.says("/after", "x")]))
            await until(lambda: has("after.example"), 30, lambda: agent.said()[-3000:])
            for process in (server, agent):
                assert "Traceback" not in process.said(), process.said()
                assert not process.has_ended
        finally:
            await agent.stop()
            await server.stop()
