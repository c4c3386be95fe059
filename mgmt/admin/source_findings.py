"""Agents and folders say what is wrong with them in codes of their own; here these become findings of `check`."""

from __future__ import annotations

from typing import Any

from mgmt.admin.findings import finding

_API_SERVER = ("NotAllowed", "NotRead", "NotDiscovered", "KindVanished")
_RELAY = (
    "RelayInsecure",
    "RelayServerCertificate",
    "RelayClientCertificate",
    "RelaySecretMissing",
    "RelayCertificateRefused",
)
_KEPT_AWAY = {
    "RelayUnreachable": "CHK048",
    "RelayNameUnknown": "CHK141",
    "RelayRefused": "CHK142",
    "RelayServerName": "CHK143",
    "RelayUnknownAuthority": "CHK144",
    "RelayServerExpired": "CHK145",
    "RelayClientExpired": "CHK145",
    "RelayTokenWrong": "CHK146",
    "RelayNotRegistered": "CHK147",
    "RelayDuplicate": "CHK148",
}
_SOURCE_CODES = (
    dict.fromkeys(_API_SERVER, "CHK095")
    | dict.fromkeys(_RELAY, "CHK044")
    | _KEPT_AWAY
    | {
        "RelaySecretUnusable": "CHK103",
        "RootVanished": "CHK092",
        "AllFilesGone": "CHK092",
        "UnknownKind": "CHK093",
        "WrongVersion": "CHK093",
        "EmptyFile": "CHK096",
    }
)


def source_finding(cluster: str, source: str, code: str, message: str) -> dict[str, Any]:
    """What a cluster's folder says of itself; `source` is the file, empty for the folder as a whole."""
    said = message if source in message else f"{source}: {message}"
    return finding(_SOURCE_CODES.get(code, "CHK091"), source or cluster, said)
