"""For all tests: gRPC keeps its own log to itself, which would otherwise mix with the report, and no case fails for the
time that it takes.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
