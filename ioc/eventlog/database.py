"""What both logs do with PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection

from ioc.eventlog.port import LogUnavailable
from ioc.model.times import SECOND_US, from_us

_PRUNE: Final[LiteralString] = """
    DELETE FROM log_dedup WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM log_dedup WHERE seen_at < %(before)s LIMIT %(keys)s))
"""


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn whatever the driver finds wrong with a connection into `LogUnavailable`."""
    try:
        yield
    except (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.errors.IdleInTransactionSessionTimeout,  # we were paused meanwhile
    ) as error:
        raise LogUnavailable(f"the log's database: {error}") from error


async def prune_keys(connection: AsyncConnection[Any], before: datetime, keys: int) -> int:
    """Forget up to `keys` dedup keys seen before a moment and return how many."""
    return (await connection.execute(_PRUNE, {"before": before, "keys": keys})).rowcount


def moment(now_us: int, age_s: float) -> datetime:
    """Return the moment `age_s` before `now_us`."""
    return from_us(now_us - round(age_s * SECOND_US))
