"""What is known of the certificates that agents show: how long they are valid (`relay_certificate_expiry_seconds`,
relay.md §13.2), and which roots came with them (§5.5). Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping

from mgmt.ingest.values import ClusterState, State

_MARGIN = datetime.timedelta(minutes=10)  # certificates are backdated, and a replica may see a new bundle later


def certificate_expiry(
    own: Mapping[str, tuple[datetime.datetime, datetime.datetime]],
    clusters: Mapping[str, ClusterState],
    management: str,
    elsewhere: Callable[[str], bool],
    now: float,
) -> Iterator[tuple[float, Mapping[str, str]]]:
    """(seconds, labels); below 0 when it is over. Of an agent that is connected to another replica, that one tells.

    `own`: of the server, by kind.
    """
    for kind, (_, ends) in own.items():
        yield ends.timestamp() - now, {"kind": kind, "cluster": management}
    for name, state in clusters.items():
        if state.certificate_ends and not elsewhere(name):
            yield state.certificate_ends / 1e9 - now, {"kind": "client", "cluster": name}


def certificate_lifetime(
    own: Mapping[str, tuple[datetime.datetime, datetime.datetime]],
    clusters: Mapping[str, ClusterState],
    management: str,
    elsewhere: Callable[[str], bool],
) -> Iterator[tuple[float, Mapping[str, str]]]:
    """(seconds from its begin to its end, labels) of the same certificates: what is soon depends on it."""
    for kind, (begins, ends) in own.items():
        yield (ends - begins).total_seconds(), {"kind": kind, "cluster": management}
    for name, state in clusters.items():
        if state.certificate_ends and not elsewhere(name):
            lifetime = (state.certificate_ends - state.certificate_begins) / 1e9
            yield lifetime, {"kind": "client", "cluster": name}


def all_have_roots_of(clusters: Mapping[str, ClusterState], moment: datetime.datetime) -> bool:
    """Whether every agent that ever came holds a certificate issued after the moment: the roots of that time came with
    it. One that was brought says nothing, nor does a token.
    """
    since = int((moment + _MARGIN).timestamp()) * 1_000_000_000
    came = [s for s in clusters.values() if s.state is not State.PENDING and (s.since or s.state is State.COLD)]
    return all(state.certificate_begins >= since for state in came)
