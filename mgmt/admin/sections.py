"""What a section of `check` is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Found = Iterator[dict[str, Any]]


def table(columns: tuple[str, ...], rows: list[list[str]]) -> dict[str, Any]:
    return {"columns": list(columns), "rows": rows}


def section(title: str, *, info: list[str], tables: list[dict[str, Any]], found: Found) -> dict[str, Any]:
    return {"title": title, "info": info, "tables": [t for t in tables if t["rows"]], "findings": list(found)}
