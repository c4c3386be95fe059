"""Gateways with many hosts, and a backend that tells what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from xds_support import Backend, Key, Rule, listener, routes, table

from fingerpost.relay.pieces import PieceList
from fingerpost.relay.route_forms import Form

BOTH = pytest.mark.parametrize("form", [Form.PLAIN, Form.SCOPED])


class Echo(Backend):
    """Answers with the head of the request."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(head), head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def site(port: int, form: Form, rules: Sequence[Rule], name: str = "http") -> dict[Key, PieceList]:
    return {
        ("listener", f"0.0.0.0_{port}"): listener(port, name, form=form),
        ("routes", name): routes(rules, name),
    }


def path_of(host: str) -> str:
    return f"/{host.replace('*', 'any')}/"


def rules(*hosts: str) -> list[Rule]:
    return [Rule(table(host.replace("*", "any")), "cart", path_of(host), host=host) for host in hosts]
