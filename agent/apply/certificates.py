"""The certificate of each gateway (design D16): the key is made here and never leaves the agent, the server only sees
the request.

Certificates are kept in the state folder, so that a gateway has one while the server is away.
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Never, Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from agent.apply.disk import file_name
from agent.xds.ports import CertificateFiles

log = structlog.get_logger()

RENEW_AT = 0.2  # of the lifetime left
RETRY = 5.0
_LONGEST = 3600.0


class NotIssued(Exception):
    """The server is away, or refused; the text says which. The request is made again."""


class Authority(Protocol):
    async def request(self, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        """(chain, roots) in PEM for a CSR in DER; raises NotIssued."""
        ...


def spiffe(trust_domain: str, namespace: str, service_account: str) -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"


def renew_at(chain: bytes) -> datetime.datetime:
    leaf = x509.load_pem_x509_certificates(chain)[0]
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return ends - (ends - begins) * RENEW_AT


class Certificates:
    """`changed(gateway)` is called when a gateway has a certificate that it did not have before."""

    def __init__(
        self, folder: Path, authority: Authority, changed: Callable[[str], None], retry: float = RETRY
    ) -> None:
        self._folder = folder
        self._authority = authority
        self._changed = changed
        self._retry = retry
        self._identities: dict[str, str] = {}
        self._files: dict[str, CertificateFiles] = {}
        self._wake = asyncio.Event()

    def of(self, gateway: str) -> CertificateFiles | None:
        return self._files.get(gateway)

    def want(self, gateway: str, identity: str) -> None:
        """`identity` is the SPIFFE name; another one for a known gateway means another certificate."""
        if self._identities.get(gateway) == identity:
            return
        self._identities[gateway] = identity
        if gateway not in self._files and (kept := self._load(gateway, identity)):
            self._files[gateway] = kept
            self._changed(gateway)
        self._wake.set()

    def forget(self, gateway: str) -> None:
        self._identities.pop(gateway, None)
        self._files.pop(gateway, None)
        for path in self._paths(gateway):
            path.unlink(missing_ok=True)

    async def run(self) -> Never:
        while True:
            self._wake.clear()
            failed = False
            for gateway, identity in list(self._identities.items()):
                if self._due(gateway, identity):
                    failed |= not await self._obtain(gateway, identity)
            try:
                async with asyncio.timeout(self._retry if failed else self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _due(self, gateway: str, identity: str) -> bool:
        files = self._files.get(gateway)
        if files is None or identity_of(files.chain) != identity:
            return True
        return renew_at(files.chain) <= datetime.datetime.now(datetime.UTC)

    def _pause(self) -> float:
        now = datetime.datetime.now(datetime.UTC)
        waits = [(renew_at(f.chain) - now).total_seconds() for f in self._files.values()]
        return min([max(w, 0.0) for w in waits] + [_LONGEST])

    async def _obtain(self, gateway: str, identity: str) -> bool:
        key = await asyncio.to_thread(self._key, gateway)
        try:
            chain, roots = await self._authority.request(gateway, _request(key, identity))
        except NotIssued as refused:
            log.warning("apply.certificate.unissued", gateway=gateway, reason=str(refused))
            return False
        if problem := _unfit(chain, key, identity):
            log.error("apply.certificate.unfit", gateway=gateway, reason=problem)
            return False
        self._files[gateway] = CertificateFiles(chain, _pem(key), roots)
        await asyncio.to_thread(self._keep, gateway, chain, roots)
        self._changed(gateway)
        return True

    # ------------------------------------------------------------------ files

    def _paths(self, gateway: str) -> tuple[Path, Path, Path]:
        name = file_name(gateway)
        return self._folder / f"{name}.key", self._folder / f"{name}.crt", self._folder / f"{name}.roots"

    def _key(self, gateway: str) -> ec.EllipticCurvePrivateKey:
        path = self._paths(gateway)[0]
        try:
            key = load_pem_private_key(path.read_bytes(), None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key
        except (FileNotFoundError, ValueError):
            pass  # none yet, or a damaged file: the next certificate simply has another key
        fresh = ec.generate_private_key(ec.SECP256R1())
        _write(path, _pem(fresh))
        return fresh

    def _keep(self, gateway: str, chain: bytes, roots: bytes) -> None:
        _, chain_path, roots_path = self._paths(gateway)
        _write(roots_path, roots)
        _write(chain_path, chain)

    def _load(self, gateway: str, identity: str) -> CertificateFiles | None:
        try:
            key, chain, roots = (path.read_bytes() for path in self._paths(gateway))
            private = load_pem_private_key(key, None)
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or _unfit(chain, private, identity):
            return None
        return CertificateFiles(chain, key, roots)


def identity_of(chain: bytes) -> str:
    leaf = x509.load_pem_x509_certificates(chain)[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def _unfit(chain: bytes, key: ec.EllipticCurvePrivateKey, identity: str) -> str:
    """Why a certificate cannot be used; "" when it can."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError):
        return "it is not PEM"
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*spki) != key.public_key().public_bytes(*spki):
        return "it is for another key"
    if leaf.not_valid_after_utc <= datetime.datetime.now(datetime.UTC):
        return f"it ended at {leaf.not_valid_after_utc.isoformat()}"
    found = identity_of(chain)
    return "" if found == identity else f"it names {found or 'nobody'} and not {identity}"


def _request(key: ec.EllipticCurvePrivateKey, identity: str) -> bytes:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fingerpost gateway")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
