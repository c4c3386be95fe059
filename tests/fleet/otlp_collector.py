"""A collector of traces: a real gRPC server with OTLP's TraceService, which keeps what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc


class Span(NamedTuple):
    """`service` and `instance` are those of the process; ids in hex; times in Unix nanoseconds."""

    service: str
    instance: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]  # trace, span
    began: int
    ended: int
    about: dict[str, Any]


class Collector(rpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.endpoint = ""

    async def Export(self, request: pb.ExportTraceServiceRequest, context: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802
        for of_process in request.resource_spans:
            process = _values(of_process.resource.attributes)
            for scope in of_process.scope_spans:
                self.spans += [_span(raw, process) for raw in scope.spans]
        return pb.ExportTraceServiceResponse()

    def named(self, name: str, **about: Any) -> list[Span]:
        wanted = {f"fingerpost.{k}": v for k, v in about.items()}.items()
        return [s for s in self.spans if s.name == name and wanted <= s.about.items()]


def _values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def _span(raw: Any, process: dict[str, Any]) -> Span:
    return Span(
        process["service.name"],
        process["service.instance.id"],
        raw.name,
        raw.trace_id.hex(),
        raw.span_id.hex(),
        raw.parent_span_id.hex(),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in raw.links),
        raw.start_time_unix_nano,
        raw.end_time_unix_nano,
        _values(raw.attributes),
    )


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    collector, server = Collector(), grpc.aio.server()
    rpc.add_TraceServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)
