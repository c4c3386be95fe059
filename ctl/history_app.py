"""`fingerpost history` and `fingerpost rollback`: the commands and their flags."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ctl.exits import usage
from ctl.parameters import DryRun, group


class _Group(TyperGroup):
    """What is no command of the group belongs to the command that needs no name."""

    unnamed = ""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = [self.unnamed, *args]
        return super().parse_args(ctx, args)


class _History(_Group):
    unnamed = "list"


class _Rollback(_Group):
    unnamed = "to"


def _number(text: str) -> int:
    """Raises Failed."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text[:1] == "r" and text[1:].isdigit():  # which means the contrary
        remedy = f"fingerpost rollback release {text} ends it, fingerpost history lists the snapshots"
        raise usage(f"{text} is the name of a rollback", remedy)
    raise usage(f'"{text}" is no number of a snapshot', "fingerpost history lists the snapshots with their numbers")


_HISTORY = """The snapshots of what users had written: numbered, kept for a while.

\b
fingerpost history [KIND [NAMESPACE/NAME]] [--limit N] [--cluster NAME]
  The newest N (default 20), or those that changed such objects, of this cluster.
Example: fingerpost history routetable shop/www --limit 5
"""
_ROLLBACK = """Bring gateways back to a snapshot, until it is released.

\b
fingerpost rollback SNAPSHOT [--workspace NAME | --cluster NAME] [--dry-run]
  Everything, or the objects of a workspace, or the gateways of a cluster.
Example: fingerpost rollback 41 --workspace shop --dry-run
"""
Cluster = Annotated[str, typer.Option("--cluster", help="Only objects of this cluster.")]
Number = Annotated[int, typer.Argument(metavar="SNAPSHOT", parser=_number)]
app = group(_HISTORY, _History, alone=True)
rollback_app = group(_ROLLBACK, _Rollback)


@app.callback(invoke_without_command=True, help=_HISTORY)
def history(ctx: typer.Context) -> int:
    return 0 if ctx.invoked_subcommand is not None else list_snapshots()


@app.command("list", hidden=True)
def list_snapshots(
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="Only those that changed such objects.")] = "",
    name: Annotated[str, typer.Argument(metavar="[NAMESPACE/NAME]")] = "",
    cluster: Cluster = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 20,
) -> int:
    """Snapshots, newest first. Example: fingerpost history routetable shop/www"""
    from ctl.commands.history import list_snapshots as run

    return run(kind, name, cluster, limit)


@app.command("show")
def show_snapshot(number: Number) -> int:
    """What one snapshot changed, and where. Example: fingerpost history show 41"""
    from ctl.commands.history import show

    return show(number)


@app.command("diff")
def diff_snapshots(
    number: Number,
    to: Annotated[int | None, typer.Argument(parser=_number, help="Default: now.")] = None,
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


@rollback_app.command("to", hidden=True)
def rollback(
    number: Number,
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
