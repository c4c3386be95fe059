"""The one place where the peer's identity is checked. Today: plaintext, so only loopback peers, and metadata that
agrees with Hello.

Nothing else in the relay looks at addresses, metadata or certificates.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from fingerpost.loopback import is_loopback
from fingerpost.relay.reasons import Reason, Refused

CLUSTER_HEADER = "x-cluster-id"


def check(peer: str, metadata: Iterable[tuple[str, str | bytes]], cluster: str) -> None:
    """`peer` as gRPC writes it: `ipv4:127.0.0.1:5000`, `ipv6:%5B::1%5D:5000`, `unix:/path`. Raises Refused."""
    if not _local(peer):
        raise Refused(Reason.UNAUTHENTICATED, f"the relay without TLS answers on loopback only, not {peer}")
    claimed = [v if isinstance(v, str) else v.decode(errors="replace") for k, v in metadata if k == CLUSTER_HEADER]
    if claimed != [cluster]:
        said = ", ".join(repr(c) for c in claimed) or "nothing"
        raise Refused(
            Reason.UNAUTHENTICATED, f"hello names cluster {cluster!r}, the connection's {CLUSTER_HEADER} says {said}"
        )
    if not cluster:
        raise Refused(Reason.UNAUTHENTICATED, "hello names no cluster")


def _local(peer: str) -> bool:
    family, _, rest = peer.partition(":")
    if family == "unix":
        return True
    return is_loopback(unquote(rest).rpartition(":")[0].strip("[]"))
