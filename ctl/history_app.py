"""`fingerpost history` and `fingerpost rollback`: the commands and their flags."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from ctl.parameters import DryRun, group


class _History(TyperGroup):
    """`history show N` and `history diff N` are commands, any other word is a kind. Flags are those of the list."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        listing = args and args[0].partition("=")[0] in ("--limit", "--cluster")
        return super().parse_args(ctx, ["list", *args] if listing else args)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, object, list[str]]:  # type: ignore[override]
        return super().resolve_command(ctx, args if args and args[0] in self.commands else ["list", *args])


class _Rollback(TyperGroup):
    """`rollback N` is the command, of which `to` is the name inside."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str | None, object, list[str]]:  # type: ignore[override]
        return super().resolve_command(ctx, args if args and args[0] in self.commands else ["to", *args])


def _snapshot_number(text: str) -> int:
    """Never the name of a rollback, which means the contrary."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text[:1] == "r" and text[1:].isdigit():
        remedy = f"fingerpost rollback release {text} ends it, fingerpost history lists snapshots"
        raise typer.BadParameter(f"{text} is the name of a rollback; {remedy}")
    raise typer.BadParameter(f'"{text}" is no number of a snapshot; fingerpost history lists them')


Cluster = Annotated[str, typer.Option("--cluster", help="Only objects of this cluster.")]
app = group("The snapshots of what users had written: numbered, kept for a while.", _History, alone=True)
rollback_app = group("Bring gateways back to a snapshot, until it is released.", _Rollback)


@app.callback(invoke_without_command=True)
def history(ctx: typer.Context) -> int:
    """The newest snapshots. Example: fingerpost history; fingerpost history routetable shop/www"""
    if ctx.invoked_subcommand is not None:
        return 0
    return list_snapshots()


@app.command("list")
def list_snapshots(
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="Only those that changed such objects.")] = "",
    name: Annotated[str, typer.Argument(metavar="[NAMESPACE/NAME]")] = "",
    cluster: Cluster = "",
    limit: Annotated[int, typer.Option("--limit", help="The newest so many.")] = 20,
) -> int:
    """Snapshots, newest first. Example: fingerpost history routetable shop/www"""
    from ctl.commands.history import list_snapshots as run

    return run(kind, name, cluster, limit)


@app.command("show")
def show_snapshot(number: int) -> int:
    """What one snapshot changed, and where. Example: fingerpost history show 41"""
    from ctl.commands.history import show

    return show(number)


@app.command("diff")
def diff_snapshots(
    number: int,
    to: Annotated[int | None, typer.Argument(help="Default: now.")] = None,
    routes: Annotated[
        bool, typer.Option("--routes", help="By request and route, as `fingerpost diff` has it.")
    ] = False,
) -> int:
    """How objects differ between two snapshots. Example: fingerpost history diff 41 57 --routes"""
    if routes:
        from ctl.commands.history_routes import diff_routes

        return diff_routes(number, to)
    from ctl.commands.history import diff

    return diff(number, to)


@rollback_app.command("to")
def rollback(
    number: Annotated[int, typer.Argument(metavar="SNAPSHOT", parser=_snapshot_number)],
    workspace: Annotated[str, typer.Option("--workspace", help="Only the objects of this workspace.")] = "",
    cluster: Annotated[str, typer.Option("--cluster", help="Only the gateways of this cluster.")] = "",
    dry_run: DryRun = False,
) -> int:
    """Back to a snapshot. Example: fingerpost rollback 41 --workspace shop --dry-run"""
    from ctl.commands.rollback import rollback as run

    return run(number, workspace, cluster, dry_run)


@rollback_app.command("release")
def release_rollback(
    id_: Annotated[str, typer.Argument(metavar="[ROLLBACK]", help="Such as r72. Default: all.")] = "",
) -> int:
    """End a rollback: what was held back goes out. Example: fingerpost rollback release"""
    from ctl.commands.rollback import release as run

    return run(id_)


@rollback_app.command("status")
def rollback_status() -> int:
    """What is rolled back. Example: fingerpost rollback status -o name"""
    from ctl.commands.rollback import status

    return status()
