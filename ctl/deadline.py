"""`--timeout`, the time of the whole command: it begins when the flags are read, and ends questions and work alike.
Without one a command takes the time that it needs.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Never, ParamSpec, TypeVar

from ctl.exits import Code, Failed
from ctl.flags import current

_P = ParamSpec("_P")
_T = TypeVar("_T")
_TELLING = 0.25  # for questions that have ended in time to be put together
_end: ContextVar[float | None] = ContextVar("end", default=None)


def begin() -> None:
    wait = current().wait
    _end.set(None if wait is None else time.monotonic() + wait)


def left() -> float | None:
    """Seconds; None: no end."""
    end = _end.get()
    return None if end is None else max(0.0, end - time.monotonic())


def over(what: str) -> Failed:
    """`what` was not done: `not worked out`."""
    hint = "give a longer --timeout, or none"
    return Failed(Code.TIMEOUT, f"{what} within {current().wait or 0.0:g}s", hint)


def run(work: Coroutine[Any, Any, _T], grace: float = 0.0) -> _T:
    """What asks others, in an event loop. `grace`: how much later than in time it may end. Raises Failed."""
    rest = left()

    async def bounded() -> _T:
        try:
            async with asyncio.timeout(None if rest is None else rest + grace + _TELLING) as whole:
                return await work
        except TimeoutError as e:
            if whole.expired():
                raise over("no answer") from e
            raise

    with _no_alarm():
        return asyncio.run(bounded())


@contextmanager
def _no_alarm() -> Iterator[None]:
    """Raised inside a task the alarm of `in_time` would end as a group of errors: it comes when the loop has ended, and
    a little later still, so that who did not answer in time is told instead.
    """
    began = time.monotonic()
    rest, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        if rest:
            signal.setitimer(signal.ITIMER_REAL, max(rest - time.monotonic() + began, _TELLING), _TELLING)


class _Rang(BaseException):
    """Not an Exception: the translator would take that for a fault of the object that it is at."""


def in_time(command: Callable[_P, int]) -> Callable[_P, int]:
    """For what this process works out by itself. The command raises Failed when its time is over.

    The alarm rings again and again: what is raised while Python frees something (an import does so, too) is dropped.
    """

    @wraps(command)
    def limited(*args: _P.args, **kwargs: _P.kwargs) -> int:
        rest = left()
        if rest is None or threading.current_thread() is not threading.main_thread():  # where signals go
            return command(*args, **kwargs)

        def ring(*_: Any) -> Never:
            raise _Rang

        former = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(rest, 0.001), _TELLING)
        try:
            try:
                return command(*args, **kwargs)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, former)
        except _Rang:
            raise over("not worked out") from None

    return limited
