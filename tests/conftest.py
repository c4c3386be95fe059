"""For all tests: gRPC keeps its own log to itself, which would otherwise mix with the report."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
