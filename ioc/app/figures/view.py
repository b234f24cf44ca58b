"""Figures as the API and the command line ask for them: read counts, compute, nothing kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from ioc.api.figure_ports import BrakeStanding, FigureGroup, FigureQuery, FigureReport, FigureSeries
from ioc.api.ports import NotFoundError
from ioc.incidents.figure_report import FigurePoint, Material, added, begun, points, readings
from ioc.incidents.figures import FIGURES, SAMPLED, Devices, Figure, Source
from ioc.incidents.periods import Grain, Period, Segment, Window, cover, floor, spans_of, window
from ioc.model.incidents import Incident
from ioc.model.texts import Text
from ioc.model.times import DAY_US, HOUR_US, SECOND_US
from ioc.store import figure_samples, figures
from ioc.store.figure_lists import ListQuery, read_listed
from ioc.store.figures import ALL, By, Count, Scope, Span
from ioc.store.row_scope import Pool
from ioc.store.warnings import StoredWarning, read_standings, read_warnings

Names = Callable[[], Mapping[str, Text]]
"""Names of the wards in force by code."""
_SERIES: Final = Segment.COMPARED
_SOURCES: Final = {"camera": Source.CAMERA, "detector": Source.DETECTOR}


class StoredFigures:
    """`ioc.api.figure_ports.Figures` over the database."""

    def __init__(self, pool: Pool, names: Names, clock_us: Callable[[], int]) -> None:
        self._pool = pool
        self._names = names
        self._clock_us = clock_us

    async def report(self, query: FigureQuery, by: By = By.NOTHING) -> FigureReport:
        """Return the whole, and each ward or category where `by` says so.

        Raises:
            PeriodError: the period cannot be.
        """
        now_us = self._clock_us()
        found = window(query.period, now_us, query.first, query.last)
        chosen = [FIGURES[each] for each in query.figures] or list(FIGURES.values())
        async with self._pool.connection() as connection:
            wholes = await _material(connection, query, By.NOTHING, found, now_us, chosen)
            parts = {} if by is By.NOTHING else await _material(connection, query, by, found, now_us, chosen)
        groups = [FigureGroup(None, None, readings(wholes[""], found, chosen))]
        for key in self._keys(parts, query, by):
            material = parts.get(key) or _empty(wholes[""], now_us)
            name = self._names().get(key) if by is By.WARD else None
            groups.append(FigureGroup(key, name, readings(material, found, chosen)))
        return FigureReport(now_us, found, groups)

    def _keys(self, parts: Mapping[str, Material], query: FigureQuery, by: By) -> Iterable[str]:
        keys = set(parts)
        if by is By.WARD:
            # A ward in which nothing happened is one too.
            keys |= set(self._names()) if query.wards is None else set(query.wards)
        return sorted(keys)

    async def series(self, figure: str, query: FigureQuery) -> FigureSeries:
        """Return a figure hour by hour (today) or day by day.

        Raises:
            PeriodError: the period cannot be.
        """
        now_us, chosen = self._clock_us(), FIGURES[figure]
        found = window(query.period, now_us, query.first, query.last)
        grain = Grain.HOUR if query.period is Period.TODAY else Grain.DAY
        async with self._pool.connection() as connection:
            if chosen.now:
                made = await _sampled(connection, chosen, query, found, grain)
            else:
                buckets = await _buckets(connection, query, found, grain)
                duty = await _duty(connection, query, found)
                made = points(chosen, buckets, duty, found, grain)
        return FigureSeries(now_us, found, grain, made)

    async def incidents(
        self, figure: str, query: FigureQuery, limit: int = 50, cursor: str | None = None
    ) -> tuple[Sequence[Incident], str | None]:
        """Return the incidents that make up a figure, newest first.

        Raises:
            PeriodError: the period cannot be.
            CursorError: the cursor is not one of ours.
            NotFoundError: the figure is not made of incidents.
        """
        selection = FIGURES[figure].selection
        if selection is None:
            raise NotFoundError(figure)
        found = window(query.period, self._clock_us(), query.first, query.last)
        hour_us = floor(found.end_us, Grain.HOUR)
        scope = Scope(query.wards, query.category)
        listed = ListQuery(selection, found.start_us, found.end_us, hour_us, scope, limit, cursor)
        async with self._pool.connection() as connection:
            return await read_listed(connection, listed)

    async def warnings(
        self, *, open_only: bool, wards: Sequence[str] | None, limit: int
    ) -> tuple[Sequence[StoredWarning], Sequence[BrakeStanding]]:
        """Return warnings, those that are open and severe first, and how every brake was found."""
        async with self._pool.connection() as connection:
            found = await read_warnings(connection, open_only=open_only, wards=wards, limit=limit)
            standings = await read_standings(connection)
        return found, [BrakeStanding(*each) for each in standings]


# reading ----------------------------------------------------------------------------------------------------


def _spans(spans: Iterable[tuple[str, str, int, int]]) -> list[Span]:
    return [Span(*span) for span in spans]


async def _material(
    connection: AsyncConnection[Any],
    query: FigureQuery,
    by: By,
    found: Window,
    now_us: int,
    chosen: Sequence[Figure],
) -> dict[str, Material]:
    """Return what the figures of each key come from; the key of the whole is ''."""
    scope = Scope(query.wards, query.category)
    spans = [span for span in spans_of(found) if query.trend or span.segment is not Segment.BEFORE]
    clocks = [each.clock for each in chosen if each.clock is not None]
    counts = await figures.read_counts(connection, _spans(spans), scope, by, clocks)
    overdue = await figures.read_open_due(connection, 0, now_us, scope, by)
    devices, looked_us = await figure_samples.read_devices(connection, now_us, query.wards)
    told_us = {Source.RULES: await figures.rules_reported_us(connection)} | dict.fromkeys(
        _SOURCES.values(), looked_us
    )
    ages = {source: (now_us - at_us) / SECOND_US for source, at_us in told_us.items() if at_us is not None}
    duty = await _duty(connection, query, found) if by is By.NOTHING else None
    sampled = await _samples_before(connection, query, by, found) if query.trend else {}
    by_key = _by_key(counts)
    # Before they were looked for, nobody knows whether they report.
    by_ward = {} if looked_us is None else _devices_by_ward(devices)
    everything = _joined(by_ward.values())
    if by is By.NOTHING:
        keys = {""}
    else:
        keys = set(by_key) | set(overdue) | (set(by_ward) if by is By.WARD else set())
    return {
        key: Material(
            counts=by_key.get(key, {}),
            overdue=overdue.get(key, 0),
            devices=by_ward.get(key, {}) if by is By.WARD else everything,
            duty=duty,
            sampled=sampled.get(key, {}),
            ages_s=ages,
            now_us=now_us,
        )
        for key in keys
    }


def _empty(whole: Material, now_us: int) -> Material:
    return Material(counts={}, ages_s=whole.ages_s, now_us=now_us)


def _by_key(counts: Iterable[Count]) -> dict[str, dict[Segment, dict[int, int]]]:
    found: dict[str, dict[Segment, dict[int, int]]] = {}
    for segment, key, part, n in counts:
        found.setdefault(key, {}).setdefault(Segment(segment), {})[part] = n
    return found


def _devices_by_ward(counts: Iterable[figure_samples.DeviceCount]) -> dict[str, dict[Source, Devices]]:
    found: dict[str, dict[Source, Devices]] = {}
    for kind, ward, in_service, reporting, newest_us in counts:
        found.setdefault(ward, {})[_SOURCES[kind]] = Devices(in_service, reporting, newest_us)
    return found


def _joined(wards: Iterable[Mapping[Source, Devices]]) -> dict[Source, Devices]:
    total: dict[Source, Devices] = {}
    for ward in wards:
        for source, devices in ward.items():
            total[source] = total.get(source, Devices()).joined(devices)
    return total


async def _duty(connection: AsyncConnection[Any], query: FigureQuery, found: Window) -> dict[int, int] | None:
    """Return the persons at work by hour; whoever asks for a part of the city has none of its own."""
    if query.wards is not None or query.category is not None:
        return None
    return await figures.read_duty(connection, found.start_us - found.shift_us, found.end_us)


def _sample_ward(query: FigureQuery) -> str | None:
    """Return the ward whose samples belong to the question; None where there are none."""
    if query.category is not None or (query.wards is not None and len(query.wards) != 1):
        return None
    return ALL if query.wards is None else query.wards[0]


async def _samples_before(
    connection: AsyncConnection[Any], query: FigureQuery, by: By, found: Window
) -> dict[str, dict[str, float]]:
    """Return the figures of now as they were one period ago, by key."""
    ward = _sample_ward(query)
    if by is By.CATEGORY or (by is By.NOTHING and ward is None) or query.category is not None:
        return {}
    wanted = [ward] if by is By.NOTHING and ward else query.wards
    hour_us = floor(found.end_us - found.shift_us, Grain.HOUR)
    samples = await figure_samples.read_samples(connection, SAMPLED, wanted, hour_us, hour_us + HOUR_US)
    values: dict[str, dict[str, float]] = {}
    for each in samples:
        values.setdefault("" if by is By.NOTHING else each.ward, {})[each.figure] = each.value
    return values


async def _buckets(
    connection: AsyncConnection[Any], query: FigureQuery, found: Window, grain: Grain
) -> dict[int, dict[int, int]]:
    """Return the counts of a period by bucket of `grain`; of the running day, by its hours."""
    hour_us = floor(found.end_us, Grain.HOUR)
    fine_us = found.start_us if grain is Grain.HOUR else floor(found.end_us, grain)
    spans = [
        *([(_SERIES, Grain.DAY, found.start_us, fine_us)] if found.start_us < fine_us else []),
        *cover(Segment.REST, fine_us, hour_us, Grain.HOUR),
        (Segment.RUNNING, Grain.HOUR, hour_us, found.end_us),
    ]
    scope = Scope(query.wards, query.category)
    buckets: dict[int, dict[int, int]] = {}
    for key, segments in _by_key(
        await figures.read_counts(connection, _spans(spans), scope, By.TIME)
    ).items():
        start_us = floor(int(key), grain)
        kept = [begun(parts) if each is Segment.RUNNING else parts for each, parts in segments.items()]
        buckets[start_us] = added([buckets.get(start_us, {}), *kept])
    return buckets


async def _sampled(
    connection: AsyncConnection[Any], figure: Figure, query: FigureQuery, found: Window, grain: Grain
) -> list[FigurePoint]:
    """Return a figure of now by the last sample of each bucket."""
    ward = _sample_ward(query)
    if ward is None:
        return []
    samples = await figure_samples.read_samples(connection, [figure.id], [ward], found.start_us, found.end_us)
    last = {floor(each.hour_us, grain): each for each in samples}
    width_us = HOUR_US if grain is Grain.HOUR else DAY_US
    return [
        FigurePoint(
            start_us,
            last[start_us].value if start_us in last else None,
            last[start_us].n if start_us in last else 0,
            start_us + width_us <= found.end_us,
        )
        for start_us in range(floor(found.start_us, grain), found.end_us, width_us)
    ]
