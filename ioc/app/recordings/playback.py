"""Entries → the log, without the gateway: events and ticks in their order, as fast as the log takes them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from ioc.app.recordings.entries import Entry, moment_us
from ioc.eventlog.port import EventLog, LogRetryable, partition_of
from ioc.model.events import Event, encode_event
from ioc.model.records import EVENTS_TOPIC, NewRecord, RecordKind, Tick, encode_tick
from ioc.model.times import SECOND_US

APPEND_RECORDS: Final = 5_000
"""Records of one append."""
PATIENCE_S: Final = 60.0
"""How long the log may refuse before the replay ends."""
PAUSE_S: Final = 0.5


class Played(msgspec.Struct):
    """What a replay has done. `events + ticks` were read, `repeats` of them the log had already."""

    events: int = 0
    ticks: int = 0
    repeats: int = 0


class Shift(msgspec.Struct, frozen=True):
    """How far times move, in whole seconds, so that ticks stay on theirs."""

    us: int

    @classmethod
    def to_now(cls, first_us: int, last_us: int, now_us: int, speed: float | None) -> "Shift":
        """Return the shift after which nothing lies ahead of the clock while it is played.

        At the speed 1 the first entry is of now; faster, the last one is of the moment at which it is
        played. `speed` None is as fast as it goes.
        """
        length_us = last_us - first_us
        playing_us = 0 if speed is None else round(length_us / speed)
        moved_us = now_us + min(0, playing_us - length_us) - first_us
        return cls(moved_us // SECOND_US * SECOND_US)

    def __call__(self, entry: Entry) -> Entry:
        """Return `entry` moved; an event gets another id, since the log may know its own already."""
        if not self.us:
            return entry
        if isinstance(entry, Tick):
            return Tick(entry.now_us + self.us)
        return msgspec.structs.replace(
            entry,
            id=f"{entry.id}~{self.us // SECOND_US}",
            time_us=entry.time_us + self.us,
            received_us=entry.received_us + self.us,
        )


class Pace:
    """Waits until entries are due, counted from the first one."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first_us: int | None = None
        self._began_s = 0.0

    async def wait_for(self, at_us: int) -> None:
        """Return once an entry of `at_us` is due."""
        if self._speed is None:
            return
        if self._first_us is None:
            self._first_us, self._began_s = at_us, time.monotonic()
        due_s = self._began_s + (at_us - self._first_us) / SECOND_US / self._speed
        if (left_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)


class LogPlayer:
    """Appends entries to `ioc.events`. Played twice they count once: the log knows ids and ticks."""

    def __init__(self, log: EventLog, partitions: int) -> None:
        self._log = log
        self._keys = partition_keys(partitions)
        self.played = Played()

    async def play(
        self,
        frames: Iterable[Sequence[Entry]],
        *,
        shift: Shift,
        speed: float | None,
        tell: Callable[[Played], None] = lambda _: None,
    ) -> Played:
        """Append all entries and return what was done, once all of it is durable.

        Raises:
            LogRetryable: the log took nothing for `PATIENCE_S`; play the recording again to go on.
        """
        pace = Pace(speed)
        pending: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            for entries in _parcels(frames, len(self._keys), speed):
                await pace.wait_for(moment_us(entries[-1]))
                records = [record for entry in entries for record in self._records(shift(entry))]
                # The next parcel is made ready while this one is written; one is under way at a time.
                if pending is not None:
                    await pending
                pending = group.create_task(self._append(records))
                ticks = sum(isinstance(entry, Tick) for entry in entries)
                self.played.ticks += ticks
                self.played.events += len(entries) - ticks
                tell(self.played)
        return self.played

    def _records(self, entry: Entry) -> Iterator[NewRecord]:
        if isinstance(entry, Event):
            key = entry.ward or entry.source
            yield NewRecord(RecordKind.EVENT, key, encode_event(entry), (entry.source, entry.id))
            return
        payload = encode_tick(entry)
        for number, key in enumerate(self._keys):
            dedup = (f"replayed tick\x00{number}", str(entry.now_us))
            yield NewRecord(RecordKind.TICK, key, payload, dedup)

    async def _append(self, records: Sequence[NewRecord]) -> None:
        began_s = time.monotonic()
        while True:
            try:
                outcomes = await self._log.append(EVENTS_TOPIC, records)
                break
            except LogRetryable:
                if time.monotonic() - began_s > PATIENCE_S:
                    raise
                await asyncio.sleep(PAUSE_S)
        self.played.repeats += sum(
            outcome.duplicate
            for record, outcome in zip(records, outcomes, strict=True)
            if record.kind is RecordKind.EVENT
        )


def _parcels(
    frames: Iterable[Sequence[Entry]], partitions: int, speed: float | None
) -> Iterator[list[Entry]]:
    """Yield what is appended together: as much as may be, or second by second where time passes meanwhile."""
    waiting: list[Entry] = []
    records = 0
    for frame in frames:
        for entry in frame:
            waiting.append(entry)
            is_tick = isinstance(entry, Tick)
            records += partitions if is_tick else 1
            if records >= APPEND_RECORDS or (speed is not None and is_tick):
                yield waiting
                waiting, records = [], 0
    if waiting:
        yield waiting


def partition_keys(partitions: int) -> list[str]:
    """Return a key for each partition: a record with it lands there."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        found.setdefault(partition_of(f"tick-{number}", partitions), f"tick-{number}")
        number += 1
    return [found[number] for number in range(partitions)]
