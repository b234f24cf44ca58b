"""The log → entries in one order: first what it holds, partition by partition, then what comes."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Final

from ioc.app.eventlog.past import POLL_S, LogPast
from ioc.app.recordings import RecordingError
from ioc.app.recordings.entries import Entry, moment_us
from ioc.app.recordings.merge import TickMerge
from ioc.app.rules.partition import decode
from ioc.eventlog.port import EventLog, LogReader, LogRetryable
from ioc.model.records import EVENTS_TOPIC, Activate

SLICE_RECORDS: Final = 2_000
MAX_HELD: Final = 500_000
"""Entries that may wait for a tick of a partition that gives none."""
QUIET_S: Final = 3.0
"""A partition that gives nothing for so long holds no more, whatever its end says: what follows failed."""
PATIENCE_S: Final = 60.0
"""How long the log may be away."""
PAUSE_S: Final = 1.0
LAST_RECORDS: Final = 100


class LogRecorder:
    """Reads `ioc.events`. Rule switches are not entries: a replay runs the rules of its own installation."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.lost = 0
        """Records that retention deleted before they were read."""

    async def partitions(self) -> int:
        """Return how many partitions the log has."""
        return len(await self._log.ends(EVENTS_TOPIC))

    async def since(self, time_us: int | None) -> dict[int, int]:
        """Return where each partition's records of `time_us` or later begin; None: where the log begins."""
        ends = await self._log.ends(EVENTS_TOPIC)
        if time_us is None:
            return dict.fromkeys(ends, 0)
        past = LogPast(self._log)
        return {number: await past.first_at(number, time_us, end) for number, end in ends.items()}

    async def newest_us(self) -> int | None:
        """Return the latest time among each partition's last records; None where the log holds nothing."""
        past, found = LogPast(self._log), []
        for number, end in (await self._log.ends(EVENTS_TOPIC)).items():
            stretch = await past.stretch(number, max(0, end - LAST_RECORDS), end)
            # Fewer than asked for may come at a time, and none where the last appends failed.
            while not stretch.done and (items := await stretch.take(LAST_RECORDS)):
                found += [moment_us(entry) for _, entry in items]
        return max(found, default=None)

    async def entries(
        self, start: Mapping[int, int] | None, *, follow: bool
    ) -> AsyncGenerator[list[Entry], None]:
        """Yield entries in order, in lists; an empty list where nothing came for a while.

        Args:
            start: offsets to begin at; None: at the end, as of now.
            follow: go on with what comes, for ever; otherwise end with what the log holds now.

        Raises:
            RecordingError: a partition stands still, and too much waits for it.
            LogUnavailable: the log was away for too long.
        """
        ends = await self._log.ends(EVENTS_TOPIC)
        merge = TickMerge(list(ends))
        if start is not None:
            async for entries in self._past(merge, start, ends):
                yield entries
        if follow:
            async for entries in self._coming(merge, ends):
                yield entries
        yield list(merge.rest())

    async def _past(
        self, merge: TickMerge, start: Mapping[int, int], ends: Mapping[int, int]
    ) -> AsyncGenerator[list[Entry], None]:
        """Yield what lies before `ends`; only partitions that others wait for are read, so little is held."""
        past = LogPast(self._log)
        stretches = {n: await past.stretch(n, start[n], ends[n]) for n in sorted(ends)}
        unread = {number for number, stretch in stretches.items() if not stretch.done}
        quiet_s: dict[int, float] = {}
        while unread:
            for number in unread.intersection(merge.lacking()) or unread.copy():
                stretch = stretches[number]
                if entries := [entry for _, entry in await stretch.take(SLICE_RECORDS)]:
                    merge.add(number, entries)
                    quiet_s.pop(number, None)
                since_s = quiet_s.setdefault(number, time.monotonic())
                if stretch.done or time.monotonic() - since_s > QUIET_S:
                    unread.discard(number)
            self._check(merge)
            yield list(merge.ready())
        self.lost += sum(stretch.lost for stretch in stretches.values())

    async def _coming(self, merge: TickMerge, ends: Mapping[int, int]) -> AsyncGenerator[list[Entry], None]:
        reader, lost, away_s = await self._log.tail(EVENTS_TOPIC, ends), self.lost, 0.0
        while True:
            try:
                batches = await reader.poll(SLICE_RECORDS, POLL_S)
                away_s = 0.0
            except LogRetryable:
                away_s += PAUSE_S
                if away_s > PATIENCE_S:
                    raise
                await asyncio.sleep(PAUSE_S)
                reader, batches, lost = await self._anew(reader), [], self.lost
            for batch in batches:
                found = [entry for _, entry in decode(batch.records) if not isinstance(entry, Activate)]
                merge.add(batch.partition, found)
            self.lost = lost + sum(reader.lost().values())
            self._check(merge)
            yield list(merge.ready())

    async def _anew(self, reader: LogReader) -> LogReader:
        """Return a reader that goes on where `reader` stands; itself where there is none to be had yet."""
        with suppress(LogRetryable):
            return await self._log.tail(EVENTS_TOPIC, reader.positions())
        return reader

    def _check(self, merge: TickMerge) -> None:
        if merge.held > MAX_HELD:
            raise RecordingError(
                f"{merge.held:,} records wait for a tick of partitions {merge.lacking()}: is ingest running?"
            )
