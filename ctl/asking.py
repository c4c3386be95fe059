"""Questions before something is lost. Without a terminal a question counts as "no" (cli.md §1.3)."""

from __future__ import annotations

import sys

from ctl.exits import Code, Failed
from ctl.output import note


def ask(what: str, *, yes: bool, must_be_said: bool = False, instead: str = "") -> None:
    """`yes`: it was answered beforehand; `must_be_said`: it has to be; `instead`: what else could be done. Raises
    Failed.
    """
    if yes:
        return
    if must_be_said or not sys.stdin.isatty():
        hint = f"{f'{instead}, or ' if instead else ''}repeat it with --yes if that is meant"
        raise Failed(Code.REFUSED, f"{what}: nothing was changed", hint, "NeedsYes")
    note(f"{what}? [y/N]" + (f" (no: {instead})" if instead else ""))
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed(Code.REFUSED, "nothing was changed", "", "NeedsYes")
