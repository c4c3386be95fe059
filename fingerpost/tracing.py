"""One trace per change over all processes (relay.md §13.4). The context travels in the relay as a W3C `traceparent`.

Spans are made after the fact, from moments that are known anyway: the work itself is never wrapped. Without an
endpoint nothing is made and nothing is sent, but what came in goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from fingerpost.cluster.protocol import Batch

log = structlog.get_logger()
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
REMEDY = "pip install --no-deps --force-reinstall opentelemetry-proto"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_PATIENCE = 3.0  # seconds at the end, for what has not been sent
NAMED = 8  # objects that a span names; it counts all
_AGAIN = 60.0  # seconds between two complaints about the collector
Attributes = Mapping[str, str | int]


class Tracer:
    """Moments are Unix nanoseconds. A span's own context is returned as a `traceparent`, "" where nothing is traced:
    this one, without an endpoint, traces nothing.
    """

    on = False

    def span(
        self,
        name: str,
        parent: str,
        began: int,
        ended: int,
        links: Iterable[str] = (),
        attributes: Attributes | None = None,
        failed: str = "",
    ) -> str:
        """Without a `parent` a trace begins. One that cannot be read counts as none."""
        return ""

    def close(self) -> None:
        return None


class Traced(Tracer):
    """Sends to an OTLP endpoint by gRPC, from a thread of its own, in batches. When nobody takes them they are dropped
    and the work goes on. The variables `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER` and `OTEL_BSP_*` are heeded.
    """

    on = True

    def __init__(self, endpoint: str, service: str, version: str, resource: Mapping[str, str]) -> None:
        # what needs no endpoint needs not know how to send; 15 MiB
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        described = {"service.name": service, "service.version": version, **resource}
        self._provider = TracerProvider(resource=Resource.create(described), shutdown_on_exit=False)
        plain = None if endpoint.startswith(("https://", "http://")) else True
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=plain)))
        self._tracer = self._provider.get_tracer("fingerpost", version)

    def span(
        self,
        name: str,
        parent: str,
        began: int,
        ended: int,
        links: Iterable[str] = (),
        attributes: Attributes | None = None,
        failed: str = "",
    ) -> str:
        context = set_span_in_context(NonRecordingSpan(read(parent) or _NOTHING))
        linked = [Link(found) for link in links if (found := read(link)) is not None]
        span: Span = self._tracer.start_span(name, context, SpanKind.INTERNAL, attributes, linked, start_time=began)
        if failed:
            span.set_status(Status(StatusCode.ERROR, failed))
        span.end(max(began, ended))
        return written(span.get_span_context())

    def close(self) -> None:
        """Blocks until all is sent, or a little longer than it takes to see that nobody is there."""
        self._provider.shutdown()


_NOTHING = SpanContext(0, 0, is_remote=False)


def read(traceparent: str) -> SpanContext | None:
    """None for what is no `traceparent`: it may come from anybody."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    context = SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(int(found[3], 16)))
    return context if context.is_valid else None


def written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def trace_of(traceparent: str) -> str:
    """The trace's id in hex; "" for what is no `traceparent`."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def sighted(tracer: Tracer, batch: Batch) -> str:
    """A trace begins: the source of a cluster has brought changes. Of a listing nobody knows when they were made."""
    if not tracer.on or batch.listed or not batch.changes:
        return ""
    named = ", ".join(str(change.key) for change in batch.changes[:NAMED])
    about: Attributes = {"fingerpost.objects": named, "fingerpost.objects.count": len(batch.changes)}
    return tracer.span("change.seen", "", batch.seen_unix_nanos, time.time_ns(), attributes=about)


@asynccontextmanager
async def tracing(endpoint: str, service: str, version: str, resource: Mapping[str, str]) -> AsyncIterator[Tracer]:
    """`endpoint` is `http://host:4317`, or `https://` for TLS; empty: what OTEL_EXPORTER_OTLP_ENDPOINT says."""
    chosen = endpoint or os.environ.get(ENDPOINT, "")
    if not chosen:
        yield Tracer()
        return
    try:
        tracer = Traced(chosen, service, version, resource)
    except ImportError as e:  # xds-protos has older files of opentelemetry-proto and may have been installed after it
        log.warning("tracing.unavailable", reason=str(e), remedy=REMEDY)
        yield Tracer()
        return
    try:
        yield tracer
    finally:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            tracer.close()
            with suppress(RuntimeError):  # the loop has not waited
                loop.call_soon_threadsafe(closed.set)

        # Not in the loop's executor: an end that waits for nobody's collector must not wait for ever.
        threading.Thread(target=close, name="tracing.close", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await closed.wait()


class _Logged(logging.Handler):
    """The SDK tells of a collector that is away with each batch; here it is told once a minute, as the others are."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.created - self._told > _AGAIN:
            self._told = record.created
            log.warning("tracing.export.failed", reason=record.getMessage())


_sdk = logging.getLogger("opentelemetry")
_sdk.addHandler(_Logged())
_sdk.propagate = False
