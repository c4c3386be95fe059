"""Several agents of one cluster, each with Envoys of its own (relay.md §9.3), report as one: a change has arrived at a
gateway when it has with all of them. An agent that serves no Envoy of the gateway keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from fingerpost.relay.applied import ScopeApplied


class Instances:
    """Of the agents that are connected here. `agent` is anything that stands for one stream."""

    def __init__(self) -> None:
        self._reports: dict[tuple[str, str], dict[object, ScopeApplied]] = {}  # by cluster and scope

    def reported(self, cluster: str, agent: object, reports: Sequence[ScopeApplied]) -> tuple[ScopeApplied, ...]:
        """What all of them say together about the scopes that one has reported."""
        for report in reports:
            self._reports.setdefault((cluster, report.scope), {})[agent] = report
        return tuple(_joined(list(self._reports[cluster, report.scope].values())) for report in reports)

    def left(self, cluster: str, agent: object) -> tuple[ScopeApplied, ...]:
        """What those say who are still there; nothing about scopes of which nobody else has spoken."""
        out = []
        for key, by_agent in list(self._reports.items()):
            if key[0] != cluster or by_agent.pop(agent, None) is None:
                continue
            if by_agent:
                out.append(_joined(list(by_agent.values())))
            else:
                del self._reports[key]
        return tuple(out)


def _joined(reports: list[ScopeApplied]) -> ScopeApplied:
    if len(reports) == 1:
        return reports[0]
    serving = [report for report in reports if report.proxies]
    if not serving:
        return max(reports, key=lambda report: report.watermark)
    since = [report.lagging_since_unix_nanos for report in serving if report.lagging_since_unix_nanos]
    return structs.replace(
        serving[0],
        watermark=min(report.watermark for report in serving),
        proxies=sum(report.proxies for report in serving),
        exceptions=tuple({e.contribution: e for report in serving for e in report.exceptions}.values()),
        lagging=tuple(name for report in serving for name in report.lagging),
        lagging_since_unix_nanos=min(since, default=0),
    )
