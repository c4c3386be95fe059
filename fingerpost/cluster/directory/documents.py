"""YAML text to plain JSON values, read the way kubectl reads it: dates stay text, keys are text, a key given twice
is a mistake.

Knows nothing of Kubernetes objects. Nodes are composed by the C parser and turned into values here, which is several
times
faster than PyYAML's own constructors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_PREFIX = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _BOOL, _NULL, _MERGE, _BINARY = (
    _PREFIX + t for t in ("str", "int", "float", "bool", "null", "merge", "binary")
)
_MAX_DEPTH = 100
_NODES_PER_BYTE = 20  # aliases may repeat a node; more than this is an expansion bomb and no manifest
_NODES_FREE = 10_000
_SUSPECT = 1_000

_CONSTANTS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _word, _value in (("true", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False)):
    _CONSTANTS |= {_word: _value, _word.capitalize(): _value, _word.upper(): _value}
_TAGS = {text: _NULL if value is None else _BOOL for text, value in _CONSTANTS.items()} | {"<<": _MERGE}
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class NotYaml(Exception):
    """The text cannot be read; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class Document(NamedTuple):
    """One document of a file; `number` and `line` count from 1."""

    number: int
    line: int
    value: Any


class _Composer(CParser):
    """The C parser with the scalar rules of kubectl instead of PyYAML's resolver."""

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        if kind is not ScalarNode:
            return _PREFIX + ("map" if kind is MappingNode else "seq")
        return _tag(value or "") if implicit[0] else _STR

    def descend_resolver(self, current_node: Any, current_index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...


def _tag(text: str) -> str:
    known = _TAGS.get(text)
    if known is not None:
        return known
    if text[0] in _NUMBER_STARTS:
        if _INTEGER.fullmatch(text):
            return _INT
        if _DECIMAL.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            return _FLOAT
    return _STR


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _integer(text: str) -> int | float:
    digits = text.replace("_", "")
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = "0o" + digits
    number = sign * int(digits, 0)
    return number if -(2**63) <= number < 2**64 else float(number)


def _decimal(text: str) -> int | float:
    """A whole number is written without a fraction, as Go's encoder does."""
    number = math.nan if _NOT_FINITE.fullmatch(text) else float(text.replace("_", ""))
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


class _Values:
    """Turns the nodes of one text into values, within a budget of nodes."""

    def __init__(self, size: int) -> None:
        self.left = _NODES_FREE + _NODES_PER_BYTE * size

    def of(self, node: Node, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0:
            raise NotYaml(_line(node), "its aliases expand to far more than was written; write the values out")
        if depth > _MAX_DEPTH:
            raise NotYaml(_line(node), f"it is nested more than {_MAX_DEPTH} levels deep")
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, depth + 1)
        return [self.of(item, depth + 1) for item in node.value]

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += self._merge(value_node, depth)
                continue
            key = _key(key_node)
            if key in out:
                raise NotYaml(_line(key_node), f'the key "{key}" is given twice in one mapping; keep one of them')
            out[key] = self.of(value_node, depth)
        for other in merged:
            for key, value in other.items():
                out.setdefault(key, value)
        if None in out.values():  # to Kubernetes a field that is null is a field that is not there
            return {key: value for key, value in out.items() if value is not None}
        return out

    def _merge(self, node: Node, depth: int) -> list[dict[str, Any]]:
        parts: list[Node] = node.value if isinstance(node, SequenceNode) else [node]
        out = []
        for part in parts:
            if not isinstance(part, MappingNode):
                raise NotYaml(_line(part), 'only a mapping can be merged with "<<"')
            out.append(self._mapping(part, depth + 1))
        return out


def _key(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise NotYaml(_line(node), "a key must be text, not a list or a mapping")
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


_SCALARS: dict[str, Callable[[str], Any]] = {
    _INT: _integer,
    _FLOAT: _decimal,
    _BOOL: lambda text: _CONSTANTS[text],
    _NULL: lambda text: None,
    _BINARY: lambda text: text,
}


def _scalar(node: ScalarNode) -> Any:
    tag, text = node.tag, node.value
    if tag == _STR:
        return text
    if tag not in _SCALARS:
        raise NotYaml(_line(node), f"the tag {tag.replace(_PREFIX, '!!')} is not known here; remove it")
    try:
        value = _SCALARS[tag](text)
    except (ValueError, KeyError, IndexError) as error:
        raise NotYaml(_line(node), f'"{text}" does not fit the tag {tag.replace(_PREFIX, "!!")}') from error
    if isinstance(value, float) and not math.isfinite(value):
        raise NotYaml(_line(node), f'"{text}" is a number that no object can hold; put it in quotes if it is text')
    return value


def documents(text: bytes) -> list[Document]:
    """All documents that are not empty. Raises NotYaml."""
    values, out, number = _Values(len(text)), [], 0
    composer = None
    try:
        if len(text) > _SUSPECT and _too_deep(text):
            raise NotYaml(1, f"it is nested more than {_MAX_DEPTH} levels deep")
        composer = _Composer(text)
        while composer.check_node():
            node: Any = composer.get_node()
            number += 1
            value = values.of(node)
            if value is not None:
                out.append(Document(number, _line(node), value))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        begun = f"(begun in line {error.context_mark.line + 1})" if error.context and error.context_mark else ""
        reason = " ".join(part for part in (error.context, begun, error.problem) if part)
        raise NotYaml(mark.line + 1 if mark else 1, reason or "it cannot be parsed") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise NotYaml(1, f"it is not text in UTF-8: {' '.join(str(error).split())}") from error
    finally:
        if composer is not None:
            composer.dispose()
    return out


def _too_deep(text: bytes) -> bool:
    """The composer recurses in C, so depth is measured beforehand; only text that could be deep pays for it.

    A level of nesting costs a bracket, or a column of some line.
    """
    if text.count(b"[") + text.count(b"{") <= _SUSPECT and max(map(len, text.splitlines()), default=0) <= _SUSPECT:
        return False
    depth = 0
    events = CParser(text)
    try:
        while events.check_event():
            event = events.get_event()
            if isinstance(event, CollectionStartEvent):
                depth += 1
                if depth > _SUSPECT:
                    return True
            elif isinstance(event, CollectionEndEvent):
                depth -= 1
    finally:
        events.dispose()
    return False
