"""Leaves out what matters least while the service cannot keep up (DESIGN §11). Pure.

    level            thinned to one event per source and type every `KEEP_S`
    0 nothing        –
    1 analytics      what cameras see all the time: objects, counts
    2 measurements   the same, detectors' measurements, plates
    never            alarms, situations, reports, votes, states of devices

Nothing falls silent: a source that is thinned is still heard of, so rules of silence do not mind. Only what
the log has taken keeps the next out: no refused event does, no repeat, and none whose append failed. An event
that was left out is neither stored nor remembered; the answer to its sender counts it (`shed`).

Follows the criticality classes of Google's SRE book, "Handling Overload".
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from ioc.ingest.decoders.base import Decoded
from ioc.model.events import (
    CameraCount,
    CameraObject,
    CameraPlate,
    EventData,
    TrafficFlow,
    TrafficTravelTime,
)
from ioc.model.times import SECOND_US

KEEP_S: Final = 15
"""Well below the silence that `camera-silent` and `detector-silent` wait for."""
LEAST_BEHIND: Final = 2_000
"""Fewer records that wait are never overload, however slowly they go."""
CALM_LOOKS: Final = 5
"""So many looks in a row have to be calm before a level is left."""
CALM_SHARE: Final = 1 / 3
"""Calm is a delay of less than this share of the one at which shedding begins."""


class Level(IntEnum):
    """What is thinned."""

    NOTHING = 0
    ANALYTICS = 1
    MEASUREMENTS = 2


_ANALYTICS: Final = frozenset[type[EventData]]({CameraObject, CameraCount})
_THINNED: Final[dict[Level, frozenset[type[EventData]]]] = {
    Level.NOTHING: frozenset(),
    Level.ANALYTICS: _ANALYTICS,
    Level.MEASUREMENTS: _ANALYTICS | {TrafficFlow, TrafficTravelTime, CameraPlate},
}


class _Kept(NamedTuple):
    at_us: int
    event_id: str


class Shedder:
    """Thins events at the present `level`."""

    def __init__(self) -> None:
        self._level = Level.NOTHING
        self._kept: dict[str, dict[type[EventData], _Kept]] = {}
        """By source."""

    @property
    def level(self) -> Level:
        """What is thinned now."""
        return self._level

    @level.setter
    def level(self, level: Level) -> None:
        self._level = level
        if level is Level.NOTHING:
            self._kept.clear()

    def leaves_out(self, event: Decoded, now_us: int) -> bool:
        """Return whether `event` is left out; one that is not stands for its source's next `KEEP_S`.

        Ask only for events that would otherwise be let in, and `forget` those that were not after all.
        """
        kind = type(event.data)
        if kind not in _THINNED[self._level]:
            return False
        of_source = self._kept.setdefault(event.source, {})
        kept = of_source.get(kind)
        # A clock that was put back must not silence anybody until it comes to that time again.
        if kept is not None and 0 <= now_us - kept.at_us < KEEP_S * SECOND_US:
            return True
        of_source[kind] = _Kept(now_us, event.id)
        return False

    def forget(self, events: Iterable[tuple[str, str]]) -> None:
        """Let none of `events`, pairs of source and id, stand for its source: the log has not taken them."""
        for source, event_id in events:
            of_source = self._kept.get(source, {})
            for kind in [kind for kind, kept in of_source.items() if kept.event_id == event_id]:
                del of_source[kind]


class Progress(NamedTuple):
    """How far a group of consumers has come, over all partitions, in records."""

    taken: int
    behind: int


class LoadGauge:
    """Decides the level from how consumers get on. One look a second or so.

    Overload is a group that works, is more than `after_s` behind at the pace it works at, and falls further
    behind. One that stands still is out of order, one that catches up needs no help: the log waits for both.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._level = Level.NOTHING
        self._seen: Mapping[str, Progress] = {}
        self._seen_us = 0
        self._calm = 0
        self.delay_s = 0.0
        """The longest delay of a group at the last look."""

    def look(self, groups: Mapping[str, Progress], now_us: int) -> Level:
        """Return the level from now on."""
        elapsed_s = (now_us - self._seen_us) / SECOND_US
        delays = [
            (progress.behind * elapsed_s / worked, progress.behind > before.behind)
            for group, progress in groups.items()
            if (before := self._seen.get(group)) is not None
            and progress.behind >= LEAST_BEHIND
            and (worked := progress.taken - before.taken) > 0
        ]
        self._seen, self._seen_us = groups, now_us
        self.delay_s = max((delay_s for delay_s, _ in delays), default=0.0)
        if any(delay_s > self._after_s and grows for delay_s, grows in delays):
            self._calm = 0
            self._level = Level(min(self._level + 1, max(Level)))
        elif self.delay_s < self._after_s * CALM_SHARE:
            self._calm += 1
            if self._calm >= CALM_LOOKS:
                self._calm = 0
                self._level = Level(max(self._level - 1, 0))
        else:
            self._calm = 0
        return self._level
