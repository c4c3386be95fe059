"""The values of flags and arguments as they were typed, looked at for all commands alike before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from ctl.exits import Failed, usage

_F = TypeVar("_F", bound=Callable[..., Any])
# Flags that mean nothing whatever their value is.
_MAY_BE_EMPTY = frozenset({"--license"})


class Command(TyperCommand):
    """Refuses an empty value, which would be taken for none: a scope that is empty would be everything."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        typed = self._typed(ctx, args)
        for param in self.get_params(ctx):
            value = typed.get(param.name or "")
            check_not_empty(_called(param), value, required=param.required)
            if param.param_type_name == "option" and not param.multiple and isinstance(value, list):
                check_one(_called(param), value)
        return super().parse_args(ctx, args)

    def _typed(self, ctx: Any, args: list[str]) -> dict[str, Any]:
        """Of a flag that takes one value, all that were given: the last would count."""
        parser = self.make_parser(ctx)
        for option in (*parser._short_opt.values(), *parser._long_opt.values()):
            if option.action == "store":
                option.action = "append"
        typed, _, _ = parser.parse_args(args=list(args))
        return typed


class Commands(typer.Typer):
    """A group whose commands are of this kind."""

    def command(self, *args: Any, **more: Any) -> Callable[[_F], _F]:
        return super().command(*args, **{"cls": Command, **more})


def check_not_empty(called: str, value: Any, *, required: bool = False) -> None:
    """`value`: one or several texts; anything else is none. Raises Failed."""
    given = value if isinstance(value, (list, tuple)) else (value,)
    if called not in _MAY_BE_EMPTY and any(isinstance(one, str) and not one.strip() for one in given):
        raise _empty(called, required)


def check_one(called: str, values: Sequence[str]) -> None:
    """Raises Failed: they contradict each other."""
    if len(set(values)) > 1:
        raise usage(f"{called} is given several times, with {', '.join(dict.fromkeys(values))}", "give it once")


def _empty(called: str, required: bool) -> Failed:
    instead = "" if required else ", or leave it away where none is meant"
    return usage(f"{called} is empty", f"give it a value{instead}; is a variable of a script not set?")


def _called(param: Any) -> str:
    if param.param_type_name == "option":
        return str(param.opts[0])
    return f"the argument {(param.metavar or str(param.name).upper()).strip('[]')}"
