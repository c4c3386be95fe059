"""A network that nothing outside of it can reach: it has a loopback of its own and no link to any other.

What is inside gets out where a test makes a way: a listener inside, whose connections the test carries to one port
outside, as the address translation before a private network does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fleet.fleet_network import copied, listening

_LISTEN = """
import socket, sys
inside = socket.create_server(("127.0.0.1", int(sys.argv[1])))
outside = socket.socket(socket.AF_UNIX)
outside.connect(sys.argv[2])
socket.send_fds(outside, [b"x"], [inside.fileno()])
"""
_GET = """
import sys, urllib.error, urllib.request
asked = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[2]})
try:
    print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=5).read().decode())
except (urllib.error.URLError, OSError) as wrong:
    print(wrong)
"""


class Enclosed:
    """`carried` counts the connections that went out."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid, self._folder = pid, folder
        self.carried = 0

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._pid}/ns/net", *command]

    async def said(self, *command: str) -> str:
        """By a command inside."""
        running = await asyncio.create_subprocess_exec(*self.inside(*command), stdout=PIPE)
        out, _ = await running.communicate()
        return out.decode().strip()

    async def get(self, url: str, host: str) -> str:
        """The body of an answer, or why there is none."""
        return await self.said(sys.executable, "-c", _GET, url, host)

    @asynccontextmanager
    async def way_out(self, port: int, target: int) -> AsyncIterator[None]:
        """What connects to `port` inside reaches `target` on the loopback outside."""
        listener = await self._listener(port)
        async with listening(lambda *ends: self._carry(target, *ends), sock=listener):
            yield

    async def _listener(self, port: int) -> socket.socket:
        path = self._folder / "listener.sock"
        with socket.socket(socket.AF_UNIX) as meeting:
            meeting.bind(str(path))
            meeting.listen()
            await self.said(sys.executable, "-c", _LISTEN, str(port), str(path))
            arrived, _ = meeting.accept()
            with arrived:
                _, (number, *_), _, _ = socket.recv_fds(arrived, 1, 1)
        return socket.socket(fileno=number)

    async def _carry(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.carried += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        async with asyncio.TaskGroup() as group:
            group.create_task(copied(reader, far_writer), name="way.out")
            group.create_task(copied(far_reader, writer), name="way.back")


@asynccontextmanager
async def enclosed(folder: Path) -> AsyncIterator[Enclosed]:
    holder = await asyncio.create_subprocess_exec(
        *("unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep infinity"), stdout=PIPE
    )
    try:
        assert holder.stdout is not None
        await holder.stdout.readline()
        yield Enclosed(holder.pid, folder)
    finally:
        holder.kill()
        await holder.wait()
