"""A past range played again: what consoles need to show it without asking for every moment."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from prometheus_client import Counter

from ioc.api.answers import documented, json_answer
from ioc.api.history import parse_time
from ioc.api.ports import History
from ioc.api.problems import NO_NUL, Problem, refused
from ioc.api.security import Access, Right, require_right, visible_wards
from ioc.model.events import Event
from ioc.model.times import DAY_US, HOUR_US, MINUTE_US, SECOND_US, format_us
from ioc.store.playback import COVERAGE_S, Histogram, PlaybackRange, Revisions, TooMuchError
from ioc.store.users import Person
from ioc.stream.ports import ClockUs
from ioc.stream.states import EntityStates
from ioc.stream.wire import EntityState, IncidentJson, incident_view

_values = Counter("ioc_playback_values_total", "Values of devices read to play the past")
_refused = Counter("ioc_playback_refused_total", "Questions about the past beyond a bound", ["bound"])


class PlaybackBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the past one question may ask for."""

    span_us: int = DAY_US
    """Longest range of incidents and of the histogram."""
    states_us: int = HOUR_US
    """Longest range of states."""
    steps: int = 180
    buckets: int = 300
    values: int = 100_000
    """Of each stream."""
    silent_us: int = 120 * SECOND_US
    """What was silent for longer before the start is not part of the first frame."""


class Frame(msgspec.Struct, frozen=True):
    """The states that changed until `at`; of the first frame, all of them."""

    at: str
    items: list[EntityState]


class States(msgspec.Struct, frozen=True):
    """Frames in order; a step without a change has none."""

    frames: list[Frame]


class _EncodedFrame(msgspec.Struct, frozen=True):
    """A `Frame` whose items are JSON already."""

    at: str
    items: list[msgspec.Raw]


class _EncodedStates(msgspec.Struct, frozen=True):
    frames: list[_EncodedFrame]


class RevisionJson(msgspec.Struct, frozen=True):
    """An incident as consoles got it at `at`."""

    at: str
    incident: IncidentJson


class RevisionPage(msgspec.Struct, frozen=True):
    """`base` was shown at `from` (first page only), `changes` followed in this order. `next` null ends them.

    Of times before `kept_from` nothing is known of incidents that have changed since.
    """

    base: list[IncidentJson]
    changes: list[RevisionJson]
    next: int | None
    kept_from: str | None


class DetectedJson(msgspec.Struct, frozen=True):
    """Incidents detected within the bucket that begins at `time`, without those grouped under another."""

    time: str
    severity: str
    incidents: int


class CoverageJson(msgspec.Struct, frozen=True):
    """Measurements of detectors and counts of cameras in the 5 minutes that begin at `time`."""

    time: str
    events: int


class HistogramJson(msgspec.Struct, frozen=True):
    """Buckets in which there was something, oldest first."""

    bucket_s: int
    coverage_s: int
    incidents: list[DetectedJson]
    coverage: list[CoverageJson]


def frames_of(
    before: Sequence[Event], steps: Sequence[tuple[int, Event]], from_us: int, step_us: int
) -> Iterator[tuple[int, list[msgspec.Raw]]]:
    """Yield time and changed states: all at `from_us`, then once per step with a change (pure)."""
    states = EntityStates()
    for event in before:
        states.apply(event)
    batch = states.collect()
    yield from_us, [entry.part for entry in batch.entries if entry.part is not None] if batch else []
    for number, group in groupby(steps, key=lambda item: item[0]):
        for _, event in group:
            states.apply(event)
        if batch := states.collect():
            yield from_us + number * step_us, [e.part for e in batch.entries if e.part is not None]


def replay_router(history: History, access: Access, clock_us: ClockUs, bounds: PlaybackBounds) -> APIRouter:
    """Return the routes. Whoever sees every ward may leave `ward` out."""
    router = APIRouter(prefix="/api/v1/playback", tags=["history"])

    def asked(
        person: Annotated[Person, Depends(access.person)],
        start: Annotated[str | None, Query(alias="from", max_length=40)] = None,
        end: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
    ) -> PlaybackRange:
        """Return the range: by default the last 15 minutes."""
        require_right(person, Right.HISTORY)
        to_us = parse_time("to", end, clock_us())
        from_us = parse_time("from", start, max(0, to_us - 15 * MINUTE_US))
        _require_span(to_us - from_us, bounds)
        return PlaybackRange(from_us=from_us, to_us=to_us, wards=visible_wards(person, ward))

    @router.get("/states", **documented(States, text="Cameras and detectors step by step."))
    async def read_states(
        span: Annotated[PlaybackRange, Depends(asked)], step_s: Annotated[int, Query(ge=1, le=3_600)] = 10
    ) -> Response:
        """Return the states at `from` and what changed in each step; by default an hour and 180 steps.

        What had been silent for two minutes (`playback.silent_s`) before `from` is left out. More values than
        `playback.max_values` are refused by the rule `too_much`: ask for longer steps.
        """
        step_us = _step_us(span, step_s, bounds)
        try:
            steps = await history.steps(span, step_us, bounds.values)
        except TooMuchError as error:
            raise _beyond("values", "to", "too_much", str(error)) from error
        before = await history.moment(span.wards, span.from_us, bounds.silent_us)
        _values.inc(len(before) + len(steps))
        # Beside the loop: the feed must not wait for thousands of values.
        return json_answer(await asyncio.to_thread(_states, before, steps, span.from_us, step_us))

    @router.get("/incidents", **documented(RevisionPage, text="Incidents as they were, in order."))
    async def read_incidents(
        span: Annotated[PlaybackRange, Depends(asked)],
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 500,
    ) -> Response:
        """Return what was open at `from` and what changed until `to`, as consoles were told.

        Only of incidents that may be seen now. The next page is asked for by `after`: the `next` before.
        """
        found = await history.revisions(span, after, limit)
        return json_answer(_page(found))

    @router.get("/histogram", **documented(HistogramJson, text="How much happened when."))
    async def read_histogram(
        span: Annotated[PlaybackRange, Depends(asked)], bucket_s: Annotated[int, Query(ge=1, le=86_400)] = 60
    ) -> Response:
        """Return incidents by when they were detected, and events per 5 minutes; 300 buckets."""
        _require_buckets(span, bucket_s, bounds)
        found = await history.histogram(span, bucket_s)
        return json_answer(_histogram(found, bucket_s))

    return router


def _states(
    before: Sequence[Event], steps: Sequence[tuple[int, Event]], from_us: int, step_us: int
) -> _EncodedStates:
    frames = frames_of(before, steps, from_us, step_us)
    return _EncodedStates([_EncodedFrame(format_us(at), items) for at, items in frames])


def _page(found: Revisions) -> RevisionPage:
    return RevisionPage(
        [incident_view(incident) for incident in found.base],
        [RevisionJson(format_us(each.at_us), incident_view(each.incident)) for each in found.changes],
        found.next,
        None if found.kept_from_us is None else format_us(found.kept_from_us),
    )


def _histogram(found: Histogram, bucket_s: int) -> HistogramJson:
    return HistogramJson(
        bucket_s,
        COVERAGE_S,
        [DetectedJson(format_us(at), severity, count) for at, severity, count in found.incidents],
        [CoverageJson(format_us(at), count) for at, count in found.coverage],
    )


def _require_span(length_us: int, bounds: PlaybackBounds) -> None:
    if length_us <= 0:
        raise refused("from", "span", "expected from before to")
    if length_us > bounds.span_us:
        hours = bounds.span_us // HOUR_US
        raise _beyond("span", "from", "span", f"expected at most {hours} hours between from and to")


def _require_buckets(span: PlaybackRange, bucket_s: int, bounds: PlaybackBounds) -> None:
    if span.to_us - span.from_us > bounds.buckets * bucket_s * SECOND_US:
        words = f"expected at most {bounds.buckets} buckets: ask for wider ones"
        raise _beyond("buckets", "bucket_s", "range", words)


def _step_us(span: PlaybackRange, step_s: int, bounds: PlaybackBounds) -> int:
    if span.to_us - span.from_us > bounds.states_us:
        minutes = bounds.states_us // MINUTE_US
        raise _beyond("states", "from", "span", f"expected at most {minutes} minutes between from and to")
    step_us = step_s * SECOND_US
    if span.to_us - span.from_us > bounds.steps * step_us:
        words = f"expected at most {bounds.steps} steps: ask for longer ones"
        raise _beyond("steps", "step_s", "range", words)
    return step_us


def _beyond(bound: str, field: str, rule: str, words: str) -> Problem:
    _refused.labels(bound).inc()
    return refused(field, rule, words)
