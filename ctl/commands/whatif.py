"""`whatif --without CLUSTER`: what still answers, what fails over where, what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ctl.deadline import in_time
from ctl.exits import Code, usage
from ctl.offline.asked import asked, tell
from ctl.offline.edits import edits
from ctl.offline.given import check_belongs
from ctl.shown import loss as shown
from mgmt.snapshot.whatif import Effect, UnknownCluster, WhatIf
from mgmt.snapshot.whatif import whatif as found_without


@in_time
def whatif(without: str, paths: Sequence[str], fleet: tuple[str, str, str], cluster: str, delete: Sequence[str]) -> int:
    """`paths`: files that count as applied, `delete`: objects that count as gone. `fleet`: what `asked` takes."""
    check_belongs(cluster, (*paths, *delete))
    there = asked(*fleet)
    if paths or delete:
        there.outcome.change(edits(there.outcome, paths, cluster, delete).items())
    try:
        found = found_without(there.outcome.translator, without)
    except UnknownCluster as e:
        raise usage(f"--without: {e}", "fingerpost cluster list names them") from e
    tell(
        there,
        "WhatIf",
        text=lambda: shown.text(found),
        spec={"survives": found.harmless, **msgspec.to_builtins(found)},
        findings=_findings(found),
        names=[f"{r.effect.value}/{r.route}" for r in found.routes],
    )
    return Code.DONE if found.harmless else Code.FINDINGS


def _findings(found: WhatIf) -> list[dict[str, Any]]:
    hint = f"serve it from a second cluster besides {found.without}"
    lost = [
        ("HostLost", host, f"host {host} is served by gateways of {found.without} only") for host in found.hosts_lost
    ]
    lost += [
        (
            "RouteLost",
            r.route,
            f"{r.request} at gateways of {', '.join(r.gateways)}: {r.destination} has no endpoint left",
        )
        for r in found.routes
        if r.effect is Effect.LOST
    ]
    return [{"code": c, "severity": "error", "object": o, "message": m, "hint": hint} for c, o, m in lost]
