"""`fingerpost cluster`: the commands and their flags."""

from __future__ import annotations

from typing import Annotated

import typer

from ctl import flags
from ctl.exits import usage
from ctl.parameters import Chart, CrdsChart, Domain, DryRun, Profiles, Sets, Values, Watch, group

app = group("Clusters and their agents.")

RemoteContext = Annotated[str, typer.Option("--remote-context", help="Kubeconfig context of the workload cluster.")]
RemoteFile = Annotated[str, typer.Option("--remote-kubeconfig", help="Its kubeconfig, when it is another file.")]
RemoteNamespace = Annotated[str, typer.Option("--remote-namespace", help="Namespace of the agent.")]


@app.command("list")
def list_clusters(watch: Watch = False) -> int:
    """All clusters with state, agent and objects. Example: fingerpost cluster list -o name"""
    from ctl.commands.cluster import list_clusters as run

    flags.about_installation()
    if watch:
        from ctl.watching import watch as repeat

        return repeat(run)
    return run()


@app.command("describe")
def describe_cluster(name: str) -> int:
    """One cluster: conditions, session, digests, rejected objects. Example: fingerpost cluster describe east"""
    from ctl.commands.cluster import describe as run

    flags.about_installation()
    return run(name)


@app.command("register")
def register_cluster(
    name: str,
    remote_context: RemoteContext = "",
    remote_kubeconfig: RemoteFile = "",
    remote_namespace: RemoteNamespace = flags.ADMIN_NAMESPACE,
    relay_server_address: Annotated[
        str, typer.Option("--relay-server-address", metavar="HOST:PORT", help="Default: of the server's load balancer.")
    ] = "",
    cluster_domain: Domain = "cluster.local",
    label: Annotated[list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="Repeatable.")] = None,
    profiles: Profiles = "agent",
    set_: Sets = None,
    values: Values = None,
    chart_file: Chart = "",
    crds_chart_file: CrdsChart = "",
    rebind: Annotated[bool, typer.Option("--rebind", help="The cluster of this name was rebuilt as this one.")] = False,
    keep_token: Annotated[bool, typer.Option("--keep-token", help="Leave the bootstrap token there.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is ACCEPTED; --timeout 120s.")] = True,
    dry_run: DryRun = False,
    print_manifests: Annotated[
        bool, typer.Option("--print-manifests", help="Print everything for a repository, touch nothing.")
    ] = False,
    side: Annotated[str, typer.Option("--side", metavar="agent|mgmt", help="Only what this cluster needs.")] = "",
    include_secrets: Annotated[
        bool, typer.Option("--include-secrets", help="Print the bootstrap token too, which is a password.")
    ] = False,
) -> int:
    """Make a cluster a workload cluster. Example: fingerpost cluster register east --remote-context east"""
    from ctl.commands.register import register as run

    flags.about_installation()
    given: dict[str, object] = {"address": relay_server_address, "domain": cluster_domain, "chart": chart_file}
    given |= {"crds_chart": crds_chart_file, "files": tuple(values or ()), "sets": tuple(set_ or ())}
    switches = {"rebind": rebind, "keep_token": keep_token, "wait": wait, "dry_run": dry_run}
    remote = (remote_kubeconfig, remote_context, remote_namespace)
    if print_manifests:
        from ctl.commands.register import print_manifests as show

        return show(name, remote, profiles.split(","), label or (), given | switches, side, include_secrets)
    if side or include_secrets:
        raise usage(f"--{'side' if side else 'include-secrets'} needs --print-manifests")
    return run(name, remote, profiles.split(","), label or (), given | switches)


@app.command("accept")
def accept_cluster(name: str, dry_run: DryRun = False) -> int:
    """Let a cluster that asks for it take part (requireApproval). Example: fingerpost cluster accept east"""
    from ctl.commands.approval import decide

    flags.about_installation()
    return decide(name, "accepted", dry=dry_run)


@app.command("reject")
def reject_cluster(name: str, dry_run: DryRun = False) -> int:
    """Send a cluster away: no connection, no certificate. Example: fingerpost cluster reject east"""
    from ctl.commands.approval import decide

    flags.about_installation()
    return decide(name, "rejected", dry=dry_run)


@app.command("deregister")
def deregister_cluster(
    name: str,
    remote_context: RemoteContext = "",
    remote_kubeconfig: RemoteFile = "",
    remote_namespace: RemoteNamespace = flags.ADMIN_NAMESPACE,
    force: Annotated[bool, typer.Option("--force", help="One of both is gone: the cluster or the server.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Also every object that the system wrote there.")] = False,
    keep_crds: Annotated[
        bool, typer.Option("--keep-crds/--no-keep-crds", help="Without them ALL objects of these kinds go there.")
    ] = True,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Remove agent and registration of a cluster. Example: fingerpost cluster deregister east --remote-context east"""
    from ctl.commands.register import deregister as run

    flags.about_installation()
    remote = (remote_kubeconfig, remote_context, remote_namespace)
    return run(name, remote, force=force, dry_run=dry_run, purge=purge, keep_crds=keep_crds, yes=yes)
