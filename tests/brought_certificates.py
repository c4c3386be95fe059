"""The recipes of docs/bring-certificates.md: their values, and the Certificates as cert-manager would fulfil them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fingerpost.relay import pki

PAGE = Path(__file__).parents[1] / "docs" / "bring-certificates.md"
RECIPES = ("cert-manager", "Vault", "AWS Private CA")
_BLOCK = re.compile(r"^```yaml\n# ([^\n]+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_USAGES = {"server auth": ExtendedKeyUsageOID.SERVER_AUTH, "client auth": ExtendedKeyUsageOID.CLIENT_AUTH}
_SIGNING = {"digital signature", "key encipherment"}
Object = dict[str, Any]


class Recipe(NamedTuple):
    """What a person applies, by cluster."""

    management: list[Object]
    workload: list[Object]


def _blocks() -> dict[str, list[Object]]:
    return {title: list(yaml.safe_load_all(text)) for title, text in _BLOCK.findall(PAGE.read_text())}


def recipe(name: str) -> Recipe:
    found = _blocks()
    return Recipe(found[f"{name}: management cluster"], found[f"{name}: workload cluster"])


def values() -> tuple[Object, Object]:
    """Of the management cluster, of a workload cluster."""
    found = _blocks()
    return found["values of the management cluster"][0], found["values of a workload cluster"][0]


def certificates(objects: list[Object]) -> dict[str, Object]:
    """By the Secret that each writes."""
    return {one["spec"]["secretName"]: one for one in objects if one["kind"] == "Certificate"}


def fulfilled(certificate: Object, root: pki.Pair, intermediate: pki.Pair | None) -> Mapping[str, bytes]:
    """The Secret as cert-manager writes it: `tls.crt` with what is between leaf and root, the key as PKCS#1 or SEC1."""
    spec = certificate["spec"]
    assert set(spec["usages"]) <= _USAGES.keys() | _SIGNING, spec["usages"]
    issuer = intermediate or root
    signer = pki.certificates(issuer.chain)[0]
    wanted = spec["privateKey"]
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if wanted["algorithm"] == "ECDSA":
        key = ec.generate_private_key({256: ec.SECP256R1(), 384: ec.SECP384R1()}[wanted["size"]])
    else:
        key = rsa.generate_private_key(65537, wanted["size"])
    now = datetime.datetime.now(datetime.UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))  # only alternative names
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(hours=int(spec["duration"].removesuffix("h"))))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in spec["dnsNames"]]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(True, False, True, False, False, False, False, False, False),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([_USAGES[u] for u in spec["usages"] if u in _USAGES]), critical=False)
        .sign(serialization.load_pem_private_key(issuer.key, None), hashes.SHA256())  # type: ignore[arg-type]
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    chain = leaf.public_bytes(serialization.Encoding.PEM) + (
        signer.public_bytes(serialization.Encoding.PEM) if intermediate else b""
    )
    return {
        "tls.crt": chain,
        "tls.key": encoded,
        "ca.crt": pki.certificates(root.chain)[0].public_bytes(serialization.Encoding.PEM),
    }
