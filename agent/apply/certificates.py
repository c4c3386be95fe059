"""The certificate of each gateway (design D16): the key is made here and never leaves the agent, the server only sees
the request.

Certificates are kept with their keys (`agent.apply.kept`), so that a gateway has one while the server is away.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
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
from agent.apply.kept import Kept
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
        self,
        kept: Kept,
        authority: Authority,
        changed: Callable[[str], None],
        may_ask: Callable[[], bool] = lambda: True,
        retry: float = RETRY,
    ) -> None:
        """While `may_ask()` does not hold, another agent of this cluster asks, and `look_again` brings its answer."""
        self._kept, self._may_ask = kept, may_ask
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
        if self._may_ask():
            self._kept.drop(_names(gateway))

    def look_again(self) -> None:
        """What is kept may be another's now; or this agent may ask from now on."""
        for gateway, identity in self._identities.items():
            if (kept := self._load(gateway, identity)) and kept != self._files.get(gateway):
                self._files[gateway] = kept
                self._changed(gateway)
        self._wake.set()

    async def run(self) -> Never:
        while True:
            self._wake.clear()
            failed = False
            for gateway, identity in list(self._identities.items()):
                if self._due(gateway, identity):
                    failed |= not (self._may_ask() and await self._obtain(gateway, identity))
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
        waits = [(renew_at(f.chain) - now).total_seconds() for g, f in self._files.items() if g in self._identities]
        return min([max(w, 0.0) for w in waits] + [_LONGEST])

    async def _obtain(self, gateway: str, identity: str) -> bool:
        key = await self._key(gateway)
        try:
            chain, roots = await self._authority.request(gateway, _request(key, identity))
        except NotIssued as refused:
            log.warning("apply.certificate.unissued", gateway=gateway, reason=str(refused))
            return False
        if self._identities.get(gateway) != identity:  # it went meanwhile, or is to have another one
            return True
        if problem := _unfit(chain, key, identity):
            log.error("apply.certificate.unfit", gateway=gateway, reason=problem)
            return False
        files = CertificateFiles(chain, _pem(key), roots)
        self._files[gateway] = files
        key_name, chain_name, roots_name = _names(gateway)
        await self._kept.keep({key_name: files.key, roots_name: roots, chain_name: chain})
        if gateway in self._identities:
            self._changed(gateway)
        else:  # it went while the files were written
            self.forget(gateway)
        return True

    async def _key(self, gateway: str) -> ec.EllipticCurvePrivateKey:
        """That of the last certificate. None yet, or a damaged one: the next certificate simply has another key."""
        if (key := _private(self._kept.read(_names(gateway)[0]))) is not None:
            return key
        return await asyncio.to_thread(ec.generate_private_key, ec.SECP256R1())

    def _load(self, gateway: str, identity: str) -> CertificateFiles | None:
        key, chain, roots = (self._kept.read(name) for name in _names(gateway))
        private = _private(key)
        if key is None or chain is None or roots is None or private is None or _unfit(chain, private, identity):
            return None
        return CertificateFiles(chain, key, roots)


def _names(gateway: str) -> tuple[str, str, str]:
    """Of the files for key, certificate and roots."""
    name = file_name(gateway)
    return f"{name}.key", f"{name}.crt", f"{name}.roots"


def _private(pem: bytes | None) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = load_pem_private_key(pem or b"", None)
    except ValueError:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


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
