"""Worlds of the tests of `explain`, and the examples."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "explain"))

from explain_world import table, world

from mgmt.translate.graph.ownership import Place

EXAMPLES = Path(__file__).parents[3] / "examples"
PLACE = Place(cluster="mgmt", admin_namespace="gloo-mesh")

__all__ = ["EXAMPLES", "PLACE", "table", "world"]
