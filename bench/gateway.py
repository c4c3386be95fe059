"""A new route on one Envoy, from the rename of the file to the first 200, while another client sends steadily.

`python -m bench.gateway HOSTS EDITS`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from bench import world
from bench.figures import emit, say, spread
from bench.processes import AgentGroup, envoy, fetch, server

LISTEN = 8080
ADDRESS = "127.0.77.1"
STEADY_PAUSE = 0.002
ANSWER = b"backend"


class Client:
    """One kept connection. A status of 0: the connection broke, or the answer is not the backend's."""

    def __init__(self, port: int, address: str = ADDRESS, answer: bytes = ANSWER) -> None:
        self._port, self._address, self._answer = port, address, answer
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, host: str, path: str) -> int:
        try:
            if self._reader is None or self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(self._address, self._port)
            self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next(int(x.split(":")[1]) for x in head.split("\r\n") if x.startswith("content-length"))
            body = await self._reader.readexactly(length)
            status = int(head.split()[1])
            return status if body == self._answer or status != 200 else 0  # the right answer comes from the backend
        except (OSError, asyncio.IncompleteReadError):
            if self._writer is not None:
                self._writer.close()
            self._reader = self._writer = None
            return 0


@asynccontextmanager
async def backend() -> AsyncIterator[int]:
    """The port of a server that gives one answer to everything. Its connections end with it."""
    writers: list[asyncio.StreamWriter] = []
    async with asyncio.TaskGroup() as group:

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            group.create_task(_answer(reader, writer), name="bench.backend")

        listening = await asyncio.start_server(connected, ADDRESS, 0)
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
            for writer in writers:
                writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


def _with_route(number: int, edit: int) -> dict[str, object]:
    """The table with one more route in front; each edit brings another path."""
    obj = world.table(number)
    routes = obj["spec"]["http"]
    forward = routes[0]["forwardTo"]
    routes.insert(0, {"name": "new", "matchers": [{"uri": {"exact": f"/new-{edit}"}}], "forwardTo": forward})
    return obj


async def _steady(stop: Callable[[], bool], port: int, failed: list[int]) -> int:
    client, sent = Client(port), 0
    while not stop():
        status = await client.get("host-1.example", "/cart-0")
        sent += 1
        if status != 200:
            failed.append(status)
        await asyncio.sleep(STEADY_PAUSE)
    return sent


async def _edits(root: Path, hosts: int, edits: int) -> tuple[list[float], int, list[int]]:
    failed: list[int] = []
    times = []
    done = False
    client = Client(LISTEN)
    while await client.get("host-1.example", "/cart-0") != 200:
        await asyncio.sleep(0.05)
    steady = asyncio.create_task(_steady(lambda: done, LISTEN, failed), name="bench.steady")
    for edit in range(1, edits + 1):
        number = 2 + edit * 37 % (hosts - 2)
        target = world.table_file(root, number)
        fresh = target.with_name(f".{target.name}.edit")
        fresh.write_text(yaml.dump(_with_route(number, edit), Dumper=yaml.CSafeDumper, sort_keys=False))
        began = time.perf_counter()
        os.replace(fresh, target)
        while await client.get(f"host-{number}.example", f"/new-{edit}") != 200:
            await asyncio.sleep(0)
        times.append((time.perf_counter() - began) * 1000)
    done = True
    return times, await steady, failed


async def measure(root: Path, hosts: int, edits: int) -> None:
    async with backend() as port:
        world.write_management(root, ["c0"], hosts)
        world.write_cluster(root, "c0", ADDRESS, pod_port=port)
        with server(root) as (_, relay_port, _admin):
            group = AgentGroup(root, ["c0"], relay_port)
            try:
                _, agent_admin = group.wait_ready()["c0"]
                query = f"gateway=gw/ingress&bind={ADDRESS}&instance=gw-0"
                with envoy(root, "envoy", fetch(f"http://127.0.0.1:{agent_admin}/bootstrap?{query}")):
                    say("waiting for the gateway")
                    times, sent, failed = await _edits(root, hosts, edits)
            finally:
                group.close()
    emit("gateway", hosts=hosts, edits=edits, **spread("", times), steady_requests=sent, failed_requests=len(failed))


def main() -> None:
    hosts, edits = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        asyncio.run(measure(Path(folder), hosts, edits))


if __name__ == "__main__":
    main()
