"""Which of Kafka's records count.

Kafka keeps order and durability. It does not recognise a repeat, and an append to several partitions may
succeed in part. So a record carries a *stamp*, its writer and the number of the append, and counts once
PostgreSQL says that the append is committed; the transaction that says so has claimed the append's dedup
keys. A writer makes one append at a time and holds its row locked meanwhile. After a failure it goes on under
a new id. Hence per writer:

    number <= committed                  the record counts, for every reader and for ever
    number >  committed, row locked      its append is under way: wait
    number >  committed, row free        it failed: whoever finds that closes the writer, and it never counts
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable

from ioc.eventlog.wakeup import happened
from ioc.model.records import RecordKind

HEADER: Final = "ioc"
_LAYOUT: Final = struct.Struct(">cqq")
_KINDS: Final = {kind.value.encode(): kind for kind in RecordKind}

_READ: Final[LiteralString] = "SELECT id, committed, closed FROM log_writer WHERE id = ANY(%s)"
_CLOSE: Final[LiteralString] = """
    UPDATE log_writer SET closed = true WHERE id = %s AND committed < %s RETURNING committed
"""
_LOCK_TIMEOUT: Final[LiteralString] = "SELECT set_config('lock_timeout', %s, true)"


class Stamp(NamedTuple):
    """An append: `number` counts from 1 within its writer."""

    writer: int
    number: int


def encode_header(kind: RecordKind, stamp: Stamp) -> bytes:
    """Return the value of the header `HEADER`."""
    return _LAYOUT.pack(kind.value.encode(), *stamp)


def decode_header(headers: Iterable[tuple[str, bytes]]) -> tuple[RecordKind, Stamp] | None:
    """Return what a record's headers say; None where the record is not one of ours."""
    for name, value in headers:
        if name == HEADER and value is not None and len(value) == _LAYOUT.size:
            kind, writer, number = _LAYOUT.unpack(value)
            return (_KINDS[kind], Stamp(writer, number)) if kind in _KINDS and number > 0 else None
    return None


class Verdict(Enum):
    """What is known of a stamp."""

    COUNTS = "counts"
    VOID = "void"
    OPEN = "open"
    """Its append is under way: ask again."""


class _Writer(NamedTuple):
    committed: int
    closed: bool


_UNKNOWN: Final = _Writer(0, True)
"""A writer without a row: not one of this database, or older than anything the log keeps."""
_MAX_WRITERS: Final = 10_000
"""Writers remembered; a deployment has one per ingest process, and a new one after each failure."""

Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]]


class Stamps:
    """Judges stamps, asking the database only for those it has not seen committed."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._writers: dict[int, _Writer] = {}
        self._mine: dict[int, tuple[int, asyncio.Event]] = {}
        """Appends of this process that are under way: number and end, by writer."""

    @asynccontextmanager
    async def appending(self, stamp: Stamp) -> AsyncIterator[None]:
        """Say that this process makes the append: its readers wait here instead of in the database."""
        done = asyncio.Event()
        self._mine[stamp.writer] = stamp.number, done
        try:
            yield
        finally:
            del self._mine[stamp.writer]
            done.set()

    def committed(self, stamp: Stamp) -> None:
        """Take note that the append is committed."""
        self._learn(stamp.writer, _Writer(stamp.number, False))

    def verdict(self, stamp: Stamp) -> Verdict:
        """Return what is known of `stamp` now."""
        writer = self._writers.get(stamp.writer)
        if writer is None:
            return Verdict.OPEN
        if stamp.number <= writer.committed:
            return Verdict.COUNTS
        return Verdict.VOID if writer.closed else Verdict.OPEN

    async def settle(self, stamps: Iterable[Stamp], wait_s: float) -> None:
        """Learn what can be known of `stamps`, waiting up to `wait_s` for appends under way.

        Raises:
            LogUnavailable: the database cannot be reached.
        """
        newest: dict[int, int] = {}
        for stamp in stamps:
            newest[stamp.writer] = max(stamp.number, newest.get(stamp.writer, 0))
        for writer, (number, done) in list(self._mine.items()):
            if newest.get(writer, 0) >= number:
                await happened(done, wait_s)
        if not (unknown := self._open(newest)):
            return
        await self._read(unknown)
        for writer in self._open(unknown):
            if not await self._close(writer, unknown[writer], wait_s):
                await self._read({writer: unknown[writer]})

    def _open(self, newest: dict[int, int]) -> dict[int, int]:
        return {
            writer: number
            for writer, number in newest.items()
            if self.verdict(Stamp(writer, number)) is Verdict.OPEN
        }

    async def _read(self, newest: dict[int, int]) -> None:
        async with self._connect() as connection:
            rows = await (await connection.execute(_READ, (list(newest),), prepare=True)).fetchall()
        found = {row[0]: _Writer(row[1], row[2]) for row in rows}
        for writer in newest:
            self._learn(writer, found.get(writer, _UNKNOWN))

    async def _close(self, writer: int, number: int, wait_s: float) -> bool:
        """Wait for the append under way; close the writer where it turns out to have failed."""
        async with self._connect() as connection:
            try:
                async with connection.transaction():
                    await connection.execute(_LOCK_TIMEOUT, (f"{max(1, round(wait_s * 1000))}ms",))
                    row = await (await connection.execute(_CLOSE, (writer, number))).fetchone()
            except LockNotAvailable:
                return True  # still under way: the verdict stays open
        if row is None:
            return False
        self._learn(writer, _Writer(row[0], True))
        return True

    def _learn(self, writer: int, found: _Writer) -> None:
        # Answers may overtake each other; what is committed or closed stays so.
        known = self._writers.get(writer, found)
        if len(self._writers) >= _MAX_WRITERS:
            self._writers.clear()
        self._writers[writer] = _Writer(max(known.committed, found.committed), known.closed or found.closed)
