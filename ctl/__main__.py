"""`fingerpost`: the commands and their flags. Each command imports its module when it runs (C-8)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from ctl import flags, output
from ctl.exits import Code, Failed


class _Explain(TyperGroup):
    """`explain route ...` is a command, any other word is a code."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, object, list[str]]:  # type: ignore[override]
        if args and args[0] != "route":
            args = ["code", *args]
        return super().resolve_command(ctx, args)


def _group(help_: str, cls: type[TyperGroup] | None = None) -> typer.Typer:
    return typer.Typer(
        cls=cls, help=help_, no_args_is_help=True, add_completion=False, rich_markup_mode=None, epilog=flags.HELP
    )


app = _group("Fingerpost: what the management plane knows, and why it does what it does.")
clusters_app = _group("Clusters and their agents.")
explain_app = _group("Explain what happens to a request, or what a finding means.", _Explain)
proxy_app = _group("The proxies of gateways.")
config_app = _group("The contexts file: where servers and agents are.")
app.add_typer(clusters_app, name="cluster")
app.add_typer(explain_app, name="explain")
app.add_typer(proxy_app, name="proxy")
app.add_typer(config_app, name="config")

_Sets = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="As Helm has it; repeatable.")]
_Values = Annotated[
    list[str] | None, typer.Option("--chart-values-file", "--gloo-mesh-agent-chart-values", help="Repeatable.")
]
_Profiles = Annotated[str, typer.Option("--profiles", help="Sets of values, separated by commas.")]
_Chart = Annotated[
    str, typer.Option("--chart-file", "--gloo-mesh-agent-chart-file", help="Another chart gloo-platform.")
]
_CrdsChart = Annotated[str, typer.Option("--crds-chart-file", help="Another chart gloo-platform-crds.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", "-d", help="Change nothing, say what would be done.")]
_Release = Annotated[str, typer.Option("--release-name", help="Helm's release of the chart gloo-platform.")]
_RemoteContext = Annotated[str, typer.Option("--remote-context", help="Kubeconfig context of the workload cluster.")]
_RemoteFile = Annotated[str, typer.Option("--remote-kubeconfig", help="Its kubeconfig, when it is another file.")]
_RemoteNamespace = Annotated[str, typer.Option("--remote-namespace", help="Namespace of the agent.")]
_Domain = Annotated[str, typer.Option("--cluster-domain", help="DNS suffix of Services in that cluster.")]

_Cluster = Annotated[str, typer.Option("--cluster", help="Only objects of this cluster.")]
_Kind = Annotated[str, typer.Argument(help="routetable, routetables, rt, ...")]
_Name = Annotated[str, typer.Argument(metavar="NAMESPACE/NAME")]


@app.command()
def version(client: Annotated[bool, typer.Option("--client", help="Ask no server.")] = False) -> int:
    """Versions of this command line, of the servers and of the agents."""
    from ctl.commands.version import version as run

    flags.about_installation()
    return run(client)


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="[server|agent]", help="agent: of a workload cluster.")] = "",
    section: Annotated[list[str] | None, typer.Option("--section", help="Only this section; repeatable.")] = None,
    fail_on: Annotated[str, typer.Option("--fail-on", help="error or warning")] = "error",
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 whatever was found.")] = False,
    remote_port: Annotated[int, typer.Option("--remote-port", help="0: do not ask the management server.")] = 9091,
) -> int:
    """Health of the management plane. Example: fingerpost check --section Redis"""
    from ctl.commands.check import check as run

    flags.about_installation()
    return run(target, section or (), fail_on, exit_zero, remote_port != 0)


@clusters_app.command("list")
def list_clusters() -> int:
    """All clusters with state, agent and objects. Example: fingerpost cluster list -o name"""
    from ctl.commands.cluster import list_clusters as run

    flags.about_installation()
    return run()


@clusters_app.command("register")
def register_cluster(
    name: str,
    remote_context: _RemoteContext = "",
    remote_kubeconfig: _RemoteFile = "",
    remote_namespace: _RemoteNamespace = flags.ADMIN_NAMESPACE,
    relay_server_address: Annotated[
        str, typer.Option("--relay-server-address", metavar="HOST:PORT", help="Default: of the server's load balancer.")
    ] = "",
    cluster_domain: _Domain = "cluster.local",
    label: Annotated[list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="Repeatable.")] = None,
    profiles: _Profiles = "agent",
    set_: _Sets = None,
    values: _Values = None,
    chart_file: _Chart = "",
    crds_chart_file: _CrdsChart = "",
    rebind: Annotated[bool, typer.Option("--rebind", help="The cluster of this name was rebuilt as this one.")] = False,
    keep_token: Annotated[bool, typer.Option("--keep-token", help="Leave the bootstrap token there.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is ACCEPTED; --timeout 120s.")] = True,
    dry_run: _DryRun = False,
) -> int:
    """Make a cluster a workload cluster. Example: fingerpost cluster register east --remote-context east"""
    from ctl.commands.register import register as run

    flags.about_installation()
    given: dict[str, object] = {"address": relay_server_address, "domain": cluster_domain, "chart": chart_file}
    given |= {"crds_chart": crds_chart_file, "files": tuple(values or ()), "sets": tuple(set_ or ())}
    switches = {"rebind": rebind, "keep_token": keep_token, "wait": wait, "dry_run": dry_run}
    remote = (remote_kubeconfig, remote_context, remote_namespace)
    return run(name, remote, profiles.split(","), label or (), given | switches)


@clusters_app.command("deregister")
def deregister_cluster(
    name: str,
    remote_context: _RemoteContext = "",
    remote_kubeconfig: _RemoteFile = "",
    remote_namespace: _RemoteNamespace = flags.ADMIN_NAMESPACE,
    force: Annotated[bool, typer.Option("--force", help="The workload cluster is gone; do without it.")] = False,
    dry_run: _DryRun = False,
) -> int:
    """Remove agent and registration of a cluster. Example: fingerpost cluster deregister east --remote-context east"""
    from ctl.commands.register import deregister as run

    flags.about_installation()
    return run(name, (remote_kubeconfig, remote_context, remote_namespace), force=force, dry_run=dry_run)


@app.command()
def get(
    kind: _Kind,
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "",
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="This is the default too.")] = False,
    cluster: _Cluster = "",
) -> int:
    """Objects of all clusters and how far they have arrived. Example: fingerpost get routetables -n shop"""
    from ctl.commands.objects import get_objects

    return get_objects(kind, name, all_namespaces, cluster)


@app.command()
def describe(kind: _Kind, name: _Name, cluster: _Cluster = "") -> int:
    """One object: problems, what it selects, where it is served. Example: fingerpost describe routetable shop/www"""
    from ctl.commands.objects import describe as run

    return run(kind, name, cluster)


@app.command()
def wait(
    kind: _Kind,
    name: _Name,
    condition: Annotated[str, typer.Option("--for", help="applied (every gateway has it) or accepted")] = "applied",
    cluster: _Cluster = "",
) -> int:
    """Wait for a change. Example: fingerpost wait routetable shop/www --for applied --timeout 10s (default 60s)"""
    from ctl.commands.wait import wait as run

    return run(kind, name, condition, cluster)


@app.command()
def validate(
    file: Annotated[list[str], typer.Option("-f", "--file", metavar="PATH|-", help="File, folder or -; repeatable.")],
) -> int:
    """Check manifests offline with the server's own code. Example: fingerpost validate -f shop/"""
    from ctl.commands.validate import validate as run

    return run(file)


@app.command()
def install(
    profiles: _Profiles = "",
    set_: _Sets = None,
    values: _Values = None,
    chart_file: _Chart = "",
    crds_chart_file: _CrdsChart = "",
    release_name: _Release = "gloo-platform",
    cluster_name: Annotated[str, typer.Option("--cluster-name", help="common.cluster")] = "",
    cluster_domain: _Domain = "",
    register: Annotated[bool, typer.Option("--register", "-r", help="An agent for this cluster too.")] = False,
    license_: Annotated[str, typer.Option("--license", help="No licence is needed.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all is ready; --timeout 180s.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="Print the manifests, change nothing.")] = False,
    print_values: Annotated[bool, typer.Option("--print-values", help="Print the values of profiles, flags.")] = False,
) -> int:
    """Install the charts. Example: fingerpost install --profiles gloo-mesh-single --cluster-name mgmt"""
    from ctl.commands.install import Order
    from ctl.commands.install import install as run

    flags.about_installation()
    common = {"cluster": cluster_name, "clusterDomain": cluster_domain}
    given: dict[str, object] = {"common": {k: v for k, v in common.items() if v}}
    given |= {"glooMgmtServer": {"registerCluster": True}} if register else {}
    names = [name for name in profiles.split(",") if name]
    order = Order(release_name, names, given, chart_file, crds_chart_file, tuple(values or ()), tuple(set_ or ()), wait)
    return run(order, dry_run=dry_run, print_values=print_values)


@app.command()
def uninstall(
    release_name: _Release = "gloo-platform",
    include_crds: Annotated[bool, typer.Option("--include-crds", help="The kinds and ALL objects of them.")] = False,
    dry_run: _DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Remove what install made; users' objects stay. Example: fingerpost uninstall --yes"""
    from ctl.commands.install import uninstall as run

    flags.about_installation()
    return run(release_name, include_crds=include_crds, dry_run=dry_run, yes=yes)


@explain_app.command("route")
def explain_route(
    url: str,
    method: Annotated[str, typer.Option("--method")] = "GET",
    header: Annotated[list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="Repeatable.")] = None,
    query: Annotated[list[str] | None, typer.Option("--query", metavar="NAME=VALUE", help="Repeatable.")] = None,
    gateway: Annotated[str, typer.Option("--gateway", metavar="CLUSTER/NAMESPACE/NAME")] = "",
) -> int:
    """What happens to a request, and why. Example: fingerpost explain route https://www.example.com/cart"""
    from ctl.commands.explain import explain_route as run

    return run(url, method, header or (), query or (), gateway)


@explain_app.command("code")
def explain_code(code: str) -> int:
    """What a finding means. Example: fingerpost explain CHK041"""
    from ctl.commands.explain import explain_code as run

    return run(code)


@proxy_app.command()
def bootstrap(
    cluster: Annotated[str, typer.Option("--cluster")],
    gateway: Annotated[str, typer.Option("--gateway", metavar="NAMESPACE/NAME", help="The gateway's Service.")],
    bind: Annotated[str, typer.Option("--bind", help="Address that the listeners bind to.")] = "",
    admin_port: Annotated[int, typer.Option("--admin-port", help="0: any free port of 127.0.0.1.")] = 0,
    delta: Annotated[bool, typer.Option("--delta/--no-delta", help="Incremental xDS.")] = True,
) -> int:
    """The bootstrap of a plain Envoy, with its token.

    Example: fingerpost proxy bootstrap --cluster east --gateway gw/ingress
    """
    from ctl.commands.proxy import bootstrap as run

    return run(cluster, gateway, bind, admin_port, delta=delta)


@app.command()
def release(cluster: str) -> int:
    """Say that a large loss, which a guard holds, is meant. Example: fingerpost release east"""
    from ctl.commands.release import release as run

    return run(cluster)


@config_app.command("view")
def view() -> int:
    """Show the contexts file."""
    from ctl.commands.config import view as run

    return run()


@config_app.command("use")
def use(name: str) -> int:
    """Make a context the current one."""
    from ctl.commands.config import use as run

    return run(name)


@config_app.command("set-context")
def set_context(
    name: str,
    server: Annotated[list[str] | None, typer.Option("--server", help="Admin address of a server; repeatable.")] = None,
    agent: Annotated[list[str] | None, typer.Option("--agent", metavar="CLUSTER=URL", help="Repeatable.")] = None,
) -> int:
    """Write a context. Example: fingerpost config set-context demo --server http://127.0.0.1:9091"""
    from ctl.commands.config import set_context as run

    return run(name, server or (), agent or ())


def run(arguments: Sequence[str]) -> int:
    """Never raises for anything that a person or a server did wrong."""
    try:
        found, rest = flags.hoist(arguments)
        flags.use(found)
        code = app(rest, prog_name="fingerpost", standalone_mode=False)
        return int(code or 0)
    except Failed as failure:
        output.fail(failure)
        return failure.code
    except typer.Exit as e:
        return int(e.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return Code.INTERRUPTED
    except TyperException as e:
        message = _message(e)
        if message.startswith("Usage:") and not flags.current().structured:
            output.note(message)  # a group without a command: its help is the answer
            return Code.USAGE
        wrong = Failed(Code.USAGE, message, "fingerpost --help, or --help after the command")
        output.fail(wrong)
        return wrong.code


def _message(e: BaseException) -> str:
    return str(getattr(e, "format_message", lambda: e)()).rstrip(".")


def main() -> None:
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read has seen enough; without this the interpreter complains at its end
        sys.stdout = None
        code = Code.DONE
    sys.exit(code)


if __name__ == "__main__":
    main()
