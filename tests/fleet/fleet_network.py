"""The fleet's own stretch of 127.0.0.0/8: backends that say who they are, a client, and a tap that sees every byte of a
connection.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, Protocol, Self

import httpx

from tests.fleet.fleet_manifests import HOST, HTTP_PORT

_PAUSE = 0.01
_PORTS = (20_000, 32_000)
_given: set[int] = set()  # by this process; who asked may not listen there yet


async def until(what: Callable[[], Any], timeout: float = 20, why: str | Callable[[], object] = "") -> Any:
    """What `what` answers as soon as that is true. It is asked again and again: much of what is waited for is another
    process.
    """
    end = time.monotonic() + timeout
    while True:
        found = what()
        answer = await found if isinstance(found, Awaitable) else found
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not so within {timeout} s: {why() if callable(why) else why}, last: {answer!r}")
        await asyncio.sleep(_PAUSE)


async def steadily(holds: Callable[[], bool | Awaitable[bool]], seconds: float, why: str) -> None:
    """Fails as soon as `holds` does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        assert await found if isinstance(found, Awaitable) else found, why
        await asyncio.sleep(_PAUSE)


async def settled(value: Callable[[], object], seconds: float, timeout: float = 30) -> None:
    """Until `value` has stayed the same for so long."""
    last, since, end = value(), time.monotonic(), time.monotonic() + timeout
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end, f"still changing after {timeout} s"
        await asyncio.sleep(0.1)
        if (now := value()) != last:
            last, since = now, time.monotonic()


class Addresses(Protocol):
    """Where the gateways and pods of a fleet are; clusters are numbered from 1."""

    def gateway(self, cluster: int) -> str: ...

    def pod(self, cluster: int, number: int = 0) -> str: ...


class Block(NamedTuple):
    """127.<block>.<cluster>.<host>: fleets that run at the same time do not meet."""

    number: int

    def gateway(self, cluster: int) -> str:
        return f"127.{self.number}.{cluster}.1"

    def pod(self, cluster: int, number: int = 0) -> str:
        return f"127.{self.number}.{cluster}.{10 + number}"


def free_block() -> Block:
    for number in random.sample(range(20, 250), 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((Block(number).gateway(1), HTTP_PORT))
            except OSError:
                continue
            return Block(number)
    raise RuntimeError("no free addresses on loopback")


def free_port() -> int:
    """Not one of those from which the system makes connections: somebody could have it before it is listened on."""
    while True:
        port = random.randrange(*_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: _Serve, cut: Callable[[], None] = lambda: None, **where: Any) -> AsyncIterator[int]:
    """Yields the port: of 127.0.0.1, unless `where` says otherwise. `cut` ends what is connected at the end."""
    server = await asyncio.start_server(serve, **(where or {"host": "127.0.0.1", "port": 0}))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        cut()


@asynccontextmanager
async def backend(
    address: str, text: str, port: int = HTTP_PORT, tls: ssl.SSLContext | None = None
) -> AsyncIterator[list[str]]:
    """Answers every request with `text`; yields the first lines of the requests."""
    seen: list[str] = []
    body = text.encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen.append(head.partition(b"\r\n")[0].decode())
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writers.discard(writer)
            writer.close()

    def cut() -> None:
        for writer in list(writers):
            writer.close()

    async with listening(serve, cut, host=address, port=port, ssl=tls):
        yield seen


class Answer(NamedTuple):
    status: int  # 0: no answer
    text: str


class Client:
    """Requests to gateways, each on a connection of the pool; a refused connection is status 0."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(trust_env=False, timeout=15.0)

    async def get(self, address: str, path: str, host: str = HOST, port: int = HTTP_PORT) -> Answer:
        try:
            found = await self._http.get(f"http://{address}:{port}{path}", headers={"host": host})
        except httpx.TransportError as wrong:
            return Answer(0, type(wrong).__name__)
        return Answer(found.status_code, found.text)

    async def json(self, port: int, path: str) -> dict[str, object]:
        found = await self._http.get(f"http://127.0.0.1:{port}{path}", timeout=15.0)
        body: dict[str, object] = found.json()
        return body

    async def text(self, port: int, path: str) -> str:
        return (await self._http.get(f"http://127.0.0.1:{port}{path}", timeout=15.0)).text

    async def close(self) -> None:
        await self._http.aclose()


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float = 0.0) -> None:
    """To the end; each piece takes `delay` seconds."""
    try:
        while data := await reader.read(1 << 16):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


class _Between(ABC):
    """Listens on `port` while it runs, and carries what comes to where it belongs."""

    def __init__(self) -> None:
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @abstractmethod
    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        async with listening(self._join, self.cut) as self.port:
            yield self


class Spreader(_Between):
    """Plays the Service: each new connection goes to one of `ports`, as chance has it, that takes it. `delay`: seconds
    that each piece takes either way.
    """

    def __init__(self, *ports: int, delay: float = 0.0) -> None:
        super().__init__()
        self.ports, self.delay = list(ports), delay
        self._random = random.Random(7)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        for port in self._random.sample(self.ports, len(self.ports)):
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(copied(reader, far_writer, self.delay), name="spreader.up")
                group.create_task(copied(far_reader, writer, self.delay), name="spreader.down")
            self._writers.discard(far_writer)
            break
        self._writers.discard(writer)
        writer.close()

    def move(self, *ports: int) -> None:
        """To other targets; what is connected now is cut off."""
        self.ports = list(ports)
        self.cut()


class Tap(_Between):
    """Stands between an agent and its server and keeps all that passes. The relay is plaintext on loopback."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target = target
        self.up = bytearray()
        self.down = bytearray()

    @property
    def total(self) -> int:
        return len(self.up) + len(self.down)

    def clear(self) -> None:
        self.up.clear()
        self.down.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._copy(reader, far_writer, self.up), name="tap.up")
            group.create_task(self._copy(far_reader, writer, self.down), name="tap.down")

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(1 << 16):
                kept += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            self._writers.discard(writer)
            writer.close()
