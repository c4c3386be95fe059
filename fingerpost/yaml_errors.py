"""What is wrong with a YAML text, in one line."""

from __future__ import annotations

import yaml


def in_one_line(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", "")
    return f"line {mark.line + 1}: {problem}" if mark and problem else " ".join(str(error).split())
