"""Metrics by OpenTelemetry, read by Prometheus. Names and labels are those of relay.md §13.2; this module adds none of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import REGISTRY, generate_latest

Series = Callable[[], Iterable[tuple[float, Mapping[str, str]]]]  # (value, labels) of each that there is now
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Telemetry:
    """Instruments are made on first use: counters by `add`, gauges by `set`, histograms by `observe`."""

    def __init__(self, service: str, version: str) -> None:
        provider = MeterProvider(
            metric_readers=[PrometheusMetricReader(disable_target_info=True)],
            resource=Resource.create({"service.name": service, "service.version": version}),
            views=[View(instrument_type=Histogram, aggregation=ExplicitBucketHistogramAggregation(BUCKETS))],
        )
        self._provider = provider
        self._meter: Meter = provider.get_meter("fingerpost")
        self._instruments: dict[str, Any] = {}
        self._watched: dict[str, list[Series]] = {}

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        counter = self._instruments.get(name)
        if counter is None:
            counter = self._instruments[name] = self._meter.create_counter(name)
        counter.add(value, labels)

    def set(self, name: str, value: float, **labels: str) -> None:
        gauge = self._instruments.get(name)
        if gauge is None:
            gauge = self._instruments[name] = self._meter.create_gauge(name)
        gauge.set(value, labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        histogram = self._instruments.get(name)
        if histogram is None:
            histogram = self._instruments[name] = self._meter.create_histogram(name)
        histogram.record(value, labels)

    def watch(self, name: str, read: Series) -> Callable[[], None]:
        """A gauge that is read whenever somebody asks: what `read` no longer gives is gone. Returns the end of it."""
        readers = self._watched.setdefault(name, [])
        readers.append(read)
        if name not in self._instruments:

            def observe(_options: CallbackOptions) -> list[Observation]:
                return [Observation(value, dict(labels)) for each in readers for value, labels in each()]

            self._instruments[name] = self._meter.create_observable_gauge(name, [observe])
        return lambda: readers.remove(read)

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(REGISTRY)

    def close(self) -> None:
        self._provider.shutdown()
