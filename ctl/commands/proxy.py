"""`proxy bootstrap`: the configuration with which a plain Envoy finds its agent. It holds that gateway's token."""

from __future__ import annotations

from typing import Any

import httpx

from ctl.contexts import chosen
from ctl.exits import Code, Failed, usage
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
    _print(_ask(address.rstrip("/"), query))
    return Code.DONE


def _ask(address: str, query: dict[str, Any]) -> Any:
    try:
        response = httpx.get(f"{address}/bootstrap", params=query, timeout=current().request_timeout, trust_env=False)
    except httpx.HTTPError as e:
        hint = "start the agent, or correct its address with fingerpost config set-context"
        reason = str(e) or type(e).__name__
        raise Failed(Code.UNREACHABLE, f"the agent at {address} does not answer: {reason}", hint) from e
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code == 200 and isinstance(body, dict):
        return body
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("message", "") if isinstance(error, dict) else str(error or response.text[:200])
    code = Code.FORBIDDEN if response.status_code in (401, 403) else Code.USAGE
    raise Failed(code, f"the agent at {address} answered {response.status_code}: {said}")


def _print(config: Any) -> None:
    import json

    if current().output == "yaml" or current().output in ("table", "wide"):
        print(as_yaml(config))
    elif current().output.startswith("jsonpath="):
        from ctl.jsonpath import evaluate

        print(evaluate(current().output.removeprefix("jsonpath="), config))
    else:
        print(json.dumps(config, indent=2))
