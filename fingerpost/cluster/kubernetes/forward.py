"""HTTP to a port of a pod through the API server, as `kubectl port-forward` does, but without a port of this machine.

Needs the verbs get and create on pods/portforward. Each connection is a WebSocket of its own with two channels, data
and errors; the first message of each is the port's number and says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import httpcore
import httpx

from fingerpost.cluster.kubernetes.api import Api, ApiFailed

PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1


class PodTransport(httpx.AsyncHTTPTransport):
    """For `httpx.AsyncClient(mounts=...)`: whatever the URL says, one port of one pod answers."""

    def __init__(self, api: Api, namespace: str, pod: str, port: int) -> None:
        super().__init__()
        self._backend = _Backend(api, namespace, pod, port)
        self._pool = httpcore.AsyncConnectionPool(network_backend=self._backend)

    @property
    def forbidden(self) -> str:
        """What the API server refused, when the right is missing."""
        return self._backend.forbidden


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, api: Api, namespace: str, pod: str, port: int) -> None:
        self._api, self._port = api, port
        self.forbidden = ""
        self._path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout(timeout):
                opening = self._api.web_socket(self._path, {"ports": str(self._port)}, PROTOCOL)
                line = await stack.enter_async_context(opening)
        except TimeoutError as late:
            raise httpcore.ConnectTimeout(f"no connection within {timeout}s") from late
        except ApiFailed as failed:
            if failed.status == 403:
                self.forbidden = f"{failed}; it needs the verbs get and create on pods/portforward"
            raise httpcore.ConnectError(self.forbidden or str(failed)) from failed
        return _Stream(line, stack)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, line: aiohttp.ClientWebSocketResponse, stack: AsyncExitStack) -> None:
        self._line, self._stack = line, stack
        self._opened: set[int] = set()
        self._rest = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while not self._rest:
            try:
                async with asyncio.timeout(timeout):
                    message = await self._line.receive()
            except TimeoutError as late:
                raise httpcore.ReadTimeout(f"nothing within {timeout}s") from late
            if message.type is not aiohttp.WSMsgType.BINARY:
                return b""  # the pod has ended the connection
            channel, data = message.data[0], message.data[1:]
            if channel not in self._opened:
                self._opened.add(channel)
            elif channel == _ERROR:
                raise httpcore.ReadError(data.decode(errors="replace").strip())
            elif channel == _DATA:
                self._rest = data
        out, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return out

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._line.send_bytes(bytes([_DATA]) + buffer)
        except TimeoutError as late:
            raise httpcore.WriteTimeout(f"not sent within {timeout}s") from late
        except (aiohttp.ClientError, ConnectionError) as lost:
            raise httpcore.WriteError(str(lost)) from lost

    async def aclose(self) -> None:
        await self._stack.aclose()

    def get_extra_info(self, info: str) -> Any:
        return None
