"""Keeps figures: folds what changed, samples what is only known now, and evaluates the brakes.

When it stands still no figure is wrong: counts are exact without folding. Coverage grows old, which its age
says, and warnings do not change, which `ioc_brakes_evaluated_timestamp_seconds` and the page say.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection

from ioc.api.figure_ports import FigureGroup, FigureQuery
from ioc.app.figures.view import StoredFigures
from ioc.app.incidents.notifier import tell
from ioc.app.retry import RETRYABLE
from ioc.incidents.brake_policy import Brake
from ioc.incidents.brakes import (
    Memory,
    Observed,
    Outcome,
    Point,
    Stage,
    Warning,
    evaluate,
    horizon_us,
    queue_path,
    withdrawn,
)
from ioc.incidents.figures import SAMPLED, Part
from ioc.incidents.periods import Grain, Period, Segment, cover, floor
from ioc.incidents.policies import Policies
from ioc.model.notices import Kind, Receiver
from ioc.model.times import HOUR_US, SECOND_US, from_us, to_us
from ioc.model.warnings import WarningNotice
from ioc.store import figure_samples, figures, receivers
from ioc.store import warnings as rows
from ioc.store.pool import Pool

MAX_FOLDS: Final = 50
"""Transactions of folding in one round; what is left waits for the next."""
FORGET_EVERY_US: Final = HOUR_US
PACE_HOURS: Final = 24

_log = structlog.get_logger()
_folded = Counter("ioc_figure_changes_total", "Changes of counts folded into the sums of figures")
_evaluated = Gauge(
    "ioc_brakes_evaluated_timestamp_seconds", "When the brakes were last evaluated, seconds since 1970"
)
_open = Gauge("ioc_warnings_open", "Early warnings that are open", ["stage"])
_blind = Gauge("ioc_brake_scopes_blind", "Scopes of brakes with too little data to conclude anything")
_changes = Counter("ioc_warning_changes_total", "Early warnings that opened, crossed or ended", ["stage"])


class FigureKeeper:
    """Folds every `fold_s` seconds; looks at devices, samples and brakes every `evaluate_s`."""

    def __init__(
        self,
        pool: Pool,
        figures_: StoredFigures,
        policies: Callable[[], Policies],
        clock_us: Callable[[], int],
        *,
        fold_s: float = 10.0,
        evaluate_s: float = 60.0,
    ) -> None:
        """Use `pool` and `figures_` with the scope of the service."""
        self._pool = pool
        self._figures = figures_
        self._policies = policies
        self._clock_us = clock_us
        self._fold_s = fold_s
        self._evaluate_us = round(evaluate_s * SECOND_US)
        # Not at once: devices that were silent while nobody listened shall have the time to speak.
        self._evaluated_us = clock_us()
        self._forgot_us = 0

    async def run(self) -> None:
        """Keep until cancelled."""
        while True:
            try:
                await self.fold()
                if self._clock_us() - self._evaluated_us >= self._evaluate_us:
                    await self.sample()
                    await self.evaluate()
                    self._evaluated_us = self._clock_us()
                await self._forget()
            except RETRYABLE as error:
                _log.warning("figures could not be kept, it will be tried again", error=str(error))
            await asyncio.sleep(self._fold_s)

    async def fold(self) -> int:
        """Fold what has changed and return how many changes that was."""
        total = 0
        for _ in range(MAX_FOLDS):
            async with self._pool.connection() as connection, connection.transaction():
                done = await figures.fold(connection, self._clock_us())
            total += done
            if done < figures.FOLD_ROWS:
                break
        _folded.inc(total)
        return total

    async def sample(self) -> None:
        """Note when devices were last heard of, and how the figures of now are in this hour."""
        async with self._pool.connection() as connection:
            await figure_samples.look_for_devices(connection, self._clock_us())
        report = await self._figures.report(FigureQuery(figures=SAMPLED, trend=False), figures.By.WARD)
        hour_us = floor(report.now_us, Grain.HOUR)
        samples = [
            figure_samples.Sample(
                each.figure, figures.ALL if group.key is None else group.key, hour_us, each.value, each.n
            )
            for group in report.groups
            for each in group.figures
            if each.value is not None
        ]
        async with self._pool.connection() as connection:
            await figure_samples.write_samples(connection, samples)

    async def _forget(self) -> None:
        now_us = self._clock_us()
        if now_us - self._forgot_us < FORGET_EVERY_US:
            return
        self._forgot_us = now_us
        async with self._pool.connection() as connection:
            await figures.forget_hours(connection, now_us)
            await figure_samples.forget_samples(connection, now_us)
            await rows.forget_warnings(connection, now_us)

    async def evaluate(self) -> list[rows.StoredWarning]:
        """Evaluate every brake once and return the warnings of which the stage changed, as they were told."""
        brakes = self._policies().brakes.brakes
        seen = [(brake, await self._observe(brake)) for brake in brakes]
        async with self._pool.connection() as connection, connection.transaction():
            if not await rows.alone(connection):
                return []
            known = await self._known(connection)
            now_us = self._clock_us()
            outcomes = {
                (brake.name, ward): (
                    brake,
                    evaluate(brake, known.get((brake.name, ward), Memory()), each, ward),
                )
                for brake, wards in seen
                for ward, each in wards.items()
            }
            stored = await rows.read_open(connection)
            gone = [_gone(each, now_us) for each in stored if (each.brake, each.ward) not in outcomes]
            told = [*gone, *await self._store(connection, outcomes, gone, known)]
            await rows.write_standings(connection, _standings(brakes, outcomes, now_us))
            await _tell(connection, told, now_us)
        self._count(outcomes, told)
        return told

    def _count(
        self, outcomes: Mapping[Any, tuple[Brake, Outcome]], told: Sequence[rows.StoredWarning]
    ) -> None:
        for stage in (Stage.FORECAST, Stage.CROSSED):
            found = (outcome.memory.warning for _, outcome in outcomes.values())
            _open.labels(stage).set(sum(each is not None and each.stage is stage for each in found))
        _blind.set(sum(outcome.blind for _, outcome in outcomes.values()))
        _evaluated.set(self._clock_us() / SECOND_US)
        for each in told:
            _changes.labels(each.stage).inc()
            _log.info("warning changed", warning=each.id, brake=each.brake, ward=each.ward, stage=each.stage)

    async def _known(self, connection: AsyncConnection[Any]) -> dict[tuple[str, str], Memory]:
        points = await rows.read_memories(connection)
        stored = {(each.brake, each.ward): _warning(each) for each in await rows.read_open(connection)}
        return {
            key: Memory(
                points=tuple(Point(int(at_us), value) for at_us, value in points.get(key, ())),
                warning=stored.get(key),
            )
            for key in points.keys() | stored.keys()
        }

    async def _store(
        self,
        connection: AsyncConnection[Any],
        outcomes: Mapping[tuple[str, str], tuple[Brake, Outcome]],
        gone: Sequence[rows.StoredWarning],
        known: Mapping[tuple[str, str], Memory],
    ) -> list[rows.StoredWarning]:
        found = {
            key: (_stored(brake, key[1], outcome.warning), outcome.changed)
            for key, (brake, outcome) in outcomes.items()
            if outcome.warning is not None
        }
        await rows.write_warnings(connection, [*gone, *(warning for warning, _ in found.values())])
        moved = {
            key: [[point.at_us, point.value] for point in outcome.memory.points]
            for key, (_, outcome) in outcomes.items()
            if outcome.memory.points != known.get(key, Memory()).points
        }
        await rows.write_memories(connection, moved)
        return [warning for warning, changed in found.values() if changed]

    # what brakes look at ------------------------------------------------------------------------------------

    async def _observe(self, brake: Brake) -> dict[str, Observed]:
        """Return what a brake sees by ward, or of the whole city under '*'."""
        query = FigureQuery(
            period=Period(brake.period),
            category=brake.category,
            wards=brake.wards,
            figures=(brake.figure,),
            trend=False,
        )
        by_ward = brake.scope == "ward"
        report = await self._figures.report(query, figures.By.WARD if by_ward else figures.By.NOTHING)
        paths = await self._queues(brake, report.now_us, report.groups)
        groups = [group for group in report.groups if (group.key is not None) == by_ward and group.key != ""]
        return {
            ward: Observed(
                at_us=report.now_us,
                value=group.figures[0].value,
                n=group.figures[0].n,
                coverage=group.figures[0].coverage,
                path=paths.get(ward),
            )
            for group in groups
            for ward in [rows.CITY if group.key is None else group.key]
        }

    async def _queues(
        self, brake: Brake, now_us: int, groups: Iterable[FigureGroup]
    ) -> dict[str, Sequence[Point]]:
        """Return how many will be overdue by ward, where the brake is about them and looks ahead."""
        ahead_us = horizon_us(brake)
        if brake.figure != "overdue" or not ahead_us:
            return {}
        hour_us = floor(now_us, Grain.HOUR)
        spans = cover(Segment.COMPARED, hour_us - PACE_HOURS * HOUR_US, hour_us, Grain.HOUR)
        scope = figures.Scope(brake.wards, brake.category)
        async with self._pool.connection() as connection:
            queue = await figures.read_queue(connection, now_us, now_us + ahead_us, brake.category)
            counts = await figures.read_counts(
                connection, [figures.Span(*span) for span in spans], scope, figures.By.WARD
            )
        done = {count.key: count.n for count in counts if count.part == Part.FINISHED}
        paths: dict[str, Sequence[Point]] = {}
        for group in groups:
            chosen = list(queue) if group.key is None else [group.key]
            due = sorted(each for ward in chosen for each in queue.get(ward, ()))
            finished = sum(done.values()) if group.key is None else done.get(group.key, 0)
            overdue = round(group.figures[0].value or 0)
            path = queue_path(overdue, due, finished / PACE_HOURS, now_us, ahead_us)
            paths[rows.CITY if group.key is None else group.key] = path
        return paths


# between what is evaluated and what is stored ---------------------------------------------------------------


def _stored(brake: Brake, ward: str, warning: Warning) -> rows.StoredWarning:
    return rows.StoredWarning(
        id=warning.id, rev=warning.rev, brake=brake.name, title=brake.title, figure=brake.figure, ward=ward,
        category=brake.category, period=brake.period, severity=brake.severity, stage=warning.stage,
        opened=from_us(warning.opened_us), changed=from_us(warning.changed_us),
        crossed=_moment(warning.crossed_us), cleared=_moment(warning.cleared_us),
        forecast=_moment(warning.forecast_us), value=warning.value, threshold=brake.threshold,
        clear_at=brake.clear, n=warning.n, coverage=warning.coverage, blind=warning.blind, role=brake.to,
    )  # fmt: skip


def _warning(stored: rows.StoredWarning) -> Warning:
    return Warning(
        id=stored.id, rev=stored.rev, stage=Stage(stored.stage), opened_us=to_us(stored.opened),
        changed_us=to_us(stored.changed), value=stored.value, n=stored.n, coverage=stored.coverage,
        crossed_us=_time_us(stored.crossed), cleared_us=None,
        forecast_us=_time_us(stored.forecast), blind=stored.blind,
    )  # fmt: skip


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else from_us(time_us)


def _time_us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _gone(stored: rows.StoredWarning, now_us: int) -> rows.StoredWarning:
    """Return an open warning whose brake no longer watches its scope, as ended."""
    ended = withdrawn(_warning(stored), now_us)
    moment = from_us(now_us)
    return msgspec.structs.replace(stored, rev=ended.rev, stage=ended.stage, changed=moment, cleared=moment)


def _standings(
    brakes: Iterable[Brake], outcomes: Mapping[tuple[str, str], tuple[Brake, Outcome]], now_us: int
) -> list[rows.Standing]:
    blind: dict[str, list[bool]] = {brake.name: [] for brake in brakes}
    for (name, _), (_, outcome) in outcomes.items():
        blind[name].append(outcome.blind)
    return [
        rows.Standing(brake.name, brake.title, len(blind[brake.name]), sum(blind[brake.name]), now_us)
        for brake in brakes
    ]


async def _tell(
    connection: AsyncConnection[Any], warnings: Sequence[rows.StoredWarning], now_us: int
) -> None:
    """Queue what changed for the receivers who want warnings, and show it to the role of each brake."""
    if not warnings:
        return
    notices = [_notice(each) for each in warnings]
    await tell(connection, notices, now_us)
    roles = [Receiver(id="brake", kind=Kind.IN_APP, target=each.role) for each in warnings]
    await receivers.add_notices(connection, list(zip(roles, notices, strict=True)))


def _notice(stored: rows.StoredWarning) -> WarningNotice:
    return WarningNotice(
        warning=stored.id, rev=stored.rev, at_us=to_us(stored.changed), brake=stored.brake,
        title=stored.title, figure=stored.figure, category=stored.category,
        ward=None if stored.ward == rows.CITY else stored.ward,
        severity=stored.severity, stage=stored.stage, value=stored.value, threshold=stored.threshold,
        n=stored.n, coverage=stored.coverage, forecast_us=_time_us(stored.forecast),
    )  # fmt: skip
