"""For all tests: gRPC keeps its own log to itself, which would otherwise mix with the report; no case fails for the
time that it takes; a process that a test starts heeds SIGINT also where the tests run in the background of a shell.
"""

from __future__ import annotations

import os
import signal

from hypothesis import settings

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
