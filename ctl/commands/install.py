"""`install` and `uninstall`: the charts in one cluster, by Helm."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ctl import given as check
from ctl import profiles
from ctl.asking import ask
from ctl.contexts import chosen, of_cluster
from ctl.exits import Code, Failed, usage
from ctl.flags import current
from ctl.output import Document, as_yaml, counted, emit
from ctl.steps import Steps

if TYPE_CHECKING:
    from ctl.kube.api import Kube, Place
    from ctl.kube.helm import Helm, Values

PATIENCE, _POLL = 180.0, 0.2


class Order(NamedTuple):
    """`given`: values that flags stand for."""

    release: str
    profiles: Sequence[str]
    given: Mapping[str, Any]
    chart: str
    crds_chart: str
    files: tuple[str, ...]
    sets: tuple[str, ...]
    wait: bool
    register: bool

    @property
    def goes_on(self) -> bool:
        """From the values that the release has: an agent beside a server of which nothing more is said."""
        return self.register and not self.profiles


def install(order: Order, *, dry_run: bool, print_values: bool, yes: bool) -> int:
    from ctl.kube.charts import CRDS, PLATFORM, chart
    from ctl.kube.helm import Values

    check.release("--release-name", order.release)
    namespace, steps = current().admin_namespace, Steps()
    check.namespace("--namespace", namespace)
    common = order.given.get("common", {})
    if "cluster" in common:
        check.cluster("--cluster-name", common["cluster"])
    if "clusterDomain" in common:
        check.domain("--cluster-domain", common["clusterDomain"])
    check.values_files(order.files)
    given = Values(profiles.merged(profiles.values(order.profiles), order.given), order.files, order.sets)
    charts = {CRDS: chart(CRDS, order.crds_chart), order.release: chart(PLATFORM, order.chart)}
    if print_values:
        _show("Values", as_yaml(given.own), {"values": given.own})
        return Code.DONE

    async def run() -> str:
        from ctl.kube.api import opened
        from ctl.kube.helm import Helm
        from ctl.kube.rendering import rendered

        values = await _gone_on(order, given, namespace, dry_run=dry_run) if order.goes_on else given
        made = await rendered(order.release, charts[order.release], namespace, values)
        if not made.strip():
            hint = f"name what to install with --profiles: {', '.join(profiles.PROFILES)}"
            raise usage("these values enable no component, so there is nothing to install", hint)
        crds = await rendered(CRDS, charts[CRDS], namespace, Values()) if dry_run or order.crds_chart else ""
        if dry_run:
            return "---\n".join([crds, made])
        async with opened(_place()) as kube:
            helm = Helm(kube, namespace)
            await _spare(helm, order.release, namespace, made, yes=yes)
            await kube.make_namespace(namespace)
            for name, path in charts.items():
                release, changed = await helm.install(name, path, Values() if name == CRDS else values)
                (steps.done if changed else steps.kept)(f"{name} installed in namespace {namespace}")
                for warning in release.warnings:
                    steps.warn(warning)
            if order.wait:
                await _ready(kube, namespace, order.release, steps)
        return f"{order.release} is installed in namespace {namespace}; fingerpost check shows how it is"

    text = asyncio.run(run())
    if dry_run:
        _show("Manifests", text, {"manifests": text}, names=_named(text))
    else:
        spec = {"namespace": namespace, "release": order.release, "steps": steps.told}
        _show("Installation", text, spec, names=[order.release])
    return Code.DONE


def uninstall(release: str, *, include_crds: bool, dry_run: bool, yes: bool) -> int:
    """Of users' objects nothing goes, unless their kinds were asked for by name and with --yes (C-39)."""
    check.release("--release-name", release)
    namespace, steps = current().admin_namespace, Steps(dry=dry_run)
    check.namespace("--namespace", namespace)

    async def run() -> None:
        from ctl.kube.api import opened
        from ctl.kube.charts import CRDS
        from ctl.kube.helm import Helm
        from ctl.kube.leases import remove_leases
        from ctl.kube.losses import deployments
        from ctl.kube.mgmt import AGENT, SERVER
        from ctl.kube.users_objects import count

        async with opened(_place()) as kube:
            helm = Helm(kube, namespace)
            there = await helm.find(release)
            if there is None:
                await _refuse_unknown(helm, release, namespace, include_crds=include_crds)
            clusters, objects = await count(kube)
            steps.told_first(
                f"{kube.place}: {counted(clusters, 'registered cluster')}, {counted(objects, 'object')} of users"
            )
            loss = f"; {counted(objects + clusters, 'object')} of users will be lost" if include_crds else ""
            what = f"{release} of namespace {namespace}" + (f" and {CRDS}" if include_crds else "")
            if not dry_run:
                first = "deregister the clusters first (fingerpost cluster deregister)" if clusters else ""
                ask(f"uninstall {what}{loss}", yes=yes, must_be_said=include_crds, instead=first)
            for name in (release, *([CRDS] if include_crds else ())):
                if dry_run:
                    steps.would(f"uninstall {name} of namespace {namespace}")
                elif await helm.uninstall(name):
                    steps.done(f"{name} uninstalled")
                else:
                    steps.kept(f"{name} is not installed in namespace {namespace}")
            if there is not None and not dry_run:
                apps = [app for app in (SERVER, AGENT) if app in deployments(there.manifest)]
                await remove_leases(kube, namespace, apps, current().timeout, steps)

    asyncio.run(run())
    kept = "" if include_crds else "; the kinds and all objects of users are still there"
    text = "nothing was changed" if dry_run else f"{release} is not in namespace {namespace} any more{kept}"
    spec = {"namespace": namespace, "release": release, "dryRun": dry_run, "steps": steps.told}
    _show("Uninstallation", text, spec, names=[release])
    return Code.DONE


def _named(manifests: str) -> list[str]:
    """As kubectl names objects."""
    from ctl.kube.charted import objects

    return [f"{obj['kind'].lower()}/{obj['metadata']['name']}" for obj in objects(manifests)]


async def _gone_on(order: Order, given: Values, namespace: str, *, dry_run: bool) -> Values:
    """The values of the release below those given. Raises Failed."""
    from ctl.kube.api import opened
    from ctl.kube.helm import Helm

    if dry_run and not chosen()[1].on_kubernetes:
        return given
    async with opened(_place()) as kube:
        there = await Helm(kube, namespace).find(order.release)
        if there is not None:
            return given._replace(own=profiles.merged(there.values, given.own))
        if order.files or order.sets:
            return given
        message = f"there is no release {order.release} in namespace {namespace} of {kube.place} to have an agent too"
    new = "fingerpost install --profiles mgmt-server --register --cluster-name NAME"
    hint = f"name it with --release-name, its namespace with -n, its cluster with --kubecontext; a new one: {new}"
    raise usage(message, hint)


async def _spare(helm: Helm, release: str, namespace: str, wanted: str, *, yes: bool) -> None:
    """Asks before something of the release goes. Raises Failed."""
    from ctl.kube.losses import losses

    there = await helm.standing(release)
    lost = losses(there.manifest, wanted) if there else []
    if lost:
        what = f"{release} of namespace {namespace} is there, and with these values {', '.join(lost)}"
        instead = (
            "give the values of before too, with --profiles for every component "
            f"(helm get values {release} -n {namespace} shows them)"
        )
        ask(what, yes=yes, instead=instead)


async def _refuse_unknown(helm: Helm, release: str, namespace: str, *, include_crds: bool) -> None:
    """There is no such release. The kinds may still go when nothing that needs them is left. Raises Failed."""
    from ctl.kube.charts import CRDS, PLATFORM

    known = await helm.releases()
    needed = [n for n, c in known.items() if c.startswith(f"{PLATFORM}-") and not c.startswith(f"{CRDS}-")]
    if include_crds and CRDS in known and not needed:
        return
    there = f"there are: {', '.join(sorted(known))}" if known else "no release is in this namespace"
    hint = "name one with --release-name, its namespace with -n, its cluster with --kubecontext"
    message = f"there is no release {release} in namespace {namespace}; {there}"
    raise Failed(Code.FINDINGS, message, hint, "NoRelease")


async def _ready(kube: Kube, namespace: str, release: str, steps: Steps) -> None:
    """All Deployments of the release. Raises Failed with what the pods say."""
    from ctl.kube.deployments import said, unready

    limit = PATIENCE if current().wait is None else current().timeout
    left: Sequence[str] = ()
    try:
        async with asyncio.timeout(limit):
            while True:
                left = [said(workload) for workload in await unready(kube, namespace, release)]
                if not left:
                    break
                await asyncio.sleep(_POLL)
    except TimeoutError:
        message = f"not everything is ready after {limit:g}s: {'; '.join(left)}"
        raise Failed(Code.TIMEOUT, message, "fingerpost check tells more; the release stays", "NotReady") from None
    steps.done("all Deployments are ready")


def _place() -> Place:
    from ctl.kube.api import Place

    return Place.of(of_cluster("charts are installed in a cluster"))


def _show(kind: str, text: str, spec: Mapping[str, Any], names: Sequence[str] = ()) -> None:
    emit(Document(kind, text=lambda: text, spec=dict(spec), names=names))
