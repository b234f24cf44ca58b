"""Which entries are wanted. Pure. Ticks belong to every selection: without them nothing can be replayed."""

import msgspec

from ioc.app.recordings.entries import Entry, moment_us
from ioc.model.events import DATA_TYPES, Event, Stream
from ioc.model.records import Tick
from ioc.model.times import format_us


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Empty means all. Times are those at which the log took an entry: from `from_us` to before `to_us`.

    The tick of `to_us` belongs to it, so that no event of its last second waits for one.
    """

    streams: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    """Ids; one that ends in `*` stands for all that begin so."""
    wards: frozenset[str] = frozenset()
    from_us: int | None = None
    to_us: int | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.streams if name not in list(Stream)]
        unknown += [name for name in self.types if name not in DATA_TYPES]
        if unknown:
            known = ", ".join([*Stream, *DATA_TYPES])
            raise ValueError(f"unknown stream or type {unknown[0]!r}: expected one of {known}")

    def in_time(self, entry: Entry) -> bool:
        """Whether the log took `entry` in the time that is wanted."""
        at_us = moment_us(entry)
        if self.from_us is not None and at_us < self.from_us:
            return False
        return self.to_us is None or at_us < self.to_us + isinstance(entry, Tick)

    def is_over(self, entry: Entry) -> bool:
        """Whether nothing that is wanted comes behind `entry`."""
        return self.to_us is not None and isinstance(entry, Tick) and entry.now_us >= self.to_us

    def wants(self, entry: Entry) -> bool:
        """Whether `entry` is wanted, whenever it was."""
        if not isinstance(entry, Event):
            return True
        return (
            (not self.streams or entry.stream in self.streams)
            and (not self.types or entry.type in self.types)
            and (not self.wards or entry.ward in self.wards)
            and (not self.sources or self._names(entry.source))
        )

    def _names(self, source: str) -> bool:
        return source in self.sources or any(
            source.startswith(name[:-1]) for name in self.sources if name.endswith("*")
        )

    def described(self) -> dict[str, str | list[str]]:
        """Return what was asked for, as a recording's header says it."""
        sets = {"stream": self.streams, "type": self.types, "source": self.sources, "ward": self.wards}
        found: dict[str, str | list[str]] = {name: sorted(values) for name, values in sets.items() if values}
        times = {"from": self.from_us, "to": self.to_us}
        return found | {name: format_us(at_us) for name, at_us in times.items() if at_us is not None}
