"""`fingerpost proxy`: the commands and their flags."""

from __future__ import annotations

from typing import Annotated

import typer

from ctl.parameters import group

app = group("The proxies of gateways.")


@app.command()
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
