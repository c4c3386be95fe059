"""`fingerpost`: the commands and their flags. Each command imports its module when it runs (C-8)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from ctl import clusters_app, config_app, deadline, flags, history_app, output, proxy_app, streams
from ctl.exits import Code, Failed, usage
from ctl.parameters import Chart, CrdsChart, Domain, DryRun, Profiles, Release, Sets, Values, Watch, group


class _Explain(TyperGroup):
    """`explain route ...` is a command, any other word is a code."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, object, list[str]]:  # type: ignore[override]
        if args and args[0] != "route":
            args = ["code", *args]
        return super().resolve_command(ctx, args)


app = group("Fingerpost: what the management plane knows, and why it does what it does.")
explain_app = group("Explain what happens to a request, or what a finding means.", _Explain)
app.add_typer(clusters_app.app, name="cluster")
app.add_typer(explain_app, name="explain")
app.add_typer(proxy_app.app, name="proxy")
app.add_typer(history_app.app, name="history")
app.add_typer(history_app.rollback_app, name="rollback")
app.add_typer(config_app.app, name="config")
license_app = group("Licences: none is needed.")
app.add_typer(license_app, name="license")

_Cluster = Annotated[str, typer.Option("--cluster", help="Only objects of this cluster.")]
_Management = Annotated[
    str, typer.Option("--management-cluster", metavar="NAME", help="With folders: the management cluster's.")
]
_Snapshot = Annotated[
    str, typer.Option("--snapshot", metavar="FILE", help="Of this dump of `snapshot input`, not of the servers.")
]
_Fleet = Annotated[
    str, typer.Option("--fleet", metavar="FOLDER", help="Of this folder with a folder per cluster, not of the servers.")
]
_Applied = Annotated[
    list[str] | None, typer.Option("-f", "--file", metavar="PATH|-", help="As if it were applied; repeatable.")
]
_Delete = Annotated[
    list[str] | None, typer.Option("--delete", metavar="KIND/NS/NAME", help="As if it were gone; repeatable.")
]
_Belongs = Annotated[str, typer.Option("--cluster", help="Where the files belong; default: management.")]
_Kind = Annotated[str, typer.Argument(help="routetable, routetables, rt, ...")]
_Name = Annotated[str, typer.Argument(metavar="NAMESPACE/NAME")]


def _again(ask: Callable[[], int], *, watch: bool) -> int:
    if not watch:
        return ask()
    from ctl.watching import watch as repeat

    return repeat(ask)


@app.command()
def version(client: Annotated[bool, typer.Option("--client", help="Ask no server.")] = False) -> int:
    """Versions of this command line, of the servers and of the agents. Example: fingerpost version --client"""
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
    watch: Watch = False,
) -> int:
    """Health of the management plane. Example: fingerpost check --section Redis"""
    from ctl.commands.check import check as run

    flags.about_installation()
    return _again(lambda: run(target, section or (), fail_on, exit_zero, remote_port != 0), watch=watch)


@app.command()
def get(
    kind: _Kind,
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "",
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="This is the default too.")] = False,
    cluster: _Cluster = "",
    watch: Watch = False,
) -> int:
    """Objects of all clusters and how far they have arrived. Example: fingerpost get routetables -n shop"""
    from ctl.commands.objects import get_objects

    return _again(lambda: get_objects(kind, name, all_namespaces, cluster), watch=watch)


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
def trace(kind: _Kind, name: _Name, cluster: _Cluster = "") -> int:
    """The way of an object's last change, with times. Example: fingerpost trace routetable shop/www"""
    from ctl.commands.trace import trace as run

    return run(kind, name, cluster)


@app.command()
def events(
    cluster: Annotated[str, typer.Option("--cluster", help="Only of this cluster; without those of the servers.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with what happens from now on.")] = False,
) -> int:
    """Connects, disconnects, holds, rejections, rotations of late. Example: fingerpost events --cluster east -w"""
    from ctl.commands import events as run

    return run.follow(cluster) if watch else run.events(cluster)


@app.command()
def validate(
    file: Annotated[list[str], typer.Option("-f", "--file", metavar="PATH|-", help="File, folder or -; repeatable.")],
) -> int:
    """Check manifests offline with the server's own code. Example: fingerpost validate -f shop/"""
    from ctl.commands.validate import validate as run

    return run(file)


@app.command()
def translate(
    file: Annotated[str, typer.Option("-f", "--file", metavar="FOLDER", help="A folder with a folder per cluster.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write; new, empty, or of an earlier run.")
    ],
    management: _Management = "mgmt",
) -> int:
    """What a server would relay, offline. Example: fingerpost translate -f examples -o out"""
    from ctl.commands.translate import translate as run

    return run(file, output, management)


@app.command()
def snapshot(
    side: Annotated[str, typer.Argument(metavar="input|output")],
    cluster: Annotated[str, typer.Option("--cluster", help="Only this cluster.")] = "",
    type_: Annotated[str, typer.Option("--type", help="A kind; of the output listener, routes, cluster, ...")] = "",
) -> int:
    """What the servers have been told, or what they send. Example: fingerpost snapshot input -o yaml"""
    from ctl.commands.snapshot import snapshot as run

    return run(side, cluster, type_)


@app.command()
def diff(
    file: Annotated[
        list[str] | None, typer.Option("-f", "--file", metavar="PATH|-", help="File, folder or -; repeatable.")
    ] = None,
    cluster: Annotated[str, typer.Option("--cluster", help="Where the objects belong; default: management.")] = "",
    delete: _Delete = None,
    prune: Annotated[
        str, typer.Option("--prune", metavar="namespace|cluster", help="What is there and not in the files goes.")
    ] = "",
    snapshot: _Snapshot = "",
    fleet: _Fleet = "",
    management: _Management = "mgmt",
) -> int:
    """What a change would do, before it is made; 1 when it does anything. Example: fingerpost diff -f shop/"""
    from ctl.commands.diff import diff as run

    return run(file or (), (snapshot, fleet, management), cluster, delete or (), prune)


@app.command()
def whatif(
    without: Annotated[list[str], typer.Option("--without", metavar="CLUSTER", help="The cluster that goes.")],
    file: _Applied = None,
    cluster: _Belongs = "",
    delete: _Delete = None,
    snapshot: _Snapshot = "",
    fleet: _Fleet = "",
    management: _Management = "mgmt",
) -> int:
    """What fails over and what is lost (then 1) without a cluster. Example: fingerpost whatif --without east"""
    from ctl.commands.whatif import whatif as run

    if len(set(without)) > 1:
        raise usage(f"--without names {', '.join(without)}", "ask of one cluster at a time")
    return run(without[0], file or (), (snapshot, fleet, management), cluster, delete or ())


@app.command()
def conflicts(
    file: _Applied = None,
    cluster: _Belongs = "",
    snapshot: _Snapshot = "",
    fleet: _Fleet = "",
    management: _Management = "mgmt",
) -> int:
    """Shadowed routes, hosts that meet, unused objects; 1 when there is a warning. Example: fingerpost conflicts"""
    from ctl.commands.conflicts import conflicts as run

    return run(file or (), (snapshot, fleet, management), cluster)


@app.command()
def install(
    profiles: Profiles = "",
    set_: Sets = None,
    values: Values = None,
    chart_file: Chart = "",
    crds_chart_file: CrdsChart = "",
    release_name: Release = "gloo-platform",
    cluster_name: Annotated[str, typer.Option("--cluster-name", help="common.cluster")] = "",
    cluster_domain: Domain = "",
    register: Annotated[bool, typer.Option("--register", "-r", help="An agent for this cluster too.")] = False,
    license_: Annotated[str, typer.Option("--license", help="No licence is needed.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all is ready; --timeout 180s.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="Print the manifests, change nothing.")] = False,
    print_values: Annotated[bool, typer.Option("--print-values", help="Print the values of profiles, flags.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask when something there would go.")] = False,
) -> int:
    """Install the charts. Example: fingerpost install --profiles gloo-mesh-single --cluster-name mgmt"""
    from ctl.commands.install import Order
    from ctl.commands.install import install as run

    flags.about_installation()
    common = {"cluster": cluster_name, "clusterDomain": cluster_domain}
    given: dict[str, object] = {"common": {k: v for k, v in common.items() if v}}
    given |= {"glooMgmtServer": {"registerCluster": True}} if register else {}
    names = [name for name in profiles.split(",") if name]
    files, sets = tuple(values or ()), tuple(set_ or ())
    order = Order(release_name, names, given, chart_file, crds_chart_file, files, sets, wait, register)
    return run(order, dry_run=dry_run, print_values=print_values, yes=yes)


@app.command()
def uninstall(
    release_name: Release = "gloo-platform",
    include_crds: Annotated[bool, typer.Option("--include-crds", help="The kinds and ALL objects of them.")] = False,
    dry_run: DryRun = False,
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


@app.command()
def release(cluster: str) -> int:
    """Say that a large loss, which a guard holds, is meant. Example: fingerpost release east"""
    from ctl.commands.release import release as run

    return run(cluster)


@license_app.command("check", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def license_check() -> int:
    """Say that no licence is needed, whatever is passed. Example: fingerpost license check"""
    output.emit(output.Document("License", text=lambda: "no licence needed", spec={"needed": False}))
    return Code.DONE


@app.command()
def completion(shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish|powershell")]) -> int:
    """Print the script for a shell. Example: source <(fingerpost completion bash)"""
    from ctl.completing import SCRIPTS

    if shell not in SCRIPTS:
        raise usage(f'there is no completion for "{shell}"', f"write one of {', '.join(SCRIPTS)}")
    output.emit(output.Document("Completion", text=lambda: SCRIPTS[shell], spec={"script": SCRIPTS[shell]}))
    return Code.DONE


def command() -> Any:
    """The tree of commands."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Never raises for anything that a person, a server or a disk did wrong."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
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
    except OSError as e:
        what = f"{e.filename}: {e.strerror}" if e.filename and e.strerror else str(e)
        wrong = Failed(Code.USAGE, what, "make it accessible, or name another", "NotAccessible")
        output.fail(wrong)
        return wrong.code
    except Exception as e:  # noqa: BLE001  (the outermost one: a traceback helps nobody who only uses this)
        unforeseen = output.fault(e)
        output.fail(unforeseen)
        return unforeseen.code


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["__complete"]:
        from ctl.completing import answer

        return answer(arguments[1:])
    found, rest = flags.hoist(arguments)
    flags.use(found)
    deadline.begin()
    flags.check_text(arguments)
    if found.output.startswith("jsonpath="):  # before anything is done
        from ctl.jsonpath import evaluate

        evaluate(found.output.removeprefix("jsonpath="), {})
    return int(app(rest, prog_name="fingerpost", standalone_mode=False) or 0)


def _message(e: BaseException) -> str:
    return str(getattr(e, "format_message", lambda: e)()).rstrip(".")


def main() -> None:
    streams.guard()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
