"""What a recording holds, counted in one pass. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from ioc.app.recordings.entries import Entry, moment_us
from ioc.model.records import Tick
from ioc.model.times import MINUTE_US, SECOND_US, format_us

GAP_S: Final = 10.0
"""Nothing for longer, not even a tick, is a gap: the service was away, or the clock was put on."""
MAX_NAMES: Final = 100_000
"""Names counted apart, of sources and of wards; what goes beyond is counted as OTHERS."""
MAX_MINUTES: Final = 100_000
MAX_GAPS: Final = 1_000
OTHERS: Final = "…"


class Summary:
    """Counts entries as they pass."""

    def __init__(self, gap_s: float = GAP_S) -> None:
        self._gap_us = round(gap_s * SECOND_US)
        self.ticks = 0
        self.types: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.wards: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()
        self.gaps: list[tuple[int, int]] = []
        self.more_gaps = 0
        self.went_back = 0
        """How often the clock was put back."""
        self.first_us: int | None = None
        self.last_us: int | None = None
        self._tick_us: int | None = None

    def add(self, entries: Iterable[Entry]) -> None:
        """Count `entries`, which follow those before."""
        for entry in entries:
            at_us = moment_us(entry)
            if isinstance(entry, Tick):
                self.ticks += 1
                if self._tick_us is not None and at_us < self._tick_us:
                    self.went_back += 1
                self._tick_us = at_us
            else:
                self.types[entry.type] += 1
                _count(self.sources, entry.source, MAX_NAMES)
                _count(self.wards, entry.ward or "", MAX_NAMES)
                minute = at_us // MINUTE_US
                if minute in self.minutes or len(self.minutes) < MAX_MINUTES:
                    self.minutes[minute] += 1
            self._pass(at_us)

    def _pass(self, at_us: int) -> None:
        if self.first_us is None or self.last_us is None:
            self.first_us = self.last_us = at_us
            return
        if at_us - self.last_us > self._gap_us:
            if len(self.gaps) < MAX_GAPS:
                self.gaps.append((self.last_us, at_us))
            else:
                self.more_gaps += 1
        self.first_us = min(self.first_us, at_us)
        self.last_us = max(self.last_us, at_us)

    def as_dict(self) -> dict[str, Any]:
        """Return everything counted, ready for JSON; minutes are named by their beginning."""
        return {
            "events": self.types.total(),
            "ticks": self.ticks,
            "first": None if self.first_us is None else format_us(self.first_us),
            "last": None if self.last_us is None else format_us(self.last_us),
            "types": dict(sorted(self.types.items())),
            "sources": dict(sorted(self.sources.items())),
            "wards": dict(sorted(self.wards.items())),
            "minutes": {format_us(n * MINUTE_US): count for n, count in sorted(self.minutes.items())},
            "gaps": [{"from": format_us(start), "to": format_us(end)} for start, end in self.gaps],
            "gaps_not_listed": self.more_gaps,
            "clock_put_back": self.went_back,
        }


def _count(counter: Counter[str], name: str, most: int) -> None:
    counter[name if name in counter or len(counter) < most else OTHERS] += 1
