"""The global flags, which may stand before and after the sub-command (C-6): taken out before typer sees the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from ctl.durations import seconds
from ctl.exits import usage
from ctl.typed import check_not_empty, check_one

FORMATS = ("table", "wide", "json", "yaml", "name")
HELP = """\b
Global flags, before or after the command:
  -o, --output table|wide|json|yaml|name|jsonpath=EXPR
  -n, --namespace NS    --context NAME    --config PATH
  --kubeconfig PATH     --kubecontext NAME    --mgmt-namespace NS
  --timeout 30s         --request-timeout 5s
  -q, --quiet           -v, --verbose     --no-color"""

_WITH_VALUE = {
    "-o": "output",
    "--output": "output",
    "-n": "namespace",
    "--namespace": "namespace",
    "--config": "config",
    "--context": "context",
    "--kubeconfig": "kubeconfig",
    "--mgmt-kubeconfig": "kubeconfig",
    "--kubecontext": "kubecontext",
    "--mgmt-context": "kubecontext",
    "--mgmt-namespace": "mgmt_namespace",
    "--timeout": "timeout",
    "--request-timeout": "request_timeout",
}
# How an answer looks and how long it may take: an alias of a shell may have them, and be overruled. All else is whom
# and what is asked about.
_LAST_COUNTS = frozenset({"output", "timeout", "request_timeout"})
_SWITCHES = {
    "-v": "verbose",
    "--verbose": "verbose",
    "-q": "quiet",
    "--quiet": "quiet",
    "--no-color": "no_color",
}
# Of these commands `-o` after the command's name is an own flag: the folder to write to (cli.md §4.3).
_OWN_OUTPUT = frozenset({"translate"})
# Values of these are never taken for flags, whatever they look like.
_VALUES_OF_OTHERS = frozenset({"--header", "--query", "--method", "-f", "--file", "--set", "--label"})
_FROM_ENVIRONMENT = {
    "FINGERPOST_OUTPUT": "output",
    "FINGERPOST_NAMESPACE": "namespace",
    "FINGERPOST_CONTEXT": "context",
    "FINGERPOST_CONFIG": "config",
    "FINGERPOST_KUBECONTEXT": "kubecontext",
    "FINGERPOST_MGMT_NAMESPACE": "mgmt_namespace",
}
ADMIN_NAMESPACE = "gloo-mesh"


class Flags(NamedTuple):
    """`wait` None: the command's own default. `namespace` empty: all. `kubeconfig` and `kubecontext`: of the management
    cluster; `mgmt_namespace`: where its server runs.
    """

    output: str = "table"
    namespace: str = ""
    config: str = ""
    context: str = ""
    wait: float | None = None
    request_timeout: float = 5.0
    verbose: bool = False
    quiet: bool = False
    no_color: bool = False
    kubeconfig: str = ""
    kubecontext: str = ""
    mgmt_namespace: str = ""

    @property
    def admin_namespace(self) -> str:
        return self.mgmt_namespace or ADMIN_NAMESPACE

    @property
    def timeout(self) -> float:
        return 30.0 if self.wait is None else self.wait

    @property
    def structured(self) -> bool:
        return self.output in ("json", "yaml") or self.output.startswith("jsonpath=")


_current: ContextVar[Flags] = ContextVar("flags", default=Flags())  # noqa: B039  (a tuple)


def current() -> Flags:
    return _current.get()


def use(flags: Flags) -> None:
    _current.set(flags)


def about_installation() -> None:
    """For commands that are about no users' objects: -n names the namespace of the management server."""
    flags = _current.get()
    if flags.namespace and not flags.mgmt_namespace:
        _current.set(flags._replace(mgmt_namespace=flags.namespace, namespace=""))


def hoist(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> tuple[Flags, list[str]]:
    """The flags and what is left. The format is looked at first, so that even a wrong flag is reported in it."""
    found: dict[str, str] = {name: environment[v] for v, name in _FROM_ENVIRONMENT.items() if environment.get(v)}
    switches: dict[str, bool] = {}
    rest: list[str] = []
    typed: list[tuple[str, str]] = []
    i = 0
    while i < len(arguments):
        argument = arguments[i]
        i += 1
        if argument == "--":
            rest += arguments[i - 1 :]
            break
        flag, value = _split(argument)
        if flag in ("-o", "--output") and rest and rest[0] in _OWN_OUTPUT:
            rest.append(argument)
        elif flag in _SWITCHES and value is None:
            switches[_SWITCHES[flag]] = True
        elif flag in _WITH_VALUE:
            if value is None:
                if i == len(arguments):
                    _current.set(_made(found, switches))
                    raise usage(f"{flag} needs a value", "fingerpost --help shows the global flags")
                value, i = arguments[i], i + 1
            found[_WITH_VALUE[flag]] = value
            typed.append((flag, value))
        else:
            rest.append(argument)
            if argument in _VALUES_OF_OTHERS and i < len(arguments):
                rest.append(arguments[i])
                i += 1
    flags = _made(found, switches)
    _current.set(flags)
    if flags.output not in FORMATS and not flags.output.startswith("jsonpath="):
        _current.set(flags._replace(output="table"))
        raise usage(f'-o is "{flags.output}"', f"write one of {', '.join(FORMATS)} or jsonpath=EXPR")
    for flag, value in typed:
        check_not_empty(flag, value)
        if (name := _WITH_VALUE[flag]) not in _LAST_COUNTS:
            check_one(flag, [other for one, other in typed if _WITH_VALUE[one] == name])
    wait = seconds(found["timeout"], "--timeout") if "timeout" in found else None
    request = seconds(found["request_timeout"], "--request-timeout") if "request_timeout" in found else 5.0
    return flags._replace(wait=wait, request_timeout=request), rest


def _split(argument: str) -> tuple[str, str | None]:
    if argument.startswith("--"):
        flag, equals, value = argument.partition("=")
        return flag, value if equals else None
    if argument[:2] in ("-o", "-n") and len(argument) > 2:
        return argument[:2], argument[2:].removeprefix("=")
    return argument, None


def _made(found: Mapping[str, str], switches: Mapping[str, bool]) -> Flags:
    return Flags(
        output=found.get("output", "table"),
        namespace=found.get("namespace", ""),
        config=found.get("config", ""),
        context=found.get("context", ""),
        verbose="verbose" in switches,
        quiet="quiet" in switches,
        no_color="no_color" in switches,
        kubeconfig=found.get("kubeconfig", ""),
        kubecontext=found.get("kubecontext", ""),
        mgmt_namespace=found.get("mgmt_namespace", ""),
    )


def check_text(arguments: Sequence[str]) -> None:
    """Bytes that are no text can be sent to no server and written into no document."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            said = argument.encode("ascii", "backslashreplace").decode()
            raise usage(f'the argument "{said}" is not text in UTF-8', "write it in UTF-8") from error
