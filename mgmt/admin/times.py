"""Points in time as the API writes them: RFC 3339, UTC. It reads no clock."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(unix_nanos: int, precision: str = "milliseconds") -> str:
    """Empty for 0, which everywhere means "unknown"."""
    if not unix_nanos:
        return ""
    return datetime.fromtimestamp(unix_nanos / 1e9, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def ago(unix_nanos: int, now: int) -> str:
    """`40s`, `14m02s`, `3h05m`, `3d4h`."""
    seconds = max(0, (now - unix_nanos) // 1_000_000_000)
    minutes, s = divmod(seconds, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d{h}h"
    if hours:
        return f"{hours}h{m:02}m"
    return f"{minutes}m{s:02}s" if minutes else f"{s}s"
