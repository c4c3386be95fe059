"""One attempt of a probe or a lifecycle hook."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx

from tests.kube.kubelet.watched import Object

_OK = range(200, 400)


class Prober:
    """Asks pods at their addresses, as a node does; certificates are not checked."""

    def __init__(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        # each probe is a connection of its own: a kept one would say nothing about new ones
        self._http = httpx.AsyncClient(
            verify=context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def holds(
        self, probe: Object, address: str, ports: dict[str, int], execute: Callable[[list[str]], Awaitable[int]]
    ) -> bool:
        with suppress(TimeoutError, OSError, httpx.HTTPError):
            async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
                if "exec" in probe:
                    return await execute(probe["exec"]["command"]) == 0
                if "sleep" in probe:
                    await asyncio.sleep(probe["sleep"]["seconds"])
                    return True
                if "tcpSocket" in probe:
                    _, writer = await asyncio.open_connection(address, _port(probe["tcpSocket"]["port"], ports))
                    writer.close()
                    return True
                return await self._answers(probe["httpGet"], address, ports)
        return False

    async def _answers(self, get: Object, address: str, ports: dict[str, int]) -> bool:
        where = f"{get.get('host') or address}:{_port(get['port'], ports)}"
        headers = {h["name"]: h["value"] for h in get.get("httpHeaders") or ()}
        url = f"{get.get('scheme', 'HTTP').lower()}://{where}/{get.get('path', '/').lstrip('/')}"
        return (await self._http.get(url, headers=headers)).status_code in _OK


def _port(given: str | int, ports: dict[str, int]) -> int:
    return given if isinstance(given, int) else ports[given]
