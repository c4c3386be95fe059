"""Option 0 of relay.md §5.3: a connection without TLS, on which nobody proves anything."""

from __future__ import annotations

import asyncio
from typing import Never

from agent.relay.diagnosis import Finding, look, unreachable
from agent.relay.trust import Line
from fingerpost.relay.reasons import LinkLost


class Plaintext:
    """Nothing is shown, and everybody believed."""

    def __init__(self, address: str = "", authority: str = "") -> None:
        self.changed = asyncio.Event()
        self._address, self._authority = address, authority
        self.finding: Finding | None = None
        self.away: Finding | None = None

    async def line(self) -> Line:
        return Line()

    async def explain(self, lost: LinkLost) -> LinkLost:
        self.finding = None
        if not self._address:
            return lost
        seen = await asyncio.to_thread(look, self._address, self._authority)
        self.away = unreachable(seen, self._address)
        if seen.certificate is not None:
            message = f"the server at {self._address} asks for TLS, this agent has insecure; set it to the same on both"
            self.finding = Finding("RelayInsecure", message)
            return LinkLost(message)
        return lost

    def unusable(self) -> list[Finding]:
        return []

    async def begin(self) -> None:
        pass

    async def run(self) -> Never:
        while True:  # there is nothing to do
            await asyncio.Event().wait()
