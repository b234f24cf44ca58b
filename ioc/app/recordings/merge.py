"""Partitions in one order: a tick comes behind everything that lies before it in any partition. Pure.

Within a partition the order stays what it is, and that is all that rules depend on: of events of several
partitions within one second the log itself knows no order.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from ioc.app.recordings.entries import Entry
from ioc.model.records import Tick


class TickMerge:
    """Takes records by partition and gives them back in one order."""

    def __init__(self, partitions: Sequence[int]) -> None:
        self._waiting: dict[int, deque[Entry]] = {number: deque() for number in sorted(partitions)}
        self._ticks: dict[int, deque[int]] = {number: deque() for number in sorted(partitions)}
        self.held = 0
        """Entries that wait for a tick of another partition."""

    def add(self, partition: int, entries: Sequence[Entry]) -> None:
        """Take the next entries of a partition."""
        self._waiting[partition].extend(entries)
        self._ticks[partition].extend(entry.now_us for entry in entries if isinstance(entry, Tick))
        self.held += len(entries)

    def lacking(self) -> list[int]:
        """Return the partitions without whose next tick nothing goes on."""
        return [number for number, ticks in self._ticks.items() if not ticks]

    def ready(self) -> Iterator[Entry]:
        """Yield what is in order: up to the last tick that every partition has come to."""
        while all(self._ticks.values()):
            yield from self._up_to_next_tick()

    def rest(self) -> Iterator[Entry]:
        """Yield what is left once nothing more comes."""
        while any(self._ticks.values()):
            yield from self._up_to_next_tick()
        for waiting in self._waiting.values():
            self.held -= len(waiting)
            yield from waiting
            waiting.clear()

    def _up_to_next_tick(self) -> Iterator[Entry]:
        now_us = min(ticks[0] for ticks in self._ticks.values() if ticks)
        for number, ticks in self._ticks.items():
            # A partition that missed this tick goes on behind it.
            if ticks and ticks[0] == now_us:
                ticks.popleft()
                waiting = self._waiting[number]
                while not isinstance(entry := waiting.popleft(), Tick):
                    self.held -= 1
                    yield entry
                self.held -= 1
        yield Tick(now_us)
