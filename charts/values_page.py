"""Writes docs/values.md from the comments of the charts' values.yaml: `python -m charts.values_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_HERE = Path(__file__).parent
PAGE = _HERE.parent / "docs" / "values.md"
_HEAD = """<!-- made by charts/values_page.py from the comments in charts/*/values.yaml; do not edit -->
# Values of the charts

A key that is not known is refused with its path, values that cannot work with what to do instead
(`charts/gloo-platform/templates/_refusals.tpl` lists what goes wrong together). A key with nothing after the colon is
the default where that is empty, `false` or 0, and for the Secrets of the relay; `resources` are not asked for then; any
other is refused with its path (`missing property`): leave the key out for its default.

Values files for the reference can be used as they are: what has no effect in this version is listed at the end, and is
said at each installation and in the ConfigMap `gloo-platform-warnings`. Licence keys are accepted and ignored.
"""


class Value(NamedTuple):
    path: str
    default: str
    meaning: str


def values(text: str) -> Iterator[Value]:
    """Every key with a comment above it; the value of one with keys of its own is those."""
    lines = text.splitlines()
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("values are a mapping; write `name: value`")
    yield from _below(root, (), lines, yaml.SafeLoader(""))


def _below(node: yaml.MappingNode, path: tuple[str, ...], lines: list[str], loader: Any) -> Iterator[Value]:
    for key, value in node.value:
        here = (*path, key.value)
        comment = _above(key.start_mark.line, lines)
        if isinstance(value, yaml.MappingNode) and value.value and not comment:
            yield from _below(value, here, lines, loader)
            continue
        if not comment:
            raise ValueError(f"{'.'.join(here)} in line {key.start_mark.line + 1} has no comment; say what it means")
        found = loader.construct_object(value, deep=True)
        default = (
            "" if found in ("", [], {}) else f"`{yaml.safe_dump(found, default_flow_style=True).split(chr(10))[0]}`"
        )
        yield Value(".".join(here), default, comment)


def _above(line: int, lines: list[str]) -> str:
    found: list[str] = []
    while line and lines[line - 1].lstrip().startswith("# "):
        line -= 1
        found.insert(0, lines[line].lstrip("# "))
    return " ".join(found)


def page() -> str:
    parts = [_HEAD]
    for chart in ("gloo-platform", "gloo-platform-crds"):
        parts += [f"## {chart}\n", "| value | default | meaning |\n| --- | --- | --- |"]
        for one in values((_HERE / chart / "values.yaml").read_text()):
            parts.append(f"| `{one.path}` | {one.default} | {one.meaning} |")
        parts.append("")
    parts += ["## Without effect in this version\n", "| value | why |\n| --- | --- |"]
    for entry in yaml.safe_load((_HERE / "gloo-platform" / "files" / "unsupported.yaml").read_text()):
        parts.append(f"| `{entry['path']}{'.*' if entry.get('each') else ''}` | {entry['says']} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
