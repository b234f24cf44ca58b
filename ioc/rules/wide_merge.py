"""The order of a partition of `ioc.wide`: the records of all origins, second by second.

Each origin's records arrive in its own order, but origins overtake each other. An event waits until every
origin has come to the next tick; then the events of that second go to the engine, in an order that only they
decide, and the tick after them. So the engine sees one sequence, whatever the number of partitions, the size
of batches and the place of a restart, and its watermark never passes an event still under way:

    origin 0   a ─ tick 1 ─── b ─ tick 2 ─ c ─ tick 3
    origin 1       tick 1 ─ d ──────────── (behind)
    engine     a ─ tick 1                              waits: origin 1 may yet pass on events before tick 2

An origin without events still ticks. One that lags, or that nobody works on, holds wide rules up until it has
caught up: late rather than wrong.

Nothing of this is stored but the newest tick that went to the engine: the log is read again from the first
record that waits (`position`), and what has taken effect is known by its moment.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ioc.model.events import Event
from ioc.model.records import Tick
from ioc.model.wide import BEFORE_TIME, Moment, OriginTick, WideEvent

_Place = tuple[Moment, int, int, str, str, int, int]
DEFAULT_MAX_HELD: Final = 200_000
"""Events that may wait in one partition; more are refused and counted."""


@dataclass(frozen=True, slots=True)
class Second:
    """What the engine takes next: the events before a tick and the tick, under at least `version`."""

    version: int
    items: list[Event | Tick]


@dataclass(frozen=True, slots=True)
class Ahead:
    """The second that is ready to be taken, before it is."""

    moment: Moment
    version: int
    heads: tuple[int, ...]
    """Of each origin, the offset there of its first tick that the engine has not taken."""


class WideMerge:
    """Puts the records of one partition of `ioc.wide` in order."""

    def __init__(self, origins: int, done: Moment = BEFORE_TIME, *, max_held: int = DEFAULT_MAX_HELD) -> None:
        """Begin after the tick `done`, with nothing waiting.

        Args:
            origins: partitions of `ioc.events`.
            done: the newest tick the engine has taken.
            max_held: events that may wait.
        """
        self.done = done
        self._max_held = max_held
        self.refused = 0
        """Events beyond `max_held`."""
        self._ticks: list[deque[tuple[OriginTick, int]]] = [deque() for _ in range(origins)]
        self._newest = [done] * origins
        self._held: dict[tuple[int, int], int] = {}
        self._waiting: list[tuple[_Place, WideEvent]] = []

    @property
    def held(self) -> int:
        """Events that wait."""
        return len(self._held)

    def take_event(self, event: WideEvent, offset: int) -> None:
        """Take an event from `offset`; one passed on twice is taken once."""
        known = event.origin, event.offset
        if event.after < self.done or known in self._held:
            return
        if len(self._held) >= self._max_held:
            self.refused += 1
            return
        self._held[known] = offset
        heapq.heappush(self._waiting, (_place(event), event))

    def take_tick(self, tick: OriginTick, offset: int) -> None:
        """Take a tick from `offset`; one passed on twice is taken once."""
        if tick.moment > self._newest[tick.origin]:
            self._newest[tick.origin] = tick.moment
            self._ticks[tick.origin].append((tick, offset))

    def ahead(self) -> Ahead | None:
        """Return what `take` would take, None where an origin is behind."""
        if not all(self._ticks):
            return None
        heads = [ticks[0][0] for ticks in self._ticks]
        return Ahead(
            min(head.moment for head in heads),
            min(head.version for head in heads),
            tuple(head.offset for head in heads),
        )

    def take(self, ahead: Ahead) -> Second:
        """Take the second that is ready; `done` moves on."""
        for ticks in self._ticks:
            if ticks[0][0].moment == ahead.moment:
                ticks.popleft()
        items: list[Event | Tick] = []
        while self._waiting and self._waiting[0][1].after < ahead.moment:
            event = heapq.heappop(self._waiting)[1]
            del self._held[event.origin, event.offset]
            items.append(event.event)
        self.done = ahead.moment
        return Second(ahead.version, [*items, Tick(ahead.moment[1])])

    def seconds(self) -> Iterator[Second]:
        """Yield what has become ready. `done` moves on with each."""
        while (ahead := self.ahead()) is not None:
            yield self.take(ahead)

    def position(self, next_offset: int) -> int:
        """Return from where to read again after a restart; `next_offset` where nothing waits."""
        waiting = list(self._held.values())
        waiting += [ticks[0][1] for ticks in self._ticks if ticks]
        return min(waiting, default=next_offset)


def _place(item: WideEvent) -> _Place:
    """Order by arrival at the gateway, then by what distinguishes events wherever they were kept."""
    event = item.event
    arrival = event.received_us, event.time_us, event.source, event.id
    return item.after, *arrival, item.origin, item.offset
