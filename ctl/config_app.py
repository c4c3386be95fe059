"""`fingerpost config`: the commands and their flags."""

from __future__ import annotations

from typing import Annotated

import typer

from ctl.parameters import group

app = group("The contexts file: where servers and agents are.")


@app.command("view")
def view() -> int:
    """Show the contexts file. Example: fingerpost config view -o json"""
    from ctl.commands.config import view as run

    return run()


@app.command("use")
def use(name: str) -> int:
    """Make a context the current one. Example: fingerpost config use demo"""
    from ctl.commands.config import use as run

    return run(name)


@app.command("set-context")
def set_context(
    name: str,
    server: Annotated[list[str] | None, typer.Option("--server", help="Admin address of a server; repeatable.")] = None,
    agent: Annotated[list[str] | None, typer.Option("--agent", metavar="CLUSTER=URL", help="Repeatable.")] = None,
) -> int:
    """Write a context. Example: fingerpost config set-context demo --server http://127.0.0.1:9091"""
    from ctl.commands.config import set_context as run

    return run(name, server or (), agent or ())
