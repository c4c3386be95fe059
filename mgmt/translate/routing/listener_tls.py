"""The `tls` block of a listener: what it needs in each mode, and the value that emitters read (routing.md §3.5)."""

from __future__ import annotations

from fingerpost.api.networking.virtual_gateway import Files, Parameters, ProtocolVersion, TLSConfig, TLSMode
from fingerpost.problems import Reporter
from mgmt.translate.ir import Value

CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)
_ORDER = (
    ProtocolVersion.TLSV1_0,
    ProtocolVersion.TLSV1_1,
    ProtocolVersion.TLSV1_2,
    ProtocolVersion.TLSV1_3,
)


class ServerTls(Value, frozen=True):
    """TLS that the gateway terminates. The certificate is `secret_name` or the files, never both."""

    mutual: bool = False
    secret_name: str = ""
    server_cert: str = ""
    private_key: str = ""
    ca_certs: str = ""
    minimum: ProtocolVersion = ProtocolVersion.TLSV1_2
    maximum: ProtocolVersion = ProtocolVersion.TLS_AUTO
    cipher_suites: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()


def _certificate_problem(tls: TLSConfig, files: Files) -> str | None:
    if tls.secret_name and tls.files is not None:
        return "secretName and files are both set: remove one of them"
    if tls.secret_name:
        return None
    if tls.mode is TLSMode.SIMPLE and not (files.server_cert and files.private_key):
        return "If mode is SIMPLE, either secretName or both files.serverCert and files.privateKey must be set."
    if tls.mode is TLSMode.MUTUAL and not (files.server_cert and files.private_key and files.ca_certs):
        return "If mode is MUTUAL, you must either set secretName or set files and all its subfields."
    return None


def _cipher_suites(
    path: str, index: int, parameters: Parameters, minimum: ProtocolVersion, report: Reporter
) -> tuple[str, ...]:
    if minimum is ProtocolVersion.TLSV1_3:
        return ()  # TLS 1.3 has its own suites, which are not configurable
    wanted = dict.fromkeys(parameters.cipher_suites)
    if unknown := [name for name in wanted if name not in CIPHERS]:
        message = f"listener {index}: unknown cipher suites {', '.join(unknown)} are ignored: remove them"
        report.warn(f"{path}.parameters.cipherSuites", "UnknownCipherSuite", message, located=True)
    return tuple(name for name in wanted if name in CIPHERS)


def terminate(path: str, index: int, tls: TLSConfig, report: Reporter) -> ServerTls | None:
    """SIMPLE or MUTUAL as a value; None, with a problem, when the block cannot work. `path` is that of the block."""
    files = tls.files or Files()
    if reason := _certificate_problem(tls, files):
        report.invalid(path, "CertificateMissing", f"listener {index}: {reason}", located=True)
        return None
    parameters = tls.parameters or Parameters()
    minimum, maximum = parameters.minimum_protocol_version, parameters.maximum_protocol_version
    if minimum is ProtocolVersion.TLS_AUTO:
        minimum = ProtocolVersion.TLSV1_2
    suites = _cipher_suites(path, index, parameters, minimum, report)
    if _ORDER.index(minimum) < _ORDER.index(ProtocolVersion.TLSV1_2) and not suites:
        message = f"listener {index}: minimumProtocolVersion {minimum} needs cipherSuites: name a supported one"
        report.invalid(f"{path}.parameters.cipherSuites", "CipherSuitesMissing", message, located=True)
        return None
    if maximum is not ProtocolVersion.TLS_AUTO and _ORDER.index(maximum) < _ORDER.index(minimum):
        message = f"listener {index}: maximumProtocolVersion {maximum} is lower than the minimum {minimum}: raise it"
        report.invalid(f"{path}.parameters.maximumProtocolVersion", "OutOfRange", message, located=True)
        return None
    mutual = tls.mode is TLSMode.MUTUAL
    if tls.verify_subject_alt_name and not mutual:
        message = f"listener {index}: verifySubjectAltName has no effect in mode {tls.mode}: use MUTUAL, or remove it"
        report.warn(f"{path}.verifySubjectAltName", "NoEffect", message, located=True)
    return ServerTls(
        mutual=mutual,
        secret_name=tls.secret_name,
        server_cert=files.server_cert,
        private_key=files.private_key,
        ca_certs=files.ca_certs if mutual else "",
        minimum=minimum,
        maximum=maximum,
        cipher_suites=suites,
        subject_alt_names=tuple(dict.fromkeys(tls.verify_subject_alt_name)) if mutual else (),
    )
