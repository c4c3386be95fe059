"""RetryTimeoutPolicy: it has no model yet, hence only what is certain is said here and all else stays open (M-67)."""

from __future__ import annotations

from fingerpost.crd.schema import open_object

_ATTEMPTS = {"type": "integer", "format": "int32", "minimum": 0}
SPEC = open_object(config=open_object(retries=open_object(attempts=_ATTEMPTS)))
