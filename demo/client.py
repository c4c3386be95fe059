"""Requests to gateways, and questions to the admin ports of our own processes."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_PATIENCE = 5.0


class Answer(NamedTuple):
    """`pod` and `cluster` are empty when the gateway itself answered. Status 0: there was no answer."""

    status: int
    headers: Mapping[str, str]
    body: str
    cluster: str = ""
    pod: str = ""
    path: str = ""
    host: str = ""

    @property
    def by(self) -> str:
        """Who answered, in short."""
        return f"{self.cluster}/{self.pod}" if self.pod else f"{self.status or 'no answer'} {self.body}".strip()


class NoAnswer(Exception):
    """The message says what did not answer."""


class Connection:
    """One kept-alive connection to a gateway; opened anew when it was closed."""

    def __init__(self, address: str, port: int, name: str, trust: Path | None = None) -> None:
        self._address, self._port, self._name, self._trust = address, port, name, trust
        self._open: http.client.HTTPConnection | None = None

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        try:
            return self._ask(path, method, headers or {})
        except (OSError, http.client.HTTPException) as wrong:
            self.close()
            return Answer(0, {}, f"{type(wrong).__name__}: {wrong}")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _ask(self, path: str, method: str, headers: Mapping[str, str]) -> Answer:
        if self._open is None:
            self._open = http.client.HTTPConnection(self._address, self._port, timeout=_PATIENCE)
            self._open.connect()
            self._open.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._trust is not None:
                context = ssl.create_default_context(cafile=str(self._trust))
                self._open.sock = context.wrap_socket(self._open.sock, server_hostname=self._name)
        self._open.request(method, path, headers={"Host": self._name, **headers})
        response = self._open.getresponse()
        body = response.read().decode(errors="replace").strip()
        found = {name.lower(): value for name, value in response.getheaders()}
        if found.get("connection") == "close":
            self.close()
        if found.get("content-type", "").startswith("application/json"):
            said = json.loads(body or "{}")
            return Answer(
                response.status, found, body, **{k: said.get(k, "") for k in ("cluster", "pod", "path", "host")}
            )
        return Answer(response.status, found, body)


class Steady:
    """Sends one request after the other from a thread of its own, and counts who answered."""

    def __init__(self, connection: Connection, path: str, pause: float = 0.002) -> None:
        self._connection, self._path, self._pause = connection, path, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steady", daemon=True)
        self.answers: Counter[str] = Counter()
        self.failed: list[str] = []

    def __enter__(self) -> Steady:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    @property
    def sent(self) -> int:
        return sum(self.answers.values()) + len(self.failed)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            answer = self._connection.ask(self._path)
            if answer.status == http.client.OK:
                self.answers[answer.by] += 1
            else:
                self.failed.append(answer.by)


def fetch(port: int, path: str) -> Any:
    """JSON from an admin port of 127.0.0.1; None when nothing answers there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status < http.client.BAD_REQUEST else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def handshake_refused(address: str, port: int, name: str) -> str:
    """How a TLS connection without a client certificate ends; empty if it stays open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # what the other side shows is not the question here
    try:
        plain = socket.create_connection((address, port), timeout=_PATIENCE)
        with plain, context.wrap_socket(plain, server_hostname=name) as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            return "" if secure.recv(1) else "closed"
    except ssl.SSLError as refused:
        return f"closed: {refused.reason or 'end of file'}".lower().replace("_", " ")
    except ConnectionError:
        return "closed: connection reset"
    except TimeoutError:
        return ""


def demand(port: int, path: str) -> Any:
    """The same where an answer must come. Raises NoAnswer."""
    found = fetch(port, path)
    if found is None:
        raise NoAnswer(f"http://127.0.0.1:{port}{path} does not answer")
    return found


def timed(act: Callable[[], None], look: Callable[[], bool], within: float = 10.0) -> float:
    """Seconds from the act to the first look that holds; looks in quick succession. Raises NoAnswer."""
    began = time.perf_counter()
    act()
    while not look():
        if time.perf_counter() - began > within:
            raise NoAnswer(f"no right answer within {within:.0f} s of the edit")
        time.sleep(0.0005)
    return time.perf_counter() - began
