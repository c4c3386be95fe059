"""The part of kubectl's JSONPath that scripts use: fields, `[n]`, `[*]`, `..` not, filters not. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from ctl.exits import usage

_STEP = re.compile(r"""\.?([A-Za-z_][\w-]*|\*)|\[(-?\d+|\*)\]|\[['"]([^'"\]]+)['"]\]""")
_BLOCK = re.compile(r"\{([^{}]*)\}")
_REMEDY = "write fields, [n] or [*], such as .items[*].cluster"
_ESCAPES = {'"\\n"': "\n", '"\\t"': "\t"}


def evaluate(expression: str, document: Any) -> str:
    """`{.items[*].metadata.name}` or a bare `.items[0].cluster`; text between braces is kept. Raises Failed."""
    if not expression.strip():
        raise usage("-o jsonpath= names nothing", _REMEDY)
    if "{" not in expression and "}" not in expression:
        expression = "{" + expression + "}"
    if re.search(r"[{}]", _BLOCK.sub("", expression)) or not all(b[1].strip() for b in _BLOCK.finditer(expression)):
        raise usage(f"-o jsonpath={expression}: a brace is open, or nothing is between two", _REMEDY)
    out, at = [], 0
    for block in _BLOCK.finditer(expression):
        out.append(expression[at : block.start()])
        inner = block[1].strip()
        out.append(_ESCAPES[inner] if inner in _ESCAPES else " ".join(map(_text, _found(inner, document, expression))))
        at = block.end()
    out.append(expression[at:])
    return "".join(out)


def _found(path: str, document: Any, expression: str) -> list[Any]:
    path = path.removeprefix("$").removeprefix("@")
    values, at = [document], 0
    if path == ".":
        return values
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise usage(
                f'-o jsonpath={expression}: cannot read "{path[at:]}"',
                _REMEDY,
            )
        at = step.end()
        name = step[1] or step[2] or step[3]
        values = [found for value in values for found in _step(value, name, indexed=step[2] is not None)]
    return values


def _step(value: Any, name: str, *, indexed: bool) -> list[Any]:
    if name == "*":
        return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    if indexed:
        index = int(name)
        return [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []
    return [value[name]] if isinstance(value, dict) and name in value else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
