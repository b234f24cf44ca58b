"""What this process has just appended: its own readers take it from here and leave the database alone.

A stored record never changes, so a copy made after the commit is as good as the row itself.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from ioc.model.records import Record

# What a record takes in memory besides its payload, roughly.
_OVERHEAD_BYTES = 200


class Stored(NamedTuple):
    """One durable row: consecutive records of one partition, at least one."""

    topic: str
    partition: int
    records: Sequence[Record]

    @property
    def base(self) -> int:
        """Offset of the first record."""
        return self.records[0].offset

    @property
    def end(self) -> int:
        """Offset after the last record."""
        return self.records[-1].offset + 1


class RecentBatches:
    """The newest rows, up to `max_bytes` in all. Rows of other processes leave gaps between them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.size_bytes = 0
        """What is remembered now, overhead included."""
        self._order: deque[tuple[Stored, int]] = deque()
        self._rows: dict[tuple[str, int], deque[Stored]] = {}
        self._ends: dict[tuple[str, int], int] = {}

    def add(self, row: Stored) -> None:
        """Remember a row; rows of one partition come in the order of their offsets."""
        size_bytes = sum(len(record.payload) + _OVERHEAD_BYTES for record in row.records)
        place = (row.topic, row.partition)
        self._rows.setdefault(place, deque()).append(row)
        self._ends[place] = row.end
        self._order.append((row, size_bytes))
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            oldest, freed_bytes = self._order.popleft()
            self._rows[oldest.topic, oldest.partition].popleft()
            self.size_bytes -= freed_bytes

    def end(self, topic: str, partition: int) -> int:
        """Return the offset after the last record this process appended, 0 before the first."""
        return self._ends.get((topic, partition), 0)

    def read(self, topic: str, partition: int, position: int, max_records: int) -> list[Record]:
        """Return the records from `position` on as far as they are known, up to a row past `max_records`."""
        rows = self._rows.get((topic, partition))
        if not rows or not rows[0].base <= position < rows[-1].end:
            return []
        found: list[Record] = []
        index = bisect_right(rows, position, key=attrgetter("base")) - 1
        while index < len(rows) and len(found) < max_records:
            row = rows[index]
            expected = position + len(found)
            if not row.base <= expected < row.end:
                break
            found += row.records[expected - row.base :]
            index += 1
        return found
