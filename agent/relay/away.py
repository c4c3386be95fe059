"""What keeps this agent from its server, for a person who looks for it."""

from __future__ import annotations

import structlog

from agent.relay.diagnosis import Finding, not_registered, turned_down
from agent.relay.link import AgentLink
from agent.relay.trust import Trust
from agent.settings import Settings
from fingerpost.relay.reasons import LinkLost
from fingerpost.telemetry import Telemetry

log = structlog.get_logger()
_ANSWERS = 1.0  # seconds within which a server answers the Hello of a registered cluster


class Away:
    """`lost` when the link breaks; `finding` as long as there is none."""

    def __init__(self, settings: Settings, metrics: Telemetry, trust: Trust) -> None:
        self._settings, self._metrics, self._trust = settings, metrics, trust
        self._turned_down: Finding | None = None

    def lost(self, why: LinkLost, pause: float) -> None:
        self._turned_down = turned_down(why, shows_token=bool(self._settings.relay_token))
        self._metrics.set("relay_agent_connected", 0)
        reason = why.reason.name if why.reason is not None else "LinkLost"
        self._metrics.add("relay_reconnects_total", reason=reason)
        server = self._settings.server_address
        log.warning("relay.link.lost", reason=why.message, retry_in=round(pause, 2), server=server)

    def finding(self, link: AgentLink) -> Finding | None:
        if (seconds := link.waits()) >= _ANSWERS:  # first: whatever kept it away before does so no longer
            return not_registered(self._settings.server_address, self._settings.cluster, seconds)
        return self._trust.finding or self._trust.away or self._turned_down
