"""The processes of a demo: started with a log each, remembered on disk, stopped whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_PIDS = "pids.json"
_PATIENCE = 8.0


class Died(Exception):
    """A process ended by itself; the message names it and its last words."""


class Processes:
    """Each in a session of its own: a Ctrl-C at the terminal is for the demo, which then stops them in order."""

    def __init__(self, state: Path, work: Path) -> None:
        self._state, self._work = state, work
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        (state / "logs").mkdir(parents=True, exist_ok=True)

    @property
    def logs(self) -> Path:
        return self._state / "logs"

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own programs
                list(command),
                cwd=self._work,
                env=None if environment is None else {**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._remember()

    def kill(self, name: str) -> None:
        """SIGKILL, as the kernel would."""
        process = self._running.pop(name)
        _signal(process.pid, signal.SIGKILL)
        process.wait()
        self._remember()

    def alive(self) -> None:
        """Raises Died."""
        for name, process in self._running.items():
            if process.poll() is not None:
                words = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()[-3:]
                raise Died(f"{name} ended with {process.returncode}: {' / '.join(words) or 'without a word'}")

    def stop(self) -> None:
        """All, last started first. SIGTERM, then SIGKILL for who does not end."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                _signal(process.pid, signal.SIGTERM)
        end = time.monotonic() + _PATIENCE
        for process in self._running.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()
        stop_redis(self._state)
        (self._state / _PIDS).unlink(missing_ok=True)

    def _remember(self) -> None:
        known = {name: [process.pid, _born(process.pid)] for name, process in self._running.items()}
        fresh = self._state / f".{_PIDS}"
        fresh.write_text(json.dumps(known))
        fresh.replace(self._state / _PIDS)


def running(state: Path) -> list[tuple[int, str]]:
    """Those of a demo that was left up or died. A pid that another program got meanwhile does not count."""
    try:
        known: dict[str, tuple[int, str]] = json.loads((state / _PIDS).read_text())
    except (OSError, ValueError):
        return []
    return [(pid, born) for pid, born in known.values() if _born(pid) == born]


def stop_kept(state: Path) -> int:
    """Stops them; answers how many there were."""
    there = running(state)
    for pid, _ in there:
        _signal(pid, signal.SIGTERM)
    for pid, born in there:
        if not _gone(pid, born):
            _signal(pid, signal.SIGKILL)
            _gone(pid, born)
    stop_redis(state)
    (state / _PIDS).unlink(missing_ok=True)
    return len(there)


def stop_redis(state: Path) -> None:
    """The server's own Redis outlives a killed server; a stopped server has stopped it already."""
    folder = state / "mgmt" / "redis"
    try:
        pid = int((folder / "redis.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if b"redis-server" in command and Path(f"/proc/{pid}/cwd").resolve() == folder.resolve():
        born = _born(pid)
        os.kill(pid, signal.SIGTERM)
        _gone(pid, born)


def _signal(leader: int, number: signal.Signals) -> None:
    """To the process and all that it started, unless they made groups of their own."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def _gone(pid: int, born: str) -> bool:
    end = time.monotonic() + _PATIENCE
    while _born(pid) == born:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _born(pid: int) -> str:
    """When the process started, in the kernel's ticks; empty when it is gone or a zombie."""
    try:
        fields: Iterable[str] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, *rest = fields
    return "" if state == "Z" else rest[18]
