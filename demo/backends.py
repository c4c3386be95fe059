"""The pods of the shop: one process, one small HTTP server per address, each answering with its cluster and its name
and
with what it was asked. Started with a file that maps addresses to clusters and names.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

PORT = 8080


class _Pod(asyncio.Protocol):
    """Keeps connections open, as a real server would, and reads bodies by their length."""

    def __init__(self, identity: Mapping[str, str]) -> None:
        self._identity = identity
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what TCP servers get
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            lines = self._read[:end].decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            whole = end + 4 + int(headers.get("content-length", "0"))
            if len(self._read) < whole:
                return
            self._read = self._read[whole:]
            self._answer(lines[0], headers)

    def _answer(self, first: str, headers: Mapping[str, str]) -> None:
        method, path, _ = first.split(" ", 2)
        said = {**self._identity, "method": method, "path": path, "host": headers.get("host", "")}
        body = json.dumps(said).encode() + b"\n"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        if self._transport is not None:
            self._transport.write(head.encode() + (b"" if method == "HEAD" else body))


async def serve(pods: Mapping[str, Mapping[str, str]]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for address, identity in pods.items():
        await loop.create_server(partial(_Pod, identity), address, PORT)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
