"""A gateway's certificate: requested with a key that stays here, kept, renewed in time."""

from __future__ import annotations

import asyncio
import datetime
import os
from pathlib import Path

from cryptography import x509
from xds_certificates import Signer
from xds_support import GATEWAY

from agent.apply.certificates import Certificates, spiffe
from agent.apply.kept import KeptInFolder

IDENTITY = spiffe("cluster.local", "ingress", "gw")


class Running:
    def __init__(self, folder: Path, signer: Signer) -> None:
        self.news: asyncio.Queue[str] = asyncio.Queue()
        self.certificates = Certificates(KeptInFolder(folder), signer, self.news.put_nowait, retry=0.01)

    async def next(self) -> x509.Certificate:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.certificates.run(), name="certificates")
            async with asyncio.timeout(10):
                gateway = await self.news.get()
            task.cancel()
        files = self.certificates.of(gateway)
        assert files is not None
        return x509.load_pem_x509_certificates(files.chain)[0]


async def test_a_certificate_is_asked_for_until_the_server_is_there_and_names_the_identity(tmp_path: Path) -> None:
    signer = Signer(None, None, 3600)
    running = Running(tmp_path / "certs", signer)
    running.certificates.want(GATEWAY, IDENTITY)
    leaf = await running.next()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/ingress/sa/gw"]
    assert signer.asked == [GATEWAY] * 3
    assert {f.stat().st_mode & 0o777 for f in (tmp_path / "certs").iterdir()} == {0o600}


async def test_a_restart_without_server_uses_the_kept_one_and_another_identity_does_not(tmp_path: Path) -> None:
    first = Running(tmp_path, Signer(3600))
    first.certificates.want(GATEWAY, IDENTITY)
    await first.next()
    away = Signer(None)
    again = Running(tmp_path, away)
    again.certificates.want(GATEWAY, IDENTITY)
    assert again.certificates.of(GATEWAY) == first.certificates.of(GATEWAY)
    assert again.news.get_nowait() == GATEWAY
    other = Running(tmp_path, away)
    other.certificates.want(GATEWAY, spiffe("cluster.local", "ingress", "other"))
    assert other.certificates.of(GATEWAY) is None


async def test_a_certificate_near_its_end_is_renewed(tmp_path: Path) -> None:
    # 60 of 400 seconds left: the moment has come, and a busy machine has a minute for it
    running = Running(tmp_path, Signer(60, 3600, begun=340))
    running.certificates.want(GATEWAY, IDENTITY)
    short = await running.next()
    renewed = await running.next()
    assert renewed.not_valid_after_utc > short.not_valid_after_utc
    assert datetime.datetime.now(datetime.UTC) <= short.not_valid_after_utc


async def test_forgetting_a_gateway_deletes_its_key(tmp_path: Path) -> None:
    running = Running(tmp_path, Signer(3600))
    running.certificates.want(GATEWAY, IDENTITY)
    await running.next()
    running.certificates.forget(GATEWAY)
    assert os.listdir(tmp_path) == []
