"""One API server for the tests that leave it as they found it; those that harm one start their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.kube import tools
from tests.kube.api_server import ApiServer
from tests.kube.kube_client import KubeClient, open_crd


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs pods takes longest, and comes first: so two lanes end at about the same time."""
    items.sort(key=lambda item: not hasattr(getattr(item, "module", None), "running_cluster"))


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    try:
        tools.binary("kube-apiserver")
    except tools.ToolsMissing as missing:
        pytest.skip(str(missing))


USERS = ("agent", "nobody")


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer("one", tmp_path_factory.mktemp("one"))
    server.prepare(*USERS)
    try:
        asyncio.run(_with_kinds(server))
        yield server
    finally:
        asyncio.run(server.close())


async def _with_kinds(server: ApiServer) -> None:
    await server.start()
    async with KubeClient(server) as kube:
        await kube.install(open_crd())


@pytest.fixture
async def kube(shared_server: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(shared_server) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "server"
