"""Settings of a process: one frozen struct, merged once from defaults, a YAML file, the environment and flags, in this
order.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

S = TypeVar("S", bound=msgspec.Struct)


class BadSettings(ValueError):
    """The message names the setting, the value found and where it came from."""


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _hook(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}, got {value!r}")


def load(kind: type[S], prefix: str, argv: Sequence[str], environ: Mapping[str, str], about: str) -> S:
    """`prefix` is that of the environment variables, as in FINGERPOST_AGENT_. Raises BadSettings; `--help` exits."""
    parser = argparse.ArgumentParser(description=about, allow_abbrev=False)
    parser.add_argument("--settings", metavar="FILE", help="YAML with the same names")
    fields = msgspec.structs.fields(kind)
    for field in fields:
        default = "" if field.required else f" (default: {field.default!r})"
        parser.add_argument(_flag(field.encode_name), dest=field.encode_name, help=f"{field.encode_name}{default}")
    given = vars(parser.parse_args(argv))
    values: dict[str, Any] = {}
    if given.get("settings"):
        values |= _from_file(Path(given["settings"]), {f.encode_name for f in fields})
    values |= {f.encode_name: environ[name] for f in fields if (name := prefix + f.encode_name.upper()) in environ}
    values |= {name: value for name, value in given.items() if value is not None and name != "settings"}
    missing = [_flag(f.encode_name) for f in fields if f.required and f.encode_name not in values]
    if missing:
        raise BadSettings(f"missing: {', '.join(missing)} (or {prefix}... in the environment)")
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_hook)
    except msgspec.ValidationError as wrong:
        raise BadSettings(str(wrong).replace("`$.", "`")) from wrong


def _from_file(path: Path, known: set[str]) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as wrong:
        raise BadSettings(f"{path}: {wrong}") from wrong
    if not isinstance(found, dict):
        raise BadSettings(f"{path}: expected names and values")
    unknown = sorted(set(found) - known)
    if unknown:
        raise BadSettings(f"{path}: unknown setting {unknown[0]}; known are {', '.join(sorted(known))}")
    return found
