"""The past as the map and charts show it: the state at a moment, and 5-minute series."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from ioc.api.answers import documented, json_answer
from ioc.api.history import MAX_SPAN_US, parse_time
from ioc.api.ports import History
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, require_right, visible_wards
from ioc.model.events import Event, Stream
from ioc.model.times import DAY_US, SECOND_US, format_us
from ioc.store.series import SeriesQuery
from ioc.store.users import Person
from ioc.stream.ports import ClockUs
from ioc.stream.states import EntityStates
from ioc.stream.wire import EntityState

MAX_WINDOW_S = 3_600


class SeriesStream(StrEnum):
    """The streams that have 5-minute aggregates."""

    CAMERA = "camera"
    TRAFFIC = "traffic"


class SeriesPoint(msgspec.Struct, frozen=True):
    """One bucket that begins at `time`. `values` of traffic: `measurements`, `volume_veh` (sum), `speeds`
    (how many measurements had one), `speed_kmh`, `speed_min_kmh`, `speed_max_kmh`, `occupancies`, `occupancy`
    (means over measurements). Of cameras: `views` (counts of what is in view), `people`, `vehicles` (mean; in
    a ward the sum of its cameras' means), `people_max`, `vehicles_max`, `stopped_vehicles_max`, `intervals`
    (counts over an interval), `people_counted`, `vehicles_counted` (sums). In a ward also `sources`.
    """

    time: str
    ward: str | None
    values: dict[str, int | float | None]


class Series(msgspec.Struct, frozen=True):
    """Buckets of 5 minutes in which something was measured, oldest first."""

    bucket_s: int
    points: list[SeriesPoint]


class Moment(msgspec.Struct, frozen=True):
    """What the map showed at `at`: the newest values of the time window that ended then."""

    at: str
    window_s: int
    items: list[EntityState]


class _EncodedMoment(msgspec.Struct, frozen=True):
    """A `Moment` whose items are JSON already."""

    at: str
    window_s: int
    items: list[msgspec.Raw]


def _states(events: Sequence[Event]) -> list[msgspec.Raw]:
    states = EntityStates()
    for event in events:
        states.apply(event)
    batch = states.collect()
    return [entry.part for entry in batch.entries if entry.part is not None] if batch else []


def playback_router(history: History, access: Access, clock_us: ClockUs) -> APIRouter:
    """Return the routes; they come before `history_router`'s, whose pattern matches `moment` too."""
    router = APIRouter(prefix="/api/v1/history", tags=["history"])

    @router.get("/moment", **documented(Moment, text="Cameras and detectors of the wards, as in the feed."))
    async def read_moment(
        person: Annotated[Person, Depends(access.person)],
        at: Annotated[str | None, Query(max_length=40)] = None,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
        window_s: Annotated[int, Query(ge=1, le=MAX_WINDOW_S)] = 900,
    ) -> Response:
        """Return the state of one ward's cameras and detectors at a past moment; by default now.

        What was silent for `window_s` before is left out. Whoever sees every ward names one.
        """
        require_right(person, Right.HISTORY)
        at_us = parse_time("at", at, clock_us())
        wards = visible_wards(person, ward)
        if wards is None:
            raise refused("ward", "required", "Name a ward: the state of one ward is read at a time.")
        events = await history.moment(wards, at_us, window_s * SECOND_US)
        return json_answer(_EncodedMoment(format_us(at_us), window_s, _states(events)))

    @router.get("/{stream}/series", **documented(Series, text="Buckets of 5 minutes, oldest first."))
    async def read_series(
        stream: SeriesStream,
        person: Annotated[Person, Depends(access.person)],
        start: Annotated[str | None, Query(alias="from", max_length=40)] = None,
        end: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        source: Annotated[str | None, Query(max_length=200), NO_NUL] = None,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
    ) -> Response:
        """Return 5-minute aggregates of one source or of one whole ward; by default of the last day.

        31 days at most. They are kept longer than the events they were computed from.
        """
        require_right(person, Right.HISTORY)
        if (source is None) == (ward is None):
            raise refused("source", "one_of", "Name either a source or a ward.")
        to_us = parse_time("to", end, clock_us())
        from_us = parse_time("from", start, to_us - DAY_US)
        if not 0 <= to_us - from_us <= MAX_SPAN_US:
            raise refused("from", "span", "expected from before to, and at most 31 days between them")
        query = SeriesQuery(
            stream=Stream(stream.value),
            from_us=from_us,
            to_us=to_us,
            source=source,
            ward=ward,
            wards=visible_wards(person, ward),
        )
        points = [
            SeriesPoint(format_us(point.time_us), point.ward, point.values)
            for point in await history.series(query)
        ]
        return json_answer(Series(300, points))

    return router
