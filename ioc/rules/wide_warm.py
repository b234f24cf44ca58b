"""The past of a partition of `ioc.wide`, made anew from the partitions of `ioc.events`.

`ioc.wide` holds what the rules of its time asked for, which is not what a new rule asks for. So both stages
run again in memory, over the records of every origin up to the second in which the partition switches:

    past = WidePast(origins=4, partition=1, partition_of=…, programs=(active, shadow), pasts=…, until_us=…)
    past.take(origin, items)           each origin's records in its order, whatever the order of the origins
    past.complete                      every origin has come to `until_us`
    past.second                        what the engine takes in the second of the switch, by the new rules

The second of the switch is made anew as well: what stands in it before an origin's own switch was still asked
for by the rules before.
"""

from collections.abc import Callable, Iterable, Sequence

from ioc.model.events import Event
from ioc.model.records import Tick
from ioc.model.wide import BEFORE_TIME
from ioc.rules.compile import Program
from ioc.rules.warm import WarmUp
from ioc.rules.wide_forward import Forwarder
from ioc.rules.wide_merge import WideMerge

_VERSION = 0
"""All of the past is read by the same rules."""


class WidePast:
    """Reads records of origins and warms rules with what they lead to in one partition."""

    def __init__(
        self,
        *,
        origins: int,
        partition: int,
        partition_of: Callable[[str], int],
        programs: Iterable[Program],
        pasts: Sequence[WarmUp],
        until_us: int,
    ) -> None:
        """Begin before all records.

        Args:
            origins: partitions of `ioc.events`.
            partition: of `ioc.wide`, whose rules are warmed.
            partition_of: which partition answers for a key.
            programs: all wide rules from the switch on.
            pasts: the rules to warm, by lane.
            until_us: the tick that ends the second of the switch.
        """
        programs = tuple(programs)
        self.second: list[Event | Tick] | None = None
        self._partition = partition
        self._pasts = pasts
        self._until_us = until_us
        self._stages = [Forwarder(number, BEFORE_TIME, partition_of, programs) for number in range(origins)]
        self._merge = WideMerge(origins)
        self._ended: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether nothing more is needed of any origin."""
        return len(self._ended) == len(self._stages)

    @property
    def refused(self) -> int:
        """Events that were too many to wait for other origins."""
        return self._merge.refused

    def ended(self, origin: int) -> bool:
        """Whether nothing more is needed of this origin."""
        return origin in self._ended

    def take(self, origin: int, items: Sequence[tuple[int, Event | Tick]]) -> None:
        """Take consecutive records of an origin; what stands behind its last tick is left out."""
        if origin in self._ended:
            return
        for place, (_, item) in enumerate(items):
            if isinstance(item, Tick) and item.now_us >= self._until_us:
                items = items[: place + 1]
                self._ended.add(origin)
                break
        forwards, ticks = self._stages[origin].take(items, _VERSION)
        for forward in forwards:
            if forward.partition == self._partition:
                self._merge.take_event(forward.event, forward.event.offset)
        for tick in ticks:
            self._merge.take_tick(tick, tick.moment[1])
        for second in self._merge.seconds():
            if second.until_us >= self._until_us:
                self.second = second.items
                return
            for past in self._pasts:
                past.take([(0, item) for item in second.items])
