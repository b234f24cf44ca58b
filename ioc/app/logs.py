"""Structured logs on standard error: readable on a terminal, JSON elsewhere, without personal data."""

import logging
import sys

import structlog

from ioc.stream.masking import mask_text

_OURS = frozenset({"timestamp", "level", "incident", "trace_id", "span_id"})
"""What holds no word of anybody's; ten digits in a row of an incident's id would pass for a phone number."""


def mask_personal(
    _logger: object, _method: str, entry: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Mask plates, phone numbers and mail addresses in every text of a log entry, tracebacks included."""
    for name, value in entry.items():
        if isinstance(value, str) and name not in _OURS:
            entry[name] = mask_text(value)
        elif isinstance(value, BaseException | dict | list | tuple):
            entry[name] = mask_text(str(value))
    return entry


def configure_logs(level: str, *further: structlog.typing.Processor) -> None:
    """Send our logs and those of libraries through one pipeline at `level`, with `further` steps."""
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        *further,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
        structlog.processors.format_exc_info,
        mask_personal,
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
