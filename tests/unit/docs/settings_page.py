"""Writes docs/settings.md from the settings' structs: `.venv/bin/python tests/unit/docs/settings_page.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.settings import Settings as AgentSettings
from fingerpost.config import described
from mgmt.settings import Settings as ServerSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"
_HEAD = """\
<!-- Written by tests/unit/docs/settings_page.py. -->
# Settings

Both processes take a setting from a flag (`--state-dir`), a variable of the environment (`FINGERPOST_MGMT_STATE_DIR`,
`FINGERPOST_AGENT_STATE_DIR`), a YAML file given with `--settings` (`state_dir: ...`), or its default; the first of
these wins. `--help` shows the same as this page. A setting that cannot work ends the process at its start with 1 and
a message.

The tables come from `mgmt/settings.py` and `agent/settings.py`, and a test compares them. After a change there:
`.venv/bin/python tests/unit/docs/settings_page.py`.
"""


def page() -> str:
    parts = [_HEAD, _table("The management server: `fingerpost-mgmt`", ServerSettings)]
    return "\n".join([*parts, _table("The agent: `fingerpost-agent`", AgentSettings)])


def _table(title: str, kind: Any) -> str:
    rows = ["| setting | meaning | allowed | default |", "| --- | --- | --- | --- |"]
    for one in described(kind):
        rows.append(f"| `{one.name}` | {one.meaning} | {one.allowed} | {one.default or 'must be given'} |")
    return "\n".join([f"## {title}", "", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
