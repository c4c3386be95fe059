"""Traces are sent where they can be; a process starts without them."""

from __future__ import annotations

import sys

import pytest
from structlog.testing import capture_logs

from fingerpost.tracing import REMEDY, tracing

EXPORTER = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"


@pytest.mark.spec("M-79")
async def test_who_cannot_send_traces_starts_and_says_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """xds-protos brings older files of a package of the exporter: after it, the exporter cannot be imported."""
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    with capture_logs() as logs:
        async with tracing("http://127.0.0.1:4317", "fingerpost-mgmt", "0", {}) as tracer:
            assert not tracer.on
    assert [(entry["event"], entry["remedy"]) for entry in logs] == [("tracing.unavailable", REMEDY)]


@pytest.mark.spec("M-79")
async def test_this_installation_can_send_traces() -> None:
    async with tracing("http://127.0.0.1:9", "fingerpost-mgmt", "0", {}) as tracer:
        assert tracer.on
