"""A server or an agent as a process whose clock a test puts forward: `python -m tests.fleet.clockwork MODULE AHEAD
FLAGS…`. It is AHEAD seconds ahead of ours, and each SIGUSR1 moves it by as much as `DAY`.

Only its own clock: gRPC, Redis, and the proxies keep ours.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import uvloop

from tests.fleet.fleet_processes import Process

DAY = 24 * 3600.0
_OURS = ("agent", "fingerpost", "mgmt")


class _Clock:
    ahead = 0.0

    @classmethod
    def day(cls, *_: object) -> None:
        cls.ahead += DAY


class _Later(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=_Clock.ahead)


def _put_forward(ahead: float) -> None:
    seconds, steady, nanoseconds = time.time, time.monotonic, time.time_ns
    _Clock.ahead = ahead
    vars(time)["time"] = lambda: seconds() + _Clock.ahead
    vars(time)["monotonic"] = lambda: steady() + _Clock.ahead
    vars(time)["time_ns"] = lambda: nanoseconds() + int(_Clock.ahead * 1e9)
    vars(uvloop)["run"] = asyncio.run  # whose loop reads `time.monotonic`
    signal.signal(signal.SIGUSR1, _Clock.day)


def _date_ours() -> None:
    """The module `datetime` as our modules see it; libraries need the real type."""
    later = ModuleType("datetime")
    vars(later).update(vars(datetime), datetime=_Later)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _OURS and getattr(module, "datetime", None) is datetime:
            vars(module)["datetime"] = later


def started(module: str, log: Path, settings: msgspec.Struct, ahead: float = 0.0) -> Process:
    """With flags for all settings that are not as they are by themselves."""
    flags = []
    for field in msgspec.structs.fields(settings):
        if (value := getattr(settings, field.name)) != field.default:
            said = str(value).lower() if isinstance(value, bool) else value
            flags.append(f"--{field.encode_name.replace('_', '-')}={said}")
    return Process([sys.executable, "-m", "tests.fleet.clockwork", module, str(ahead), *flags], log)


if __name__ == "__main__":
    _, module, ahead, *rest = sys.argv
    _put_forward(float(ahead))
    program = importlib.import_module(f"{module}.__main__")
    _date_ours()
    sys.argv = [module, *rest]
    program.main()
