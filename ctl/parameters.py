"""Flags that several commands have, and how a group of commands is made."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from ctl import flags
from ctl.typed import Commands

Sets = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="As Helm has it; repeatable.")]
Values = Annotated[
    list[str] | None, typer.Option("--chart-values-file", "--gloo-mesh-agent-chart-values", help="Repeatable.")
]
Profiles = Annotated[str, typer.Option("--profiles", help="Sets of values, separated by commas.")]
Chart = Annotated[
    str, typer.Option("--chart-file", "--gloo-mesh-agent-chart-file", help="Another chart gloo-platform.")
]
CrdsChart = Annotated[str, typer.Option("--crds-chart-file", help="Another chart gloo-platform-crds.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-d", help="Change nothing, say what would be done.")]
Release = Annotated[str, typer.Option("--release-name", help="Helm's release of the chart gloo-platform.")]
Domain = Annotated[str, typer.Option("--cluster-domain", help="DNS suffix of Services in that cluster.")]
Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Ask again and again; Ctrl-C ends it with the last exit code.")
]


def group(help_: str, cls: type[TyperGroup] | None = None, *, alone: bool = False) -> typer.Typer:
    """`alone`: the group is a command by itself, too."""
    return Commands(
        cls=cls, help=help_, no_args_is_help=not alone, add_completion=False, rich_markup_mode=None, epilog=flags.HELP
    )
