"""Logs are JSON lines on stderr, also those of libraries; events are `area.noun.verb`. A secret is never a field."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor


def configure(*, verbose: bool = False, **bound: str) -> None:
    """Once per process. `bound` fields are on every line."""
    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", key="time"),
        structlog.processors.format_exc_info,
    ]
    last: list[Processor] = [structlog.processors.EventRenamer("msg"), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    libraries = logging.StreamHandler(sys.stderr)
    without = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=[without, *last]
        )
    )
    logging.basicConfig(handlers=[libraries], level=logging.WARNING, force=True)
