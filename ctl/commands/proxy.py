"""`proxy bootstrap`: the configuration with which a plain Envoy finds its agent. It holds that gateway's token."""

from __future__ import annotations

from typing import Any

from ctl.agent import ask
from ctl.contexts import chosen
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.output import as_yaml


def bootstrap(cluster: str, gateway: str, bind: str, admin_port: int, *, delta: bool) -> int:
    """Printed bare, since Envoy reads it: with -o json it is the one document."""
    if gateway.count("/") != 1 or not all(gateway.split("/")):
        raise usage(f'--gateway is "{gateway}"', "write NAMESPACE/NAME of the gateway's Service")
    name, context = chosen()
    address = context.agents.get(cluster)
    if address is None:
        there = ", ".join(sorted(context.agents)) or "none"
        hint = f"fingerpost config set-context {name or 'NAME'} --agent {cluster}=http://HOST:PORT"
        raise usage(f"the context does not know the agent of cluster {cluster}; it knows: {there}", hint)
    query: dict[str, Any] = {"gateway": gateway, "admin_port": admin_port, "delta": str(delta).lower()}
    if bind:
        query["bind"] = bind
    _print(ask(address, "GET", "/bootstrap", query))
    return Code.DONE


def _print(config: Any) -> None:
    import json

    if current().output == "yaml" or current().output in ("table", "wide"):
        print(as_yaml(config))
    elif current().output.startswith("jsonpath="):
        from ctl.jsonpath import evaluate

        print(evaluate(current().output.removeprefix("jsonpath="), config))
    else:
        print(json.dumps(config, indent=2))
