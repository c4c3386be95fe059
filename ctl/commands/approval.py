"""`cluster accept` and `cluster reject`: a person decides on a cluster that asks to take part (relay.md §4.3)."""

from __future__ import annotations

import asyncio

from ctl.contexts import of_cluster
from ctl.exits import Code
from ctl.flags import current
from ctl.output import Document, emit
from ctl.steps import Steps


def decide(name: str, decision: str, *, dry: bool) -> int:
    """`decision`: accepted or rejected."""
    remedy = "name the management cluster with --kubecontext or --kubeconfig"
    context = of_cluster("agents wait for a decision in a management cluster", remedy)
    steps = Steps(dry=dry)

    async def run() -> None:
        from ctl.kube.api import Place, opened
        from ctl.kube.approval import decided
        from fingerpost.api.admin.kubernetes_cluster import Approval

        async with opened(Place.of(context)) as kube:
            await decided(kube, current().admin_namespace, name, Approval(decision), steps)

    asyncio.run(run())
    spec = {"cluster": name, "decision": decision, "dryRun": dry, "steps": steps.told}
    text = f"cluster {name} {'would be' if dry else 'is'} {decision}"
    emit(Document("Approval", text=lambda: text, spec=spec, names=[name]))
    return Code.DONE
