"""The contexts file: where the servers and the agents of each installation are. It holds no secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ctl.exits import usage
from ctl.flags import Flags, current

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
DEFAULT_SERVER = "http://127.0.0.1:9091"
_USUAL = "~/.kube/config"
_SHAPE = (
    "current: NAME, contexts: {NAME: {server: http://127.0.0.1:9091, agents: {CLUSTER: http://...}}}, "
    "on Kubernetes contexts: {NAME: {kubecontext: CONTEXT}}"
)

_OTHER_FILE = "make it accessible, or name another with --config"
NO_CONTEXT = "use one of these, or write it: fingerpost config set-context NAME --server URL"


class Context(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`server` and `servers` together are all replicas. On Kubernetes they are found in the `namespace` of the API
    server that `kubeconfig` and `kubecontext` name; `in_pod`: by the service account of the pod we are in.
    """

    server: str = ""
    servers: tuple[str, ...] = ()
    agents: Mapping[str, str] = {}
    kubeconfig: str = ""
    kubecontext: str = ""
    namespace: str = ""
    in_pod: bool = False

    @property
    def on_kubernetes(self) -> bool:
        return bool(self.kubeconfig or self.kubecontext or self.in_pod)

    @property
    def addresses(self) -> tuple[str, ...]:
        given = (*((self.server,) if self.server else ()), *self.servers)
        return tuple(dict.fromkeys(address.rstrip("/") for address in given)) or (DEFAULT_SERVER,)


class Contexts(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    current: str = ""
    contexts: Mapping[str, Context] = {}


def path(flags: Flags | None = None) -> Path:
    given = (flags or current()).config
    return Path(os.path.expanduser(given)) if given else Path.home() / ".fingerpost" / "config.yaml"


def load(*, must_exist: bool | None = None) -> Contexts:
    """An absent default file is as good as an empty one; one that was named must be there. Raises Failed."""
    where = path()
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        if bool(current().config) if must_exist is None else must_exist:
            raise usage(f"the contexts file {where} does not exist", f"create it: {_SHAPE}") from None
        return Contexts()
    except OSError as e:
        raise usage(f"the contexts file {where} cannot be read: {e.strerror}", _OTHER_FILE) from e
    except UnicodeDecodeError as e:
        raise usage(f"the contexts file {where} is no text", "name another with --config, or correct it") from e
    import yaml

    try:
        return msgspec.convert(yaml.safe_load(text) or {}, Contexts)
    except yaml.YAMLError as e:
        raise usage(
            f"the contexts file {where} is not YAML: {' '.join(str(e).split())}", f"its form is {_SHAPE}"
        ) from e
    except msgspec.ValidationError as e:
        raise usage(f"the contexts file {where}: {e}", f"its form is {_SHAPE}") from e


def save(contexts: Contexts) -> Path:
    """Atomically."""
    from ctl.output import as_yaml

    where = path()
    value: Any = msgspec.to_builtins(contexts)
    fresh = where.with_name(f".{where.name}.{os.getpid()}")
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(as_yaml(value) + "\n", encoding="utf-8")
        fresh.replace(where)
    except OSError as e:
        raise usage(f"the contexts file {where} cannot be written: {e.strerror}", _OTHER_FILE) from e
    return where


def chosen() -> tuple[str, Context]:
    """The context in use and its name. A kubeconfig or its context that was named wins over the contexts file, which
    wins over the kubeconfig that is there anyway; without any of these, a server at the default address. Raises Failed.
    """
    flags = current()
    if flags.kubeconfig or flags.kubecontext:
        return flags.kubecontext, Context(kubeconfig=flags.kubeconfig, kubecontext=flags.kubecontext)
    contexts = load()
    if not contexts.contexts and (found := _of_kubernetes(flags)) is not None:
        return flags.context, found
    name = flags.context or contexts.current
    if not name:
        only = list(contexts.contexts)
        if len(only) != 1:
            if only:
                raise usage(f"no context is chosen, there are {', '.join(only)}", "fingerpost config use NAME")
            return "", Context()
        name = only[0]
    found = contexts.contexts.get(name)
    if found is None:
        from fingerpost.api.likeness import did_you_mean

        there = ", ".join(sorted(contexts.contexts)) or "none"
        raise usage(
            f"there is no context {name} in {path()}; there are: {there}{did_you_mean(name, contexts.contexts)}",
            NO_CONTEXT,
        )
    for called, address in _addressed(found):
        check_address(f"{called} of context {name} in {path()}", address)
    return name, found


def _addressed(context: Context) -> Iterator[tuple[str, str]]:
    yield from (("the server", address) for address in context.addresses)
    yield from ((f"the agent of {cluster}", address) for cluster, address in context.agents.items())


def check_address(called: str, text: str) -> None:
    """Raises Failed."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        sound = False
    if not sound:
        raise usage(f'{called} is "{text}", which is no address', f"write http://HOST:PORT, such as {DEFAULT_SERVER}")


def of_cluster(purpose: str, remedy: str = "name the cluster with --kubecontext or --kubeconfig") -> Context:
    """The context in use, for what only an API server can do. Raises Failed."""
    name, context = chosen()
    if not context.on_kubernetes:
        none = f"there is no kubeconfig (neither KUBECONFIG nor {_USUAL})"
        raise usage(f"{purpose}; {f'the context {name} is no cluster' if name else none}", remedy)
    return context


def _of_kubernetes(flags: Flags) -> Context | None:
    """The kubeconfig that other tools would use, or the account of the pod that this runs in."""
    given = usual_kubeconfig()
    if os.environ.get("KUBECONFIG") or any(Path(one).is_file() for one in given.split(os.pathsep) if one):
        return Context(kubeconfig=given, kubecontext=flags.context)
    return Context(in_pod=True) if _ACCOUNT.is_file() and "KUBERNETES_SERVICE_HOST" in os.environ else None


def usual_kubeconfig() -> str:
    """A file, or several as `KUBECONFIG` lists them."""
    return os.environ.get("KUBECONFIG") or str(Path(_USUAL).expanduser())
