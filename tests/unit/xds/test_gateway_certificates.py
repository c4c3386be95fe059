"""A gateway's certificate: requested with a key that stays here, kept, renewed in time."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from xds_certificates import Signer
from xds_support import GATEWAY

from agent.apply.certificates import Certificates, identity_of, spiffe
from agent.apply.kept import KeptInFolder
from agent.xds.ports import CertificateFiles
from fingerpost.background import background
from tests.unit.relay.support import until

IDENTITY = spiffe("cluster.local", "ingress", "gw")


class Running:
    def __init__(self, folder: Path, signer: Signer) -> None:
        self.news: asyncio.Queue[str] = asyncio.Queue()
        self.kept = KeptInFolder(folder, again=0.01)
        self.certificates = Certificates(self.kept, signer, self.news.put_nowait, retry=0.01)

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


class Answered(Signer):
    """`meanwhile` happens after a request and before its answer."""

    meanwhile: Callable[[], None]

    async def request(self, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        answer = await super().request(id_, csr)
        self.meanwhile()
        return answer


class Written(KeptInFolder):
    """`meanwhile` happens before the last file is there."""

    meanwhile: Callable[[], None]

    async def keep(self, files: Mapping[str, bytes]) -> None:
        self.meanwhile()
        await super().keep(files)


@pytest.mark.parametrize("when", ["asked", "written"])
async def test_a_gateway_forgotten_while_its_certificate_is_made_stays_forgotten(tmp_path: Path, when: str) -> None:
    signer, kept = Answered(3600), Written(tmp_path)
    news: asyncio.Queue[str] = asyncio.Queue()
    certificates = Certificates(kept, signer, news.put_nowait)
    signer.meanwhile = kept.meanwhile = lambda: None
    (signer if when == "asked" else kept).meanwhile = lambda: certificates.forget(GATEWAY)
    certificates.want(GATEWAY, IDENTITY)
    certificates.want("ingress/other", IDENTITY)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(certificates.run(), name="certificates")
        async with asyncio.timeout(10):
            assert await news.get() == "ingress/other"
        task.cancel()
    assert signer.asked == [GATEWAY, "ingress/other"]
    assert certificates.of(GATEWAY) is None
    assert {name.partition(".")[0] for name in os.listdir(tmp_path)} == {"ingress_other"}


async def test_another_identity_wanted_during_a_request_is_asked_for_at_once(tmp_path: Path) -> None:
    signer = Answered(3600)
    told: asyncio.Queue[CertificateFiles | None] = asyncio.Queue()
    certificates = Certificates(
        KeptInFolder(tmp_path), signer, lambda gateway: told.put_nowait(certificates.of(gateway))
    )
    another = spiffe("cluster.local", "ingress", "other")
    signer.meanwhile = lambda: certificates.want(GATEWAY, another)
    certificates.want(GATEWAY, IDENTITY)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(certificates.run(), name="certificates")
        async with asyncio.timeout(10):
            files = await told.get()
        task.cancel()
    assert files is not None
    assert identity_of(files.chain) == another
    assert signer.asked == [GATEWAY] * 2


async def test_a_certificate_that_cannot_be_written_is_served_and_kept_later(tmp_path: Path) -> None:
    running = Running(tmp_path, Signer(3600))
    in_the_way = tmp_path / "ingress_gw.crt.new"
    in_the_way.mkdir()
    running.certificates.want(GATEWAY, IDENTITY)
    with structlog.testing.capture_logs() as logs:
        await running.next()
        await running.kept.keep({})  # tried again
    held = running.certificates.of(GATEWAY)
    assert held is not None
    assert running.kept.read("ingress_gw.crt") == held.chain
    assert [(line["event"], line["file"]) for line in logs] == [
        ("apply.kept.unwritten", str(tmp_path / "ingress_gw.crt"))
    ], "once, however often it is tried"
    async with background({"kept": running.kept.run()}):
        in_the_way.rmdir()
        await until((tmp_path / "ingress_gw.crt").exists)
    again = Running(tmp_path, Signer(None))
    again.certificates.want(GATEWAY, IDENTITY)
    assert again.certificates.of(GATEWAY) == held
