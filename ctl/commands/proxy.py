"""`proxy bootstrap`: the configuration with which a plain Envoy finds its agent. It holds that gateway's token.

The agent gives it, also while no server answers; one that does tells whether there is such a gateway at all.
"""

from __future__ import annotations

from typing import Any

from ctl.agent import ask
from ctl.contexts import chosen
from ctl.exits import Code, Failed, usage
from ctl.flags import current
from ctl.merge import clusters, objects
from ctl.output import as_yaml, remark
from ctl.server import get
from fingerpost.api.likeness import did_you_mean

_MOST = 10


def bootstrap(cluster: str, gateway: str, bind: str, admin_port: int, *, delta: bool) -> int:
    """Printed bare, since Envoy reads it: with -o json it is the one document."""
    if gateway.count("/") != 1 or not all(gateway.split("/")):
        raise usage(f'--gateway is "{gateway}"', "write NAMESPACE/NAME of the gateway's Service")
    _known(cluster, gateway)
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


def _known(cluster: str, gateway: str) -> None:
    """Raises Failed for what the servers are sure not to have; says what they cannot tell."""
    try:
        found = {c["name"]: c for c in clusters(get("/clusters").bodies)}
        items = objects(get("/objects", {"kind": "discoveredgateways"}).bodies)
    except Failed as failure:
        remark(f"warning: whether there is a gateway {gateway} in {cluster} is not known: {failure.message}")
        return
    if cluster not in found:
        there = ", ".join(found) or "none"
        near = did_you_mean(cluster, found)
        message = f"--cluster is {cluster}, which no server knows; clusters are: {there}{near}"
        raise usage(message, f"correct the name, or create the KubernetesCluster {cluster}")
    gateways = [
        f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items if item["cluster"] == cluster
    ]
    if gateway in gateways:
        return
    if not found[cluster]["connected"] or found[cluster]["state"] != "Warm":
        state = f"is {found[cluster]['state']}, so its agent has not reported all"
        remark(f"warning: no gateway {gateway} is known in {cluster}, but {cluster} {state}")
        return
    there = ", ".join(gateways[:_MOST]) + (", ..." if len(gateways) > _MOST else "") or "none"
    hint = "a gateway is a Service that selects a pod with the label gateway.gloo.solo.io/type: envoy"
    near = did_you_mean(gateway, gateways)
    raise usage(f"there is no gateway {gateway} in {cluster}; there are: {there}{near}", hint)


def _print(config: Any) -> None:
    import json

    if current().output == "yaml" or current().output in ("table", "wide"):
        print(as_yaml(config))
    elif current().output.startswith("jsonpath="):
        from ctl.jsonpath import evaluate

        print(evaluate(current().output.removeprefix("jsonpath="), config))
    else:
        print(json.dumps(config, indent=2))
