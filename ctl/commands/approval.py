"""`cluster accept` and `cluster reject`: a person decides on a cluster that asks to take part (relay.md §4.3)."""

from __future__ import annotations

import asyncio

from ctl.contexts import chosen
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.output import Document, emit
from ctl.steps import Steps


def decide(name: str, decision: str, *, dry: bool) -> int:
    """`decision`: accepted or rejected."""
    context = chosen()[1]
    if not context.on_kubernetes:
        message = "the context in use is no cluster, so no agent waits there for a decision"
        raise usage(message, "name the management cluster with --kubecontext or --kubeconfig")
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
