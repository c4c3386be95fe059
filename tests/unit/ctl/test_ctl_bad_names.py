"""Names on the command line that nothing can have: one sentence and an exit code, never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from admin_world import healthy

from ctl.__main__ import run

NAMES = ["", "../../etc/passwd", "a/b/c", "a" * 20_000, "\x1b[31mr\u00e9d\n", "?x=y&cluster=west", "\udcff\udcfe"]
COMMANDS = (
    ("get", "rt", "{}"),
    ("wait", "rt", "{}", "--timeout", "20ms"),
    ("get", "{}"),
    ("get", "rt", "--cluster", "{}"),
    ("events", "rt", "{}"),
    ("release", "{}"),
    ("explain", "route", "http://{}/x"),
    ("proxy", "bootstrap", "--cluster", "{}", "--gateway", "{}"),
    ("diff", "--delete", "rt/{}"),
    ("validate", "-f", "{}"),
    ("diff", "-f", "{}"),
    ("diff", "--delete", "rt/shop/www", "--fleet", "{}"),
)


@pytest.mark.spec("C-3", "C-4")
def test_a_bad_name_is_answered_in_words(
    environment: dict[str, str], servers: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, since there are many: `run` is all that `python -m ctl` does."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    servers(healthy())
    for command in COMMANDS:
        for name in NAMES:
            given = [part.replace("{}", name) for part in command]
            code = run([*given, "-o", "json"])
            document = json.loads(capsys.readouterr().out)
            assert code in (0, 1, 2, 4), (given, document)
            if code in (1, 2):
                assert document["findings"][0]["message"], given
            if "\x1b" in name or "\udcff" in name:
                run(given)
            said = "".join(capsys.readouterr())
            assert said.isascii(), given
            assert "\x1b" not in said, given
