"""Opens what the server stands on (its cluster, Redis, secrets, its authority, the lease) and runs it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fingerpost import __version__
from fingerpost.cluster.source import open_cluster
from fingerpost.config import origin
from fingerpost.secrets.source import open_secrets
from fingerpost.telemetry import Telemetry
from fingerpost.tracing import tracing
from mgmt.app import Server
from mgmt.authority import open_authority, root_place
from mgmt.ingest.kinds import TYPES_OF_SERVER
from mgmt.leading import open_leading
from mgmt.settings import Settings
from mgmt.store.embedded import embedded_redis
from mgmt.store.history import HistoryStore
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings

_MANAGER = "gloo-mesh-mgmt-server"  # of fields in server-side apply


def _login_from(settings: Settings) -> str:
    """Where the user and the password for Redis can be corrected; without either there are only those in the URL."""
    given = {"redis_username": settings.redis_username, "redis_password": settings.redis_password}
    return " and ".join(origin(name) for name, value in given.items() if value) or origin("redis_url")


@asynccontextmanager
async def running_server(settings: Settings, metrics: Telemetry | None = None) -> AsyncIterator[Server]:
    """The whole server, until the context is left. Raises the edge errors of its parts, each with a remedy."""
    async with AsyncExitStack() as stack:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        folder = await stack.enter_async_context(
            open_cluster(settings, settings.state_dir / "cluster", TYPES_OF_SERVER, _MANAGER, {})
        )
        url = settings.redis_url
        if not url:
            redis = await stack.enter_async_context(embedded_redis(settings.state_dir / "redis"))
            url = redis.url
        at = StoreSettings(
            url=url,
            username=settings.redis_username,
            password=settings.redis_password,
            secret_name=_login_from(settings),
        )
        store = RedisStore(at, f"{settings.replica}/{time.time_ns():x}", stands_in=folder is None)
        stack.push_async_callback(store.close)
        history = HistoryStore(at)
        stack.push_async_callback(history.close)
        telemetry = metrics or Telemetry("fingerpost-mgmt", __version__)
        secrets = await stack.enter_async_context(open_secrets(settings, settings.admin_namespace, _MANAGER))
        authority = await open_authority(root_place(settings.ca_dir, settings.state_dir, secrets))
        lease = await stack.enter_async_context(open_leading(settings))
        where = {"k8s.cluster.name": settings.cluster, "service.instance.id": settings.replica}
        tracer = await stack.enter_async_context(tracing(settings.otlp_endpoint, "fingerpost-mgmt", __version__, where))
        server = Server(settings, folder, store, history, telemetry, secrets, authority, tracer, lease)
        await stack.enter_async_context(server.running())
        yield server
