"""`cluster register` and `cluster deregister`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from ctl import given as check
from ctl import profiles
from ctl.asking import ask
from ctl.contexts import of_cluster
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.output import Document, emit, remark
from ctl.steps import Steps
from fingerpost.labels import label_problem

PATIENCE = 120.0  # seconds: images have to come


def register(
    name: str, remote: tuple[str, str, str], profile_names: Sequence[str], labels: Sequence[str], given: dict[str, Any]
) -> int:
    """`remote`: kubeconfig, context, namespace. `given`: the other fields of a Wish."""
    steps = Steps(dry=given.pop("dry_run"))
    wish = _wish(name, remote[2], profile_names, labels, given)
    place, management = _places(remote)

    async def run() -> None:
        from ctl.kube.api import opened
        from ctl.kube.plane import Plane
        from ctl.kube.registration import Registration

        async with opened(management) as kube, opened(place) as workload:
            plane = await Plane.of(kube, current().admin_namespace)
            await Registration(plane, workload, wish, steps).run()

    asyncio.run(run())
    text = f"cluster {name} would be registered" if steps.dry else f"cluster {name} registered"
    _tell("Registration", name, steps, text)
    return Code.DONE


def print_manifests(
    name: str,
    remote: tuple[str, str, str],
    profile_names: Sequence[str],
    labels: Sequence[str],
    given: dict[str, Any],
    side: str,
    secrets: bool,
) -> int:
    """Touches nothing. The workload cluster is asked only for its uid, and only for `--rebind` (C-20)."""
    if side and side not in ("agent", "mgmt"):
        raise usage(f'--side is "{side}"', "write agent or mgmt, or leave it out for both")
    given.pop("dry_run")
    wish = _wish(name, remote[2], profile_names, labels, given)
    place, management = _places(remote, needed=wish.rebind)

    async def run() -> Any:
        from ctl.kube.api import opened
        from ctl.kube.manifests import SIDES, halves
        from ctl.kube.plane import Plane
        from ctl.kube.registration import uid_of

        uid = ""
        if wish.rebind:
            async with opened(place) as workload:
                uid = await uid_of(workload)
        async with opened(management) as kube:
            plane = await Plane.of(kube, current().admin_namespace)
            return await halves(plane, wish, (side,) if side else SIDES, secrets=secrets, uid=uid, say=remark)

    made = asyncio.run(run())
    text = "\n---\n".join(made.texts.values())
    spec = {"cluster": name, "manifests": dict(made.texts), "notes": list(made.notes)}
    emit(Document("Manifests", text=lambda: text, spec=spec, names=[name]))
    for line in made.notes:
        remark(line)
    return Code.DONE


def _wish(name: str, namespace: str, profile_names: Sequence[str], labels: Sequence[str], given: dict[str, Any]) -> Any:
    """Raises Failed before anything is asked of a cluster."""
    check.cluster("", name)
    _check_namespaces(namespace)
    check.domain("--cluster-domain", given["domain"])
    if given["address"]:
        check.addresses("--relay-server-address", given["address"])
    check.values_files(given["files"])
    pairs = dict(_label(label) for label in labels)
    wrong = [p for p in profile_names if "mgmt" in p or "single" in p]
    if wrong:
        raise usage(f"--profiles has {', '.join(wrong)}: that is no agent", "for a management server: install")
    profile = profiles.values(profile_names)
    from ctl.kube.charts import CRDS, PLATFORM, chart
    from ctl.kube.registration import Wish

    chart(PLATFORM, given["chart"])
    chart(CRDS, given["crds_chart"])

    limit = PATIENCE if current().wait is None else current().timeout
    return Wish(name=name, namespace=namespace, labels=pairs, profile=profile, timeout=limit, **given)


def _check_namespaces(remote: str) -> None:
    check.namespace("--remote-namespace", remote)
    check.namespace("--mgmt-namespace", current().admin_namespace)


def deregister(
    name: str,
    remote: tuple[str, str, str],
    *,
    force: bool,
    dry_run: bool,
    purge: bool,
    keep_crds: bool,
    yes: bool,
) -> int:
    check.cluster("", name)
    _check_namespaces(remote[2])
    place, management = _places(remote, needed=not force)
    steps = Steps(dry=dry_run)
    there = bool(remote[0] or remote[1])
    if not there and (purge or not keep_crds):
        flag = "--purge" if purge else "--no-keep-crds"
        raise usage(f"{flag} needs the workload cluster", "name it with --remote-context")
    limit = PATIENCE if current().wait is None else current().timeout

    def agreed(what: str) -> None:
        ask(what, yes=yes, must_be_said=not keep_crds)

    async def run() -> bool:
        from ctl.kube.api import opened
        from ctl.kube.deregistration import Deregistration, plane_of

        async with AsyncExitStack() as stack:
            kube = await stack.enter_async_context(opened(management))
            workload = await stack.enter_async_context(opened(place)) if there else None
            plane = await plane_of(kube, current().admin_namespace, name, steps, force=force)
            gone = Deregistration(plane, name, remote[2], steps, purge=purge, keep_crds=keep_crds)
            if workload is not None:
                await gone.leave(workload, agreed, limit)
            else:
                steps.warn("the workload cluster is not touched: neither --remote-context nor --remote-kubeconfig")
            await gone.forget()
            return bool(gone.unseen)

    unseen = asyncio.run(run())
    _tell("Deregistration", name, steps, f"cluster {name} {'would be' if dry_run else 'is'} deregistered")
    return Code.PARTIAL if unseen else Code.DONE


def _places(remote: tuple[str, str, str], *, needed: bool = True) -> tuple[Any, Any]:
    """(the workload cluster, the management cluster)"""
    from ctl.kube.api import Place

    if needed and not (remote[0] or remote[1]):
        raise usage("--remote-context is missing", "name the kubeconfig context of the workload cluster")
    remedy = "name the management cluster with --kubecontext or --kubeconfig"
    management = Place.of(of_cluster("a cluster is registered with a management cluster", remedy))
    return Place.of_workload(remote[0], remote[1], management), management


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    problem = label_problem(key, value) if equals else "it has no value; write NAME=VALUE"
    if problem:
        why, _, remedy = problem.partition("; ")
        raise usage(f'--label is "{text}": {why}', remedy)
    return key, value


def _tell(kind: str, name: str, steps: Steps, text: str) -> None:
    spec = {"cluster": name, "dryRun": steps.dry, "steps": steps.told}
    emit(Document(kind, text=lambda: text, spec=spec, names=[name]))
