"""The sections of `check` about who trusts whom, and for how long: certificates, versions, security."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fingerpost.versions import apart
from mgmt.admin import findings as f
from mgmt.admin.findings import finding
from mgmt.admin.ports import Plane
from mgmt.admin.sections import Found, section, table
from mgmt.admin.times import rfc3339

_SOON = 0.1  # of the lifetime left: managed certificates are renewed long before
_DAY = 86400 * 10**9


class _Shown(NamedTuple):
    """`where` is the object of a finding: a replica's own certificate may differ from another's."""

    name: str
    where: str
    begins: int
    ends: int
    issuer: str = ""


def certificates(plane: Plane) -> dict[str, Any]:
    """Of clusters whose agents are elsewhere another replica tells."""
    found, now = list(_shown(plane)), plane.now()
    rows = [[one.name, str((one.ends - now) // _DAY), rfc3339(one.ends)] for one in found]

    def findings() -> Found:
        for name, why in plane.relay().unusable:
            message = f"management server {plane.replica}: {why}; what it read before stays in use until it restarts"
            yield finding("CHK103", name, message)
        for one in found:
            left, lifetime, until = one.ends - now, one.ends - one.begins, rfc3339(one.ends)
            if left <= 0:
                yield finding("CHK101", one.where, f"the certificate {one.where} ended at {until}")
            elif left < lifetime * _SOON:
                yield finding("CHK102", one.where, f"the certificate {one.where} ends at {until}{one.issuer}")

    info = ["the relay is in plaintext, there are none"] if plane.insecure else []
    tables = [table(("Certificate", "Days left", "Until"), rows)]
    return section(f.CERTIFICATES, info=info, tables=tables, found=findings())


def _shown(plane: Plane) -> Iterator[_Shown]:
    for own in plane.relay().certificates:
        name = f"root {own.fingerprint[:8]}" if own.kind == "root" else own.kind  # there may be several roots
        yield _Shown(name, f"{name} of {plane.replica}", own.begins, own.ends, f", issued by {own.issuer}")
    for cluster, state in sorted(plane.ingest.states.clusters.items()):
        if state.certificate_ends and (plane.ingest.owns(cluster) or not state.replica):
            yield _Shown(f"client {cluster}", f"client {cluster}", state.certificate_begins, state.certificate_ends)


def versions(plane: Plane) -> dict[str, Any]:
    """The command line adds itself."""
    agents = {name: s.version for name, s in sorted(plane.ingest.states.clusters.items()) if s.version}
    rows = [[f"server {plane.replica}", plane.version], *([f"agent {name}", v] for name, v in agents.items())]

    def findings() -> Found:
        for name, version in agents.items():
            if apart(version, plane.version) > 1:
                message = f"{name}: its agent has version {version}, management server {plane.replica} {plane.version}"
                yield finding("CHK111", name, message)

    return section(f.VERSIONS, info=[], tables=[table(("Component", "Version"), rows)], found=findings())


def security(plane: Plane) -> dict[str, Any]:
    relay = plane.relay()
    if plane.insecure:
        info = []
    elif relay.asks_certificates:
        info = [f"agents prove themselves by client certificates, {relay.blocked} of which are blocked"]
    else:
        info = ["agents prove themselves by a token on every connection"]

    def findings() -> Found:
        if plane.insecure:
            yield finding("CHK045", plane.replica, f"management server {plane.replica}: the relay is in plaintext")
        elif not relay.asks_certificates and not relay.requires_cluster_token:
            message = f"management server {plane.replica}: whoever has the one token can claim any cluster"
            yield finding("CHK121", plane.replica, message)

    return section(f.SECURITY, info=info, tables=[], found=findings())
