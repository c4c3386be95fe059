"""The incremental engine of the translator (design D3): keyed collections, steps that remember what they read, folds.

It knows nothing of routes or gateways. A change is pushed along reverse dependencies, equal output stops the wave, and
a step that
raises keeps its last good output.
"""

from mgmt.translate.engine.collections import Collection, Context, Index, Input
from mgmt.translate.engine.graph import Engine, Failure
from mgmt.translate.engine.steps import Present

__all__ = ["Collection", "Context", "Engine", "Failure", "Index", "Input", "Present"]
