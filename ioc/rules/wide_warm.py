"""Warming wide rules: both stages run in memory over the past of all origins.

The log of the second stage holds only what the former rules let through, so the past of a new rule lies in
the origins. Their records are filtered by the new rules here and put in order by the same merge. The switch
stands before a tick of every origin, its *head*; the records up to and with the heads give the seconds that
lie before the switch, and as the last one the second of the switch itself:

    origin 0   ─ tick 1 ─ a ─ tick 2 ─ b ─ switch ─ c ─ tick 3 (head)
    origin 1   ─ tick 1 ───── tick 2 ─ switch ─────── d ─ tick 3 (head)
    warmed over  a, ticks 1 and 2           then live: b, c, d, tick 3

What the former rules let through of that last second lacks `b` where only the new ones want it, so the new
rules take the second as it is found here.
"""

from collections.abc import Callable, Iterable, Sequence

from ioc.model.events import Event
from ioc.model.records import Tick
from ioc.model.wide import BEFORE_TIME, Moment
from ioc.rules.compile import Program
from ioc.rules.warm import WarmUp
from ioc.rules.wide_forward import DEFAULT_MAX_KEYS, Forwarder
from ioc.rules.wide_merge import DEFAULT_MAX_HELD, Ahead, Second, WideMerge


class ClockPutBack(Exception):
    """The clock was put back within the past: its seconds have no one order to begin in."""


class WidePast:
    """The past of one partition's wide rules.

    Give it each origin's records in order, up to and with its head, and of the origin whose `moment` is the
    oldest first, so that little has to wait.
    """

    def __init__(
        self,
        switch: Ahead,
        from_us: int,
        partition: int,
        partition_of: Callable[[str], int],
        programs: Sequence[Program],
        pasts: Iterable[WarmUp],
        *,
        max_keys: int = DEFAULT_MAX_KEYS,
        max_held: int = DEFAULT_MAX_HELD,
    ) -> None:
        """Begin at the first tick at or after `from_us`.

        Args:
            switch: the second before which the rules switch.
            from_us: where the past begins, in microseconds of the log's ticks.
            partition: the one that switches.
            partition_of: partition of the second stage that answers for a key.
            programs: all wide rules from the switch on (active, shadow).
            pasts: what runs over the past.
            max_keys: see `Forwarder`.
            max_held: see `WideMerge`.
        """
        origins = len(switch.heads)
        self._switch = switch
        self._from_us = from_us
        self._partition = partition
        self._stages = [
            Forwarder(origin, BEFORE_TIME, partition_of, programs, max_keys=max_keys)
            for origin in range(origins)
        ]
        self._merge = WideMerge(origins, max_held=max_held)
        self._pasts = list(pasts)
        self._last: Second | None = None

    @property
    def refused(self) -> int:
        """Events beyond what may wait."""
        return self._merge.refused

    def moment(self, origin: int) -> Moment:
        """Return the tick an origin has come to."""
        return self._stages[origin].newest

    def take(self, origin: int, items: Sequence[tuple[int, Event | Tick]]) -> None:
        """Take consecutive records of an origin; those beyond its head are left out.

        Raises:
            ClockPutBack: there is no telling where the past begins.
        """
        stage = self._stages[origin]
        items = [item for item in items if item[0] <= self._switch.heads[origin]]
        if stage.newest == BEFORE_TIME:
            items = self._begun(items)
        forwards, ticks = stage.take(items, self._switch.version)
        if stage.newest[0] > 0:
            raise ClockPutBack
        for forward in forwards:
            if forward.partition == self._partition:
                self._merge.take_event(forward.event, forward.event.offset)
        for tick in ticks:
            self._merge.take_tick(tick, tick.offset)
        for second in self._merge.seconds():
            if self._last is not None:
                for past in self._pasts:
                    past.take([(0, item) for item in self._last.items])
            self._last = second

    def _begun(self, items: list[tuple[int, Event | Tick]]) -> list[tuple[int, Event | Tick]]:
        for place, (_, item) in enumerate(items):
            if isinstance(item, Tick) and item.now_us >= self._from_us:
                return items[place:]
        return []

    def second(self) -> Second | None:
        """Return the second of the switch, once all heads are taken; None where records are missing."""
        if self._last is None or self._merge.done[1] != self._switch.moment[1]:
            return None
        return self._last
