"""Both forms of a listener's routes for clients that speak HTTP/2."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from xds_hosts import BOTH, rules, site
from xds_support import Backend, Rig, Spot, destination, free_port

from agent.xds.scopes import HEADER
from fingerpost.relay.route_forms import Form

pytestmark = [pytest.mark.envoy, pytest.mark.spec("M-10")]
Headers = tuple[tuple[str, str], ...]


@BOTH
async def test_a_request_finds_its_host_by_authority(rig: Rig, echo: Backend, form: Form) -> None:
    """A header that was sent along counts for nothing."""
    port = free_port()
    rig.local["shop", "cart"] = [Spot("127.0.0.1", echo.port)]
    rig.push(destination("cart") | site(port, form, rules("a.example", "b.example", "*.wild.example")))
    async with rig.envoy():
        await rig.live()
        for host, path in (
            ("a.example", "/a.example/"),
            ("A.EXAMPLE:8080", "/a.example/"),
            ("b.example", "/b.example/"),
            ("x.wild.example", "/any.wild.example/"),
        ):
            other = "/a.example/" if path != "/a.example/" else "/b.example/"
            nothing: Headers = ()
            for forged in (nothing, ((HEADER, f"http{other[:-1]}"),)):
                assert await reaches(port, host, path, forged), (host, forged)
                assert not await reaches(port, host, other, forged), (host, forged)


async def reaches(port: int, host: str, path: str, headers: Headers) -> bool:
    """gRPC is HTTP/2 without TLS. It calls a 404 UNIMPLEMENTED, and a backend that speaks no gRPC UNKNOWN."""
    options = (("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        call: Any = channel.unary_unary(f"{path}x")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=headers, timeout=20)
    found = refused.value.code()
    assert found in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN), refused.value
    return bool(found is grpc.StatusCode.UNKNOWN)
