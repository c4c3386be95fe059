"""`--timeout` for what this process works out by itself: where one is given, it ends the work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Never, ParamSpec

from ctl.exits import Code, Failed
from ctl.flags import current

_P = ParamSpec("_P")


def in_time(command: Callable[_P, int]) -> Callable[_P, int]:
    """The command raises Failed when its time is over. Without a `--timeout` it takes the time that it needs."""

    @wraps(command)
    def limited(*args: _P.args, **kwargs: _P.kwargs) -> int:
        limit = current().wait
        if limit is None or threading.current_thread() is not threading.main_thread():  # where signals go
            return command(*args, **kwargs)

        def over(*_: Any) -> Never:
            message, hint = f"not worked out within {limit:g}s", "give a longer --timeout, or none"
            raise Failed(Code.TIMEOUT, message, hint)

        former = signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, max(limit, 0.001))
        try:
            return command(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)

    return limited
