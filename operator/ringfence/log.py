"""Logs: one JSON object a line on standard output, also for what libraries log.

No object is ever logged as a whole: a ConfigMap or an annotation may hold what its owner keeps
from others. Extra fields that libraries attach to records are dropped for the same reason.
"""

import logging
import sys
from typing import Final, TextIO

import structlog

_QUIET: Final = ("kopf.objects", "kopf._core.reactor", "aiohttp.access")
"""Loggers that write a line for each event or request."""

_SHARED: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,  # without local variables
)


def configure(level: int = logging.INFO, stream: TextIO = sys.stdout) -> None:
    """Routes structlog and the standard library to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
