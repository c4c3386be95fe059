"""Why a connection to the server did not come about: gRPC says that, but not what was found. A handshake of our own
looks at the server's certificate; nothing is sent.
"""

from __future__ import annotations

import socket
import ssl
from typing import NamedTuple

from cryptography import x509

from fingerpost.relay.pki import dns_names, share_left
from fingerpost.relay.reasons import LinkLost, Reason

_TIMEOUT = 5.0
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")  # what OpenSSL makes of HTTP/2


class Finding(NamedTuple):
    code: str
    message: str


class Seen(NamedTuple):
    """`certificate` None: no handshake; then `plaintext` tells whether something else than TLS was answered, and
    `unreachable` why nothing was.
    """

    certificate: x509.Certificate | None = None
    plaintext: bool = False
    trusted: str = ""  # why not; "" when it is, or when no roots were given
    unreachable: str = ""
    code: str = "RelayUnreachable"  # of that


def look(address: str, authority: str, roots: bytes = b"") -> Seen:
    """Blocks for a few seconds at most."""
    if not roots:
        return _shake(address, authority, None)
    found = _shake(address, authority, roots)
    return found._replace(certificate=_shake(address, authority, None).certificate) if found.trusted else found


def _shake(address: str, authority: str, roots: bytes | None) -> Seen:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_NONE
    host, _, port = address.rpartition(":")
    try:
        if roots is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=roots.decode())
        with (
            socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=authority) as wrapped,
        ):
            der = wrapped.getpeercert(binary_form=True)
            return Seen(x509.load_der_x509_certificate(der) if der else None)
    except ssl.SSLCertVerificationError as wrong:
        return Seen(trusted=wrong.verify_message)
    except ssl.SSLError as wrong:
        return Seen(plaintext=wrong.reason in _NO_TLS)
    except socket.gaierror as wrong:
        return Seen(unreachable=f"the name {host} is not known ({wrong.strerror})", code="RelayNameUnknown")
    except ConnectionRefusedError as wrong:
        return Seen(unreachable=wrong.strerror or "refused", code="RelayRefused")
    except (OSError, ValueError) as wrong:
        return Seen(unreachable=getattr(wrong, "strerror", None) or str(wrong))


def covers(name: str, authority: str) -> bool:
    head, _, rest = authority.partition(".")
    return name.lower() == authority.lower() or (bool(head) and name.lower() == f"*.{rest}".lower())


def unreachable(seen: Seen, address: str) -> Finding | None:
    """Nobody's trust is wrong then."""
    if not seen.unreachable:
        return None
    message = f"the server at {address} cannot be reached: {seen.unreachable}"
    return Finding(seen.code, f"{message}; correct server_address, or open the way there")


def judge(seen: Seen, address: str, authority: str, root_secret: str) -> Finding | None:
    """None: nothing is wrong with the server's side."""
    if seen.plaintext:
        return Finding(
            "RelayInsecure",
            f"the server at {address} speaks plaintext, this agent TLS; set insecure to the same on both, or is it "
            f"another port than 9900?",
        )
    if seen.certificate is None:
        return None
    if seen.trusted:
        late = "expired" in seen.trusted or "not yet valid" in seen.trusted
        stranger = "issuer" in seen.trusted or "self-signed" in seen.trusted
        code = "RelayUnknownAuthority" if stranger else "RelayServerExpired" if late else "RelayServerCertificate"
        return Finding(
            code,
            f"the certificate of the server at {address}, issued by {seen.certificate.issuer.rfc4514_string()}, is "
            f"refused: {seen.trusted}; "
            + (
                "renew it at the server, or set the clocks right"
                if late
                else f"put the server's root into ca.crt of secret {root_secret}"
            ),
        )
    names = dns_names(seen.certificate)
    if not any(covers(name, authority) for name in names):
        said = ", ".join(names) or "no name"
        return Finding(
            "RelayServerName",
            f"the certificate of the server at {address} names {said}, expected is {authority}; bring one with this "
            f"name, or set authority to a name that it has",
        )
    return None


def ended_certificate(leaf: x509.Certificate, secret: str, where: str) -> Finding | None:
    if share_left(leaf) > 0:
        return None
    return Finding(
        "RelayClientExpired",
        f"the client certificate in secret {secret} in {where} has ended at {leaf.not_valid_after_utc.isoformat()}: "
        f"bring a new one, or delete the secret where the server issues certificates",
    )


def refused_certificate(leaf: x509.Certificate, secret: str, address: str, remedy: str) -> Finding:
    return Finding(
        "RelayClientCertificate",
        f"the server at {address} closes the connection, as it does with a client certificate that it refuses; that of "
        f"secret {secret} is issued by {leaf.issuer.rfc4514_string()} and ends at "
        f"{leaf.not_valid_after_utc.isoformat()}: {remedy}",
    )


def turned_down(lost: LinkLost, *, shows_token: bool) -> Finding | None:
    """What the server itself said, where a person has to do something."""
    if lost.reason is Reason.DUPLICATE:
        return Finding("RelayDuplicate", lost.message)
    if lost.reason is Reason.NOT_REGISTERED:
        return Finding("RelayNotRegistered", lost.message)
    if lost.reason is Reason.UNAUTHENTICATED:
        return Finding("RelayTokenWrong" if shows_token else "RelayClientCertificate", lost.message)
    return None


def not_registered(address: str, cluster: str, seconds: float) -> Finding:
    message = f"the server at {address} has let this agent wait for {seconds:.0f}s: there is no KubernetesCluster "
    return Finding("RelayNotRegistered", f"{message}{cluster}, or it is not accepted yet; create it, or accept it")
