"""Imported first by the programs that run for long: what has to be settled before others are imported."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines are no JSON
# structlog loads it where it is installed, for tracebacks in colours that no log of ours has: 4 MB.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # as Python's own documentation has it
