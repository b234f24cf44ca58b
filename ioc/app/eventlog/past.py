"""Reading a partition's past again: from a moment to a known record, in slices."""

from collections.abc import Iterable
from typing import Final

from ioc.app.rules.partition import Item, decode
from ioc.eventlog.port import EventLog, LogReader
from ioc.model.records import EVENTS_TOPIC, Activate, Record, Tick

POLL_S: Final = 0.5
LOOK_RECORDS: Final = 50
"""Records looked at to find one that has a time."""


class Stretch:
    """The records of one partition from `start` to before `end`."""

    def __init__(self, reader: LogReader, partition: int, start: int, end: int) -> None:
        self._reader = reader
        self._partition = partition
        self._start = start
        self._end = end
        self._next = start

    @property
    def done(self) -> bool:
        """Whether all has been read."""
        return self._next >= self._end

    @property
    def read(self) -> int:
        """Records read or found gone, gaps counted too."""
        return min(self._next, self._end) - self._start

    @property
    def size(self) -> int:
        """Records in all, gaps counted too."""
        return self._end - self._start

    @property
    def lost(self) -> int:
        """Records that retention had deleted."""
        return self._reader.lost().get(self._partition, 0)

    async def take(self, limit: int) -> list[Item]:
        """Return the next records, at most `limit`; none where the log gives none yet."""
        items: list[Item] = []
        for batch in await self._reader.poll(limit, POLL_S):
            if batch.partition == self._partition:
                records = [record for record in batch.records if record.offset < self._end]
                items += [(place, item) for place, item in decode(records) if not isinstance(item, Activate)]
                self._next = batch.next_offset
        return items


class LogPast:
    """The past of the partitions of `ioc.events`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def stretch(self, partition: int, start: int, end: int) -> Stretch:
        """Return the records of a partition from `start` to before `end`."""
        return Stretch(await self._log.tail(EVENTS_TOPIC, {partition: start}), partition, start, end)

    async def laid_out_from(self, partition: int) -> int:
        """Return from where on a partition's records are those of its present keys."""
        return (await self._log.firsts(EVENTS_TOPIC)).get(partition, 0)

    async def first_at(self, partition: int, time_us: int, end: int) -> int:
        """Return the first offset before `end` whose record is of `time_us` or later, by bisection."""
        low, high = 0, end
        while low < high:
            middle = (low + high) // 2
            found = await self.time_at(partition, middle, end)
            if found is None or found[1] >= time_us:
                high = middle
            else:
                low = max(middle, found[0]) + 1
        return low

    async def time_at(self, partition: int, offset: int, end: int) -> tuple[int, int] | None:
        """Return offset and time of the first record from `offset` on that has one and lies before `end`."""
        reader = await self._log.tail(EVENTS_TOPIC, {partition: offset})
        while reader.positions()[partition] < end:
            for batch in await reader.poll(LOOK_RECORDS, POLL_S):
                if batch.partition == partition:
                    for record, item in _timed(batch.records):
                        return (record.offset, item) if record.offset < end else None
        return None


def _timed(records: Iterable[Record]) -> Iterable[tuple[Record, int]]:
    for record in records:
        for _, item in decode([record]):
            if isinstance(item, Tick):
                yield record, item.now_us
            elif not isinstance(item, Activate):
                yield record, item.received_us
