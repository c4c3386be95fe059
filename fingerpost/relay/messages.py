"""Small messages that both halves of both streams need: Hello, Heartbeat, Goodbye, reports."""

from __future__ import annotations

import time
from collections.abc import Iterable

from fingerpost.relay.applied import ScopeApplied, ScopeException
from fingerpost.relay.reasons import LinkLost, Reason, Refused
from fingerpost.relay.v1 import relay_pb2 as pb


def now_nanos() -> int:
    return time.time_ns()


def heartbeat() -> pb.Heartbeat:
    return pb.Heartbeat(unix_nanos=now_nanos())


def goodbye(refusal: Refused) -> pb.Goodbye:
    return pb.Goodbye(
        reason=pb.Goodbye.Reason.ValueType(refusal.reason),
        retry_after_seconds=refusal.retry_after,
        message=refusal.message,
    )


def lost_by(message: pb.Goodbye) -> LinkLost:
    """The peer's Goodbye as the end of the link."""
    try:
        reason = Reason(message.reason)
    except ValueError:  # a newer peer's
        reason = Reason.UNSPECIFIED
    return LinkLost(message.message or reason.name, reason=reason, retry_after=message.retry_after_seconds)


def applied_to_wire(version: int, scopes: Iterable[ScopeApplied]) -> pb.Applied:
    message = pb.Applied(config_version=version)
    for scope in scopes:
        out = message.scopes.add(
            scope=scope.scope,
            watermark=scope.watermark,
            proxies=scope.proxies,
            lagging=scope.lagging,
            lagging_since_unix_nanos=scope.lagging_since_unix_nanos,
        )
        for e in scope.exceptions:
            out.exceptions.add(
                contribution=e.contribution,
                code=e.code,
                message=e.message,
                since_unix_nanos=e.since_unix_nanos,
                proxies=e.proxies,
            )
    return message


def applied_from_wire(message: pb.Applied) -> tuple[ScopeApplied, ...]:
    return tuple(
        ScopeApplied(
            scope=s.scope,
            watermark=s.watermark,
            proxies=s.proxies,
            lagging=tuple(s.lagging),
            lagging_since_unix_nanos=s.lagging_since_unix_nanos,
            exceptions=tuple(
                ScopeException(
                    contribution=e.contribution,
                    code=e.code,
                    message=e.message,
                    since_unix_nanos=e.since_unix_nanos,
                    proxies=tuple(e.proxies),
                )
                for e in s.exceptions
            ),
        )
        for s in message.scopes
    )
