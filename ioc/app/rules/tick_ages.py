"""How old the newest clock tick of each partition is: events may flow while the clock stands still."""

from collections.abc import Iterable

from ioc.model.times import SECOND_US


class TickAges:
    """Remembers the newest tick seen by partition; `started_us` stands for those not seen yet."""

    def __init__(self, started_us: int) -> None:
        self._started_us = started_us
        self._newest: dict[int, int] = {}

    def seen(self, partition: int, tick_us: int) -> None:
        """Note a tick that is in the log. One that is older than another seen says nothing."""
        self._newest[partition] = max(tick_us, self._newest.get(partition, tick_us))

    def oldest_s(self, partitions: Iterable[int], now_us: int) -> float:
        """Return the age in seconds of the oldest of the partitions' newest ticks; 0 without partitions."""
        newest = (self._newest.get(partition, self._started_us) for partition in partitions)
        return max(((now_us - tick_us) / SECOND_US for tick_us in newest), default=0.0)
