"""A world of the admin tests behind a real HTTP server, and the command line as a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[1] / "admin"))

from admin_world import World

Run = Callable[..., "Result"]


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Served:
    """The world lives on the loop of its server; touch it with `do`."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.world, self.url, self._loop = world, url, loop

    def do(self, order: Callable[[World], Any]) -> Any:
        async def run() -> Any:
            return order(self.world)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)


@contextmanager
def serving(world: World, port: int = 0) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(world.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        )
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve([listener])))
        thread.start()
        try:
            yield Served(world, loop, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(10)
            loop.close()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Callable[..., list[Served]]]:
    """Starts servers of the worlds given and writes the contexts file for them."""
    with ExitStack() as stack:

        def start(*worlds: World, agents: dict[str, str] | None = None, silent: tuple[str, ...] = ()) -> list[Served]:
            found = [stack.enter_context(serving(world)) for world in worlds]
            addresses = [*(served.url for served in found), *silent]
            context = {"server": addresses[0], "servers": addresses[1:], "agents": agents or {}}
            (tmp_path / "config.yaml").write_text(yaml.safe_dump({"current": "demo", "contexts": {"demo": context}}))
            return found

        yield start


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FINGERPOST") and k != "NO_COLOR"}
    return kept | {"FINGERPOST_CONFIG": str(tmp_path / "config.yaml"), "HOME": str(tmp_path)}


@pytest.fixture
def fingerpost(environment: dict[str, str]) -> Run:
    def run(*arguments: str, stdin: str = "", **more: str) -> Result:
        command = [sys.executable, "-m", "ctl", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment | more, input=stdin, timeout=60)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def agent() -> Iterator[Callable[[], str]]:
    """An agent's loopback admin that answers with what it was asked."""
    with ExitStack() as stack:

        def start() -> str:
            async def answer(request: Request) -> JSONResponse:
                if request.query_params["gateway"] == "gw/none":
                    return JSONResponse({"error": {"message": "there is no gateway gw/none"}}, 404)
                return JSONResponse(dict(request.query_params))

            world = World()

            async def release(_: Request) -> JSONResponse:
                return JSONResponse({"gateways": ["gw/ingress"], "objects": 3})

            async def findings(_: Request) -> JSONResponse:
                wrong = {"source": "a.yaml", "code": "NotYaml", "message": "file a.yaml, line 3: repair the file"}
                gone = {"source": "", "code": "RootVanished", "message": "the folder /east does not exist; create it"}
                return JSONResponse({"cluster": "east", "findings": [wrong, gone]})

            routes = [Route("/bootstrap", answer), Route("/findings", findings)]
            world.app = Starlette(routes=[*routes, Route("/release", release, methods=["POST"])])
            return stack.enter_context(serving(world)).url

        yield start
