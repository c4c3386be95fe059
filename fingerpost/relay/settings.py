"""The relay's numbers, one value for both halves. Tests shorten them; nothing here reads the environment."""

from __future__ import annotations

import msgspec

PROTOCOL = 1


class RelaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds and bytes. `retry_*`: reconnect with full jitter; `heartbeats_missed` in a row end a stream. Agents of a
    server that stops come back at random within `drain_spread` (relay.md §9.2).
    """

    window: int = 32
    chunk: int = 1 << 20
    heartbeat: float = 10.0
    heartbeats_missed: int = 3
    retry_first: float = 1.0
    retry_factor: float = 1.6
    retry_ceiling: float = 60.0
    keepalive: float = 30.0
    keepalive_timeout: float = 20.0
    hello_timeout: float = 10.0
    drain_spread: float = 10.0
    drain_grace: float = 2.0

    @property
    def largest(self) -> int:
        """A message is at most one chunk and its frame; four times that leaves room for what cannot be cut."""
        return 4 * self.chunk + (1 << 16)

    def channel_options(self) -> list[tuple[str, int]]:
        """For both ends. gRPC itself takes more than `largest`: it breaks a stream off without a word to anybody."""
        return [
            ("grpc.max_receive_message_length", 4 * self.largest),
            ("grpc.max_send_message_length", self.largest),
            ("grpc.max_concurrent_streams", 100),  # of one connection; an agent has three
            ("grpc.keepalive_time_ms", int(self.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.keepalive_timeout * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", int(self.keepalive * 500)),
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.use_local_subchannel_pool", 1),
            # how long an attempt may take, by itself 20 s: a server that is stopped takes connections and says nothing
            ("grpc.min_reconnect_backoff_ms", int(self.hello_timeout * 1000)),
        ]
