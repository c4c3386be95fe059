"""The node's port: what the API server asks a kubelet for. Port-forwards only, in the form of WebSockets.

A channel of data and one of errors; the first message of each is the port's number. Who connects reaches the loopback
of the pod, as with a real kubelet.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

PORT = 10250
PROTOCOL = "v4.channel.k8s.io"
_CHUNK = 65536
_CLONE_NEWNET = 0x40000000
# (namespace, pod) -> the file of its network namespace, None for a pod that does not run here
Networks = Callable[[str, str], str | None]


@asynccontextmanager
async def open_door(address: str, pki: Path, network: Networks) -> AsyncIterator[None]:
    """`pki` holds server.crt and server.key; the API server looks at nobody's name when it calls a kubelet."""
    door = _Door(network)
    app = web.Application()
    app.router.add_get("/portForward/{namespace}/{pod}", door.forward)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki / "server.crt", pki / "server.key")
    try:
        await web.TCPSite(runner, address, PORT, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


class _Door:
    def __init__(self, network: Networks) -> None:
        self._network = network

    async def forward(self, request: web.Request) -> web.StreamResponse:
        namespace, pod = request.match_info["namespace"], request.match_info["pod"]
        network = self._network(namespace, pod)
        if network is None:
            return web.Response(status=404, text=f"pod {namespace}/{pod} does not run here")
        line = web.WebSocketResponse(protocols=(PROTOCOL,))
        await line.prepare(request)
        port = int(request.query["port"])
        for channel in (0, 1):
            await line.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
        try:
            inside = await asyncio.to_thread(_connected_inside, network, port)
        except OSError as failed:
            await line.send_bytes(b"\x01" + f"port {port} of pod {namespace}/{pod}: {failed.strerror}".encode())
            await line.close()
            return line
        reader, writer = await asyncio.open_connection(sock=inside)
        back = asyncio.create_task(_copy_back(reader, line))
        try:
            async for message in line:
                if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
                    writer.write(message.data[1:])
                    await writer.drain()
        finally:
            back.cancel()
            writer.close()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await back
        return line


async def _copy_back(reader: asyncio.StreamReader, line: web.WebSocketResponse) -> None:
    while data := await reader.read(_CHUNK):
        await line.send_bytes(b"\x00" + data)
    await line.close()


def _connected_inside(network: str, port: int) -> socket.socket:
    """A socket stays in the network in which it was made; the thread that went there ends with it."""
    found: list[socket.socket] = []
    wrong: list[OSError] = []

    def connect() -> None:
        try:
            where = os.open(network, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(where, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            finally:
                os.close(where)
            found.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            found[0].setblocking(False)
        except OSError as error:
            wrong.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    if wrong:
        raise wrong[0]
    return found[0]
