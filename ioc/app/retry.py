"""Waiting for what comes back: a lost database or log ends no role."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from prometheus_client import Counter
from psycopg import InterfaceError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout, ProgramLimitExceeded

from ioc.eventlog.port import LogRetryable

FIRST_WAIT_S: Final = 0.2
MAX_WAIT_S: Final = 5.0
RETRYABLE: Final = (
    LogRetryable,
    OperationalError,
    InterfaceError,
    # What a paused process (a sleeping laptop, a stopped machine) finds its transaction ended with.
    IdleInTransactionSessionTimeout,
)
PERMANENT: Final = (ProgramLimitExceeded,)
"""Operational by class, but no repetition mends them."""

_log = structlog.get_logger()
_retries = Counter(
    "ioc_role_retries_total", "Times a role lost the database or the log and began again", ["role"]
)


def _passes(error: Exception) -> bool:
    """Return whether repeating may mend `error`; of a group of tasks, every error."""
    if isinstance(error, ExceptionGroup):
        return all(_passes(each) for each in error.exceptions)
    return isinstance(error, RETRYABLE) and not isinstance(error, PERMANENT)


def _words(error: Exception) -> str:
    """Return what an error says; of a group of tasks, each error."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(map(_words, error.exceptions))
    return str(error)


async def with_retry(role: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until it returns; after a retryable error begin again, waiting longer each time.

    Anything else ends the role and with it the process: a supervisor starts it afresh from the log.
    """
    wait_s = FIRST_WAIT_S
    while True:
        started_s = asyncio.get_running_loop().time()
        try:
            return await work()
        except Exception as error:
            if not _passes(error):
                raise
            _retries.labels(role).inc()
            if asyncio.get_running_loop().time() - started_s > MAX_WAIT_S:
                wait_s = FIRST_WAIT_S
            _log.warning(
                "connection lost, beginning again", role=role, wait_s=round(wait_s, 1), error=_words(error)
            )
        # Jitter, so that the roles do not all come back in the same instant.
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
        wait_s = min(wait_s * 2, MAX_WAIT_S)
