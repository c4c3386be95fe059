"""Where in a YAML text a field of an object stands. Knows nothing of what the fields mean.

Fields are looked up in the composed nodes, so that comments, anchors, merges and several documents in one file do not
matter (C-30).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

_STEP = re.compile(r'\[(\d+)\]|\["([^"]*)"\]|\.?([^.\[\]]+)')
_MERGE = "<<"


def compose(text: bytes) -> list[Node]:
    """The documents that are not empty. Only for text that `documents` has read without complaint."""
    return [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if node is not None]


def line_of(node: Node, path: str) -> int:
    """The line, from 1, of the deepest field of `path` that is written; of the object itself when none is."""
    line = _first_line(node)
    for step in _steps(path):
        found = _into(node, step)
        if found is None:
            break
        line, node = found
    return line


def items_of(node: Node) -> list[Node]:
    """The nodes that a `List` stands for, in order; any other document stands for itself."""
    kind, items = _field(node, "kind"), _field(node, "items")
    if kind is None or kind[1].value != "List" or items is None or not isinstance(items[1], SequenceNode):
        return [node]
    return [found for item in items[1].value for found in items_of(item)]


def _first_line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _steps(path: str) -> Iterable[str | int]:
    for index, quoted, name in _STEP.findall(path):
        yield int(index) if index else quoted or name


def _into(node: Node, step: str | int) -> tuple[int, Node] | None:
    if isinstance(step, str):
        return _field(node, step)
    if isinstance(node, SequenceNode) and step < len(node.value):
        item = node.value[step]
        return _first_line(item), item
    return None


def _field(node: Node, name: str) -> tuple[int, Node] | None:
    """Own fields before merged ones, as in the value."""
    if not isinstance(node, MappingNode):
        return None
    merged: list[Node] = []
    for key, value in node.value:
        if key.value == name:
            return _first_line(key), value
        if key.value == _MERGE:
            merged += value.value if isinstance(value, SequenceNode) else [value]
    return next((found for other in merged if (found := _field(other, name)) is not None), None)
