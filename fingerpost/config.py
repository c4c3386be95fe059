"""Settings of a process: one frozen struct, merged once from defaults, a YAML file, the environment and flags, in this
order.

The types here say what a setting must be; the description in each, and the docstring under the setting, are what a
person is told.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
import yaml
from msgspec import Meta

from fingerpost.api.limits import CLUSTER_NAME, CLUSTER_NAME_RULE

S = TypeVar("S", bound=msgspec.Struct)


_origins: ContextVar[Mapping[str, str]] = ContextVar("origins")


class BadSettings(ValueError):
    """The message names the setting, the value found, where it came from and what it must be."""


def _writable(folder: Path) -> str:
    """Why it is not; it is made when it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        return "it is a file"
    except OSError as wrong:
        return wrong.strerror or str(wrong)
    return "" if os.access(folder, os.W_OK | os.X_OK) else "permission denied"


def _readable(folder: Path) -> str:
    """A folder that is not there yet is waited for (design D8)."""
    if not os.path.exists(folder):
        return ""
    if not os.path.isdir(folder):
        return "it is a file"
    return "" if os.access(folder, os.R_OK | os.X_OK) else "permission denied"


_PORT = r"[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]"
_HOST = r"^(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)"
_IN_QUOTES = ", in a file in quotes"
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"

ClusterName = Annotated[str, Meta(pattern=rf"^{CLUSTER_NAME}\Z", description=CLUSTER_NAME_RULE)]
NamespaceName = Annotated[str, Meta(pattern=_LABEL, description="1 to 63 lower-case letters, digits and -")]
ListenAddress = Annotated[
    str,
    Meta(
        pattern=rf"{_HOST}:(0|{_PORT})\Z",
        description="HOST:PORT such as 127.0.0.1:9900, the port from 0 (any) to 65535",
    ),
]
PeerAddress = Annotated[
    str, Meta(pattern=rf"{_HOST}:({_PORT})\Z", description="HOST:PORT such as 127.0.0.1:9900, the port from 1 to 65535")
]
TrustDomain = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-._a-z0-9]{0,253}[a-z0-9])?\Z",
        description="1 to 255 lower-case letters, digits, -, . and _, as SPIFFE has it",
    ),
]
Seconds = Annotated[float, Meta(gt=0, le=86400, description="a number of seconds above 0 and up to 86400")]
Wait = Annotated[float, Meta(ge=0, le=86400, description="a number of seconds from 0 to 86400")]
Ratio = Annotated[float, Meta(gt=0, lt=1, description="a share above 0 and below 1")]
Lifetime = Annotated[float, Meta(ge=1, le=3650 * 86400, description="a number of seconds from 1 to ten years of them")]
Share = Annotated[float, Meta(ge=0, le=1, description="a share from 0 to 1")]
Count = Annotated[int, Meta(ge=0, description="a whole number from 0")]
StateFolder = Annotated[Path, Meta(description="a folder that this process can write to", extra={"refuses": _writable})]
ManifestFolder = Annotated[
    Path, Meta(description="a folder of manifests that this process can read", extra={"refuses": _readable})
]


class Described(NamedTuple):
    """A setting as a person is told of it. `default` None: it has to be given."""

    name: str
    meaning: str
    allowed: str
    default: str | None


def described(kind: type[msgspec.Struct]) -> Iterator[Described]:
    """Reads the source: a docstring under a field is kept nowhere else."""
    (struct,) = ast.parse(inspect.getsource(kind)).body
    said = {}
    for field, text in pairwise(struct.body if isinstance(struct, ast.ClassDef) else ()):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                said[name] = " ".join(words.split())
    for one in msgspec.structs.fields(kind):
        default = None if one.required else _shown(one.default)
        allowed = _wanted(one.type).removesuffix(_IN_QUOTES)
        yield Described(one.encode_name, said.get(one.name, ""), allowed, default)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default or "none")


def _file(path: Path) -> str:
    try:
        path.open("rb").close()
    except OSError as wrong:
        return wrong.strerror or str(wrong)
    return ""


KubeconfigFile = Annotated[Path, Meta(description="a kubeconfig that this process can read", extra={"refuses": _file})]
Namespaces = Annotated[tuple[str, ...], Meta(description="names with commas between them, in a file a list")]
Names = Annotated[
    tuple[Annotated[str, Meta(pattern="^[^/,]+/[^/,]+$")], ...],
    Meta(description="namespace/name with commas between them, in a file a list"),
]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _hook(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise TypeError(f"expected {kind.__name__}, got {value!r}")


def load(kind: type[S], prefix: str, argv: Sequence[str], environ: Mapping[str, str], about: str) -> S:
    """`prefix` is that of the environment variables, as in FINGERPOST_AGENT_. Raises BadSettings; `--help` exits."""
    parser = argparse.ArgumentParser(description=about, allow_abbrev=False)
    parser.add_argument("--settings", metavar="FILE", help="YAML with the same names")
    fields = msgspec.structs.fields(kind)
    told = {one.name: _help(one) for one in described(kind)} if {"-h", "--help"} & set(argv) else {}
    for field in fields:
        parser.add_argument(_flag(field.encode_name), dest=field.encode_name, help=told.get(field.encode_name))
    given = vars(parser.parse_args(argv))
    values: dict[str, tuple[str, Any]] = {}  # by name: where it comes from, and the value
    if file := given.pop("settings"):
        found = _from_file(Path(file), {f.encode_name for f in fields})
        values |= {name: (f"{name} in {file}", value) for name, value in found.items()}
    for field in fields:
        if (variable := prefix + field.encode_name.upper()) in environ:
            values[field.encode_name] = variable, environ[variable]
    values |= {name: (_flag(name), value) for name, value in given.items() if value is not None}
    missing = [_flag(f.encode_name) for f in fields if f.required and f.encode_name not in values]
    if missing:
        raise BadSettings(f"missing: {', '.join(missing)} (or {prefix}... in the environment)")
    chosen = {f.name: _converted(f.type, *values[f.encode_name]) for f in fields if f.encode_name in values}
    _origins.set({name: origin for name, (origin, _) in values.items()})
    return kind(**chosen)


def origin(name: str) -> str:
    """Where `load` found the setting: the flag, the variable, or the name in a file; else the name. For messages about
    a value that only turns out to be wrong later.
    """
    return _origins.get({}).get(name, name)


def _help(one: Described) -> str:
    default = "must be given" if one.default is None else f"default: {one.default}"
    return f"{one.meaning} Allowed: {one.allowed} ({default})".replace("%", "%%")


def _converted(kind: Any, origin: str, value: Any) -> Any:
    if kind in (Namespaces, Names) and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        found = msgspec.convert(value, kind, strict=False, dec_hook=_hook)
    except msgspec.ValidationError as wrong:
        raise BadSettings(f"{_said(origin, value)}, it must be {_wanted(kind) or wrong}") from wrong
    for meta in _metas(kind):
        refuses: Callable[[Any], str] | None = (meta.extra or {}).get("refuses")
        if refuses is not None and found is not None and (reason := refuses(found)):
            raise BadSettings(f"{_said(origin, value)}, it must be {meta.description} ({reason}); name another")
    return found


def _said(origin: str, value: Any) -> str:
    secret = "password" in origin.lower() or origin.lower().endswith("token")
    return f"{origin} is not usable" if secret else f'{origin} is "{value}"'


def _wanted(kind: Any) -> str:
    if described := next((meta.description for meta in _metas(kind) if meta.description), ""):
        return described
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return {bool: "true or false", str: f"text{_IN_QUOTES}"}.get(kind, "")


def _metas(kind: Any) -> Iterator[Meta]:
    for part in get_args(kind):
        if isinstance(part, Meta):
            yield part
        else:
            yield from _metas(part)


def _from_file(path: Path, known: set[str]) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as wrong:
        raise BadSettings(f"--settings is {path}, which cannot be read ({wrong.strerror}); correct the path") from wrong
    except (ValueError, yaml.YAMLError) as wrong:
        raise BadSettings(f"{path} is no YAML: {' '.join(str(wrong).split())}") from wrong
    if not isinstance(found, dict):
        raise BadSettings(f"{path}: expected names and values, such as state_dir: /var/lib/fingerpost")
    unknown = sorted(map(str, set(found) - known))
    if unknown:
        raise BadSettings(f"{path}: unknown setting {unknown[0]}; known are {', '.join(sorted(known))}")
    return found
