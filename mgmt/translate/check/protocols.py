"""Protocols of the ports of VirtualDestinations and ExternalServices."""

from __future__ import annotations

from fingerpost.crd.rules.common import PROTOCOLS, WRITTEN_PROTOCOLS
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import refuse


def check_protocol(report: Reporter, path: str, protocol: str) -> None:
    """Upper case, lower case, and `gRPC`; whoever emits it writes upper case (D-32)."""
    if not protocol:
        refuse(report, path, f"is missing; write one of {', '.join(PROTOCOLS)}")
    elif protocol not in WRITTEN_PROTOCOLS:
        refuse(report, path, f'"{protocol}" is not a protocol; write one of {", ".join(PROTOCOLS)}')
