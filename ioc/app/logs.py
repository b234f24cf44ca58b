"""Structured logs on standard error: readable on a terminal, JSON elsewhere."""

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Send our logs and those of libraries through one pipeline at `level`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    # What fails there and concerns somebody reaches us as an error of the log; the rest is how Kafka lives.
    # Why a broker cannot be used (its address, our login) is said by "aiokafka" itself and nowhere else.
    for name in ("conn", "consumer", "coordinator", "producer"):
        quiet = logging.WARNING if number <= logging.DEBUG else logging.CRITICAL
        logging.getLogger(f"aiokafka.{name}").setLevel(quiet)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
