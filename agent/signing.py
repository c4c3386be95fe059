"""The server as the one who signs gateways' certificates: its answers on Pull in the words of whoever asks."""

from __future__ import annotations

from agent.apply.certificates import NotIssued
from agent.relay.pull import CertificateRefused, Pull


class ServerAuthority:
    def __init__(self, pull: Pull) -> None:
        self._pull = pull

    async def request(self, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        try:
            return await self._pull.certificate(id_, csr)
        except CertificateRefused as refused:
            raise NotIssued(str(refused)) from refused
