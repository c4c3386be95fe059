"""Where a pod runs: a network namespace with one address, and per container a view of the files and processes.

Needs the network that `python -m tests.kube` makes, in which this process is root.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.fleet.fleet_processes import ROOT
from tests.kube.ground import BRIDGE, GATEWAY, POD_MASK

_LAST_LINES, _LAST_BYTES = 80, 2048  # of a log in a status, as the real one


class Mount(NamedTuple):
    source: Path
    target: str
    read_only: bool


class Sandbox:
    """Use `opened`."""

    def __init__(self, address: str, holder: Process) -> None:
        self.address = address
        self._holder = holder

    @classmethod
    async def opened(cls, address: str, link: str) -> Sandbox:
        """`link` is the name of the pod's end on the bridge."""
        holder = await asyncio.create_subprocess_exec(
            *("unshare", "--net", "sh", "-c", "echo up; exec sleep infinity"), stdin=DEVNULL, stdout=PIPE
        )
        sandbox = cls(address, holder)
        try:
            assert holder.stdout is not None
            await holder.stdout.readline()
            # what a pod before this one has left may still be there: the kernel ends namespaces when it has time
            plug = f"ip link del {link} 2>/dev/null || true; "
            plug += (
                f"ip link add {link} type veth peer name eth0 netns {holder.pid}; ip link set {link} master {BRIDGE} up"
            )
            inside = (
                f"ip link set lo up; ip addr add {address}/{POD_MASK} dev eth0; ip link set eth0 up; "
                f"ip route add default via {GATEWAY}"
            )
            script = f"set -e; {plug}; nsenter --net={sandbox.network} sh -ec {shlex.quote(inside)}"
            plugging = await asyncio.create_subprocess_exec("sh", "-c", script, stderr=PIPE)
            _, said = await plugging.communicate()
            if plugging.returncode:
                raise OSError(f"the pod's network cannot be made: {said.decode().strip()}")
        except BaseException:
            await sandbox.close()
            raise
        return sandbox

    @property
    def network(self) -> str:
        return f"/proc/{self._holder.pid}/ns/net"

    async def start(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        workdir: str,
        mounts: Sequence[Mount],
        log: Path,
        *,
        frozen: bool,
    ) -> Contained:
        """`frozen`: the container may write to its volumes only."""
        pid = log.with_suffix(".pid")
        pid.unlink(missing_ok=True)
        # last, since a volume may hide it: this checkout, which is what images hold
        mounted = [*_parents_first(mounts), Mount(ROOT, str(ROOT), read_only=True)]
        steps = [_ROOT_OF_ITS_OWN.format(pid=shlex.quote(str(pid))), *map(_make, mounted), _FREEZE if frozen else ""]
        script = "\n".join([*steps, *map(_mount, mounted)])
        script += '\nPATH=$path exec /usr/sbin/chroot /mnt/root /bin/sh -c \'cd "$0" && exec "$@"\' '
        script += shlex.join([workdir, *command])
        with log.open("ab") as out:
            begins = out.tell()
            process = await asyncio.create_subprocess_exec(
                *("nsenter", f"--net={self.network}", "unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("sh", "-ec", script),
                stdin=DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(env),
                start_new_session=True,
            )
        return Contained(process, pid, env, log, begins)

    async def close(self) -> None:
        if self._holder.returncode is None:
            _kill(self._holder.pid)
        await self._holder.wait()


class Contained:
    """The first process of a container; when it ends, so do all others there."""

    def __init__(self, process: Process, pid_file: Path, env: Mapping[str, str], log: Path, begins: int) -> None:
        self._process, self._pid_file, self._env = process, pid_file, env
        self._log, self._begins = log, begins
        self._killed = False

    async def ended(self) -> int:
        code = await self._process.wait()
        if self._killed:  # `unshare` says 1 then
            return 128 + signal.SIGKILL
        return code if code >= 0 else 128 - code

    def last_words(self) -> str:
        """The end of what it has logged since it began."""
        lines = self._log.read_bytes()[self._begins :].splitlines(keepends=True)[-_LAST_LINES:]
        return b"".join(lines)[-_LAST_BYTES:].decode(errors="replace")

    def terminate(self) -> None:
        if self._process.returncode is None and (pid := self._pid()):
            _kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """Its first process: `unshare` then has nobody left, and ends."""
        if self._process.returncode is None:
            self._killed = True
            _kill(self._pid() or self._process.pid)

    async def execute(self, command: Sequence[str]) -> int:
        """In the container. One that is cancelled is killed."""
        pid = self._pid()
        if not pid or self._process.returncode is not None:
            return 126
        inside = await asyncio.create_subprocess_exec(
            *("nsenter", f"--target={pid}", "--net", "--mount", "--pid", "--root", "--wd", *command),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            env=dict(self._env),
        )
        try:
            return await inside.wait()
        finally:
            if inside.returncode is None:
                _kill(inside.pid)

    def _pid(self) -> int:
        """As this process sees it; 0 when it has not begun."""
        try:
            return int(self._pid_file.read_text() or 0)
        except FileNotFoundError:
            return 0


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Not by asyncio, which then may lose the exit code: it polls before it signals."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


# One layer per folder of the root: a mount below it, such as /dev, forbids a layer over the root itself. A folder with
# a mount inside is there read-only. All layers are in memory and end with the container.
_ROOT_OF_ITS_OWN = """path=$PATH PATH=/usr/sbin:/usr/bin:/sbin:/bin
read -r pid _ < /proc/self/stat; echo "$pid" > {pid}
mount -t tmpfs layers /mnt; mkdir /mnt/root /mnt/upper /mnt/work; cd /mnt/root
for from in /*; do
  name=${{from#/}}
  case $name in proc|sys|dev|run|mnt|boot|lost+found) continue;; esac
  if [ -L "$from" ]; then cp -P "$from" "$name"
  elif [ -d "$from" ]; then
    mkdir "$name" "/mnt/upper/$name" "/mnt/work/$name"
    layers="lowerdir=$from,upperdir=/mnt/upper/$name,workdir=/mnt/work/$name,userxattr"
    mount -t overlay "$name" -o "$layers" "$name" 2> /dev/null || {{
      mount --rbind "$from" "$name"; mount -o remount,ro,bind "$name"; }}
  fi
done
mkdir proc sys dev run; mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev"""

_FREEZE = """for name in *; do
  case $name in proc|sys|dev|run) ;; *) ! mountpoint -q "$name" || mount -o remount,ro,bind "$name" ;; esac
done"""


def _parents_first(mounts: Sequence[Mount]) -> list[Mount]:
    return sorted(mounts, key=lambda mount: mount.target.rstrip("/").count("/"))


def _make(mount: Mount) -> str:
    """In the container's own root, also when a link leads there (/var/run)."""
    make = "mkdir -p" if mount.source.is_dir() else "install -D /dev/null"
    return f'chroot /mnt/root sh -c \'[ -e "$0" ] || {make} "$0"\' {shlex.quote(mount.target)}'


def _mount(mount: Mount) -> str:
    """Made once more: the target may lie in a volume that has been mounted meanwhile."""
    at = f"at=/mnt/root$(chroot /mnt/root readlink -f {shlex.quote(mount.target)})"
    lines = [_make(mount), at, f'mount --rbind {shlex.quote(str(mount.source))} "$at"']
    if mount.read_only:
        lines.append('mount -o remount,ro,bind "$at"')
    return "\n".join(lines)
