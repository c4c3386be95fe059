"""`config`: the contexts file."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ctl.contexts import NO_CONTEXT, Context, check_address, load, path, save
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.output import Document, as_yaml, emit


def view() -> int:
    contexts = load()
    value = msgspec.to_builtins(contexts)
    emit(
        Document(
            "Config",
            text=lambda: as_yaml(value) if value else f"# {path()} does not exist",
            spec=value | {"path": str(path())},
            names=sorted(contexts.contexts),
            context=contexts.current,
        )
    )
    return Code.DONE


def use(name: str) -> int:
    contexts = load()
    if name not in contexts.contexts:
        there = ", ".join(sorted(contexts.contexts)) or "none"
        raise usage(f"there is no context {name} in {path()}; there are: {there}", NO_CONTEXT)
    save(msgspec.structs.replace(contexts, current=name))
    return _done(f"now using context {name}", name)


def set_context(name: str, servers: Sequence[str], agents: Sequence[str]) -> int:
    """What is not given stays as it was."""
    contexts, flags = load(must_exist=False), current()
    known = contexts.contexts.get(name, Context())
    for server in servers:
        check_address("--server", server)
    pairs = dict(known.agents)
    for agent in agents:
        cluster, found, address = agent.partition("=")
        if not found or not cluster:
            raise usage(f'--agent is "{agent}"', "write --agent CLUSTER=http://HOST:PORT")
        check_address(f"--agent {cluster}", address)
        pairs[cluster] = address
    fresh = Context(
        server=servers[0] if servers else known.server,
        servers=tuple(servers[1:]) if servers else known.servers,
        agents=pairs,
        kubeconfig=flags.kubeconfig or known.kubeconfig,
        kubecontext=flags.kubecontext or known.kubecontext,
        namespace=flags.mgmt_namespace or known.namespace,
    )
    if fresh.on_kubernetes and fresh.server:
        hint = f"use one name for {fresh.server}, another for the cluster"
        raise usage(f"context {name} would have the address of a server and a kubeconfig", hint)
    in_use = contexts.current or name
    save(msgspec.structs.replace(contexts, current=in_use, contexts={**contexts.contexts, name: fresh}))
    return _done(f"context {name} is written to {path()}", name)


def _done(text: str, name: str) -> int:
    emit(Document("Config", text=lambda: text, spec={"context": name, "path": str(path())}, names=[name], context=name))
    return Code.DONE
