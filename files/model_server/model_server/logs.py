# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON logs on standard error, one object a line; systemd's journal keeps them.

Inputs, outputs, headers and bodies are never logged.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Plain tracebacks: the structured form would add local variables, and with them inputs.
    structlog.processors.format_exc_info,
]


def formatter() -> logging.Formatter:
    """Formatter that gives records of the standard library the same JSON form."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


def configure(level: str) -> None:
    """Route structlog and the standard library's logging to standard error as JSON."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_SHARED, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
