"""Early warnings from what incidents and devices do to what people are told, over a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import psycopg
import pytest

from ioc.api.figure_ports import FigureQuery
from ioc.app.figures.keeper import FigureKeeper
from ioc.app.figures.view import StoredFigures
from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.receivers import StoredReceivers
from ioc.app.settings.sections import NotifySettings
from ioc.incidents.brake_policy import Brake, BrakePolicy
from ioc.incidents.commands import Command, Op
from ioc.incidents.lifecycle import on_command
from ioc.incidents.periods import Period
from ioc.incidents.policies import Policies, ProcedurePolicy
from ioc.model.incidents import Raised, Severity, Why, incident_id
from ioc.model.notices import Kind, Receiver
from ioc.model.places import Device, DeviceKind
from ioc.model.texts import Text
from ioc.model.times import HOUR_US, MINUTE_US, from_us, parse_us
from ioc.model.warnings import WarningNotice
from ioc.store import receivers as receiver_rows
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.figures import By
from ioc.store.incidents import read_for_update, write_changes
from ioc.store.pool import Pool, open_pool
from ioc.store.row_scope import SERVICE, ScopedPool
from ioc.store.users import Person, Role
from ioc.store.warnings import StoredWarning

NO_CHECKLISTS = ProcedurePolicy(procedures=())
NOON_US = parse_us("2026-11-25T12:10:00+07:00")
WARD, OTHER = "25747", "25750"
NAMES = {WARD: Text("Phường Một", "Ward One"), OTHER: Text("Phường Hai", "Ward Two")}
TITLE = Text("Quá hạn", "Overdue")
OVERDUE = Brake(
    name="overdue", title=TITLE, figure="overdue", scope="ward", above=3, clear=1, severity=Severity.HIGH
)
LEADER = Person(username="lan", name="Lan", role=Role.LEADER, wards=None)


class Centre:
    """A keeper whose clock a test turns."""

    def __init__(self, pool: Pool, *brakes: Brake) -> None:
        self.pool = ScopedPool(pool, SERVICE)
        self.now_us = NOON_US
        self.policies = Policies(brakes=BrakePolicy(brakes=brakes), procedures=NO_CHECKLISTS)
        self.view = StoredFigures(self.pool, lambda: NAMES, lambda: self.now_us)
        self.keeper = FigureKeeper(self.pool, self.view, lambda: self.policies, lambda: self.now_us)
        self.raised = 0

    async def incidents(self, count: int, at_us: int, severity: Severity = Severity.HIGH) -> list[str]:
        """Raise incidents in `WARD`; a high one must be resolved within two hours."""
        effects = []
        for _ in range(count):
            self.raised += 1
            key = f"k{self.raised}"
            effects.append(
                Raised(
                    incident_id=incident_id("r", key, at_us), rule="r", key=key, category="traffic",
                    severity=severity, title=Text("Sự cố", "Incident"), ward=WARD, opened_us=at_us,
                    at_us=at_us, why=Why(rule_version="1", summary=Text("vì", "why")),
                )
            )  # fmt: skip
        async with self.pool.connection() as connection, connection.transaction():
            for effect in effects:
                await apply_effects(connection, [effect], self.policies)
        return [effect.incident_id for effect in effects]

    async def resolve(self, ids: list[str]) -> None:
        async with self.pool.connection() as connection, connection.transaction():
            for found in (await read_for_update(connection, ids)).values():
                command = Command(op=Op.RESOLVE, expect_rev=found.rev, idem="x" * 8, note="xong")
                await write_changes(connection, on_command(found, command, actor="an", now_us=self.now_us))

    async def look(self, minutes: int = 1) -> list[tuple[str, str, str]]:
        """Return brake, ward and stage of what changed."""
        self.now_us += minutes * MINUTE_US
        return [(each.brake, each.ward, each.stage) for each in await self.keeper.evaluate()]

    async def open_ones(self) -> list[StoredWarning]:
        found, _ = await self.view.warnings(open_only=True, wards=None, limit=10)
        return list(found)


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test") as pool:
        yield pool


async def test_a_ward_that_falls_behind_is_warned_of_once_and_told_when_it_has_caught_up(pool: Pool) -> None:
    centre = Centre(pool, OVERDUE)
    receivers = StoredReceivers(centre.pool, NotifySettings(), lambda: centre.now_us)
    for each in (
        Receiver(id="hook", kind=Kind.WEBHOOK, target="http://127.0.0.1:9/", ops=("warning",)),
        Receiver(id="other-ward", kind=Kind.WEBHOOK, target="http://127.0.0.1:9/", wards=(OTHER,)),
        Receiver(
            id="critical", kind=Kind.WEBHOOK, target="http://127.0.0.1:9/", min_severity=Severity.CRITICAL
        ),
        Receiver(id="raised", kind=Kind.WEBHOOK, target="http://127.0.0.1:9/", ops=("raised",)),
    ):
        await receivers.put(each, "an")
    ids = await centre.incidents(4, NOON_US - 3 * HOUR_US)
    assert await centre.look() == [("overdue", WARD, "crossed")]
    assert await centre.look() == []
    await centre.resolve(ids[:2])
    assert await centre.look() == [], "between threshold and clear value"
    (warning,) = await centre.open_ones()
    assert (warning.value, warning.rev, warning.n) == (2.0, 1, 2)
    await centre.resolve(ids[2:3])
    assert await centre.look() == [("overdue", WARD, "cleared")]
    assert await centre.open_ones() == []
    ended, standings = await centre.view.warnings(open_only=False, wards=None, limit=10)
    assert [(each.stage, each.rev, each.value) for each in ended] == [("cleared", 2, 1.0)]
    assert [(each.brake, each.scopes) for each in standings] == [("overdue", 2)]
    told = await _deliveries(centre, "hook")
    assert [(each.stage, each.ward, each.rev) for each in told] == [
        ("crossed", WARD, 1),
        ("cleared", WARD, 2),
    ]
    for quiet in ("other-ward", "critical", "raised"):
        assert await _deliveries(centre, quiet) == []
    notices, _ = await receivers.notices(LEADER, 10)
    assert [(each.op, each.incident_id, each.ward) for each in notices] == [("warning", warning.id, WARD)] * 2


async def _deliveries(centre: Centre, receiver: str) -> list[WarningNotice]:
    async with centre.pool.connection() as connection:
        # Deliveries are due by the keeper's clock.
        claimed = await receiver_rows.claim_deliveries(connection, receiver, centre.now_us, 1, 10)
    found = [each.notice for each in claimed]
    assert all(isinstance(notice, WarningNotice) for notice in found)
    return [notice for notice in found if isinstance(notice, WarningNotice)]


async def test_the_queue_says_beforehand_when_a_ward_will_fall_behind(pool: Pool) -> None:
    centre = Centre(pool, msgspec.structs.replace(OVERDUE, forecast="2h"))
    await centre.incidents(4, NOON_US - HOUR_US)
    assert await centre.look() == [("overdue", WARD, "forecast")]
    (warning,) = await centre.open_ones()
    assert warning.forecast is not None
    # They are due an hour from now.
    assert from_us(NOON_US) < warning.forecast <= from_us(NOON_US + 90 * MINUTE_US)
    assert await centre.look(55) == [], "still ahead"
    assert await centre.look(10) == [("overdue", WARD, "crossed")]
    (crossed,) = await centre.open_ones()
    assert (crossed.id, crossed.rev) == (warning.id, 2)


async def test_a_forecast_ends_when_the_work_is_done_in_time(pool: Pool) -> None:
    centre = Centre(pool, msgspec.structs.replace(OVERDUE, forecast="2h"))
    ids = await centre.incidents(4, NOON_US - HOUR_US)
    assert await centre.look() == [("overdue", WARD, "forecast")]
    await centre.resolve(ids)
    assert await centre.look(15) == [("overdue", WARD, "cleared")]


async def test_cameras_fall_silent_and_the_page_says_how_old_that_is(pool: Pool) -> None:
    brake = Brake(
        name="cameras", title=TITLE, figure="camera_coverage", scope="ward", below=0.7, clear=0.85, min_n=3
    )
    centre = Centre(pool, brake)
    async with centre.pool.connection() as connection:
        await upsert_devices(
            connection,
            [Device(id=f"cam-{n}", kind=DeviceKind.CAMERA, name="C", ward=WARD) for n in range(4)]
            + [Device(id="far", kind=DeviceKind.CAMERA, name="C", ward=OTHER)],
        )
    await _seen(centre, ["cam-0", "cam-1"], NOON_US - 2 * MINUTE_US)
    await _seen(centre, ["cam-2"], NOON_US - 20 * MINUTE_US)
    await centre.keeper.sample()
    report = await centre.view.report(FigureQuery(figures=("camera_coverage", "camera_age", "open")), By.WARD)
    values = {group.key: group.figures for group in report.groups}
    assert [each.value for each in values[WARD]] == [0.5, 120.0, 0.0]
    assert [each.value for each in values[OTHER]] == [0.0, None, 0.0]
    assert values[None][0].value == 0.4
    assert values[WARD][2].coverage == 0.5
    assert values[WARD][0].age_s == 0.0
    # The other ward has a single camera: too few to conclude anything.
    assert await centre.look() == [("cameras", WARD, "crossed")]
    _, standings = await centre.view.warnings(open_only=True, wards=None, limit=10)
    assert [(each.scopes, each.blind) for each in standings] == [(2, 1)]
    await _seen(centre, ["cam-2", "cam-3"], centre.now_us)
    await centre.keeper.sample()
    assert await centre.look() == [("cameras", WARD, "cleared")]


async def _seen(centre: Centre, cameras: list[str], at_us: int) -> None:
    async with centre.pool.connection() as connection:
        for camera in cameras:
            await connection.execute(
                "INSERT INTO camera_event (time, received, event_id, source, type, ward)"
                " VALUES (%s, %s, %s, %s, 'camera.status', %s)",
                (from_us(at_us), from_us(at_us), f"{camera}-{at_us}", camera, WARD),
            )


async def test_figures_of_now_have_a_past_hour_by_hour(pool: Pool) -> None:
    centre = Centre(pool)
    ids = await centre.incidents(2, NOON_US - 3 * HOUR_US)
    await centre.keeper.sample()
    await centre.resolve(ids[:1])
    centre.now_us += 20 * MINUTE_US
    await centre.keeper.sample()
    centre.now_us += HOUR_US
    await centre.keeper.sample()
    series = await centre.view.series("open", FigureQuery(wards=(WARD,)))
    known = {point.time_us: point.value for point in series.points if point.value is not None}
    hour_us = NOON_US - NOON_US % HOUR_US
    assert known == {hour_us: 1.0, hour_us + HOUR_US: 1.0}
    assert len(series.points) == 14
    assert [point.complete for point in series.points] == [True] * 13 + [False]
    centre.now_us += 24 * HOUR_US
    report = await centre.view.report(FigureQuery(figures=("open",), wards=(WARD,)))
    trend = report.groups[0].figures[0].trend
    assert trend
    assert (trend.before, trend.now, trend.verdict.value) == (1.0, 1.0, "same")


async def test_a_series_adds_up_to_the_figure_of_its_period(pool: Pool) -> None:
    centre = Centre(pool)
    for days in range(20):
        await centre.incidents(days % 4 + 1, NOON_US - days * 24 * HOUR_US - 5 * HOUR_US)
    await centre.keeper.fold()
    await centre.incidents(3, NOON_US - 3 * HOUR_US)
    for period in (Period.TODAY, Period.WEEK, Period.MONTH):
        query = FigureQuery(period=period, figures=("detected", "within_time"))
        detected, within = (await centre.view.report(query)).groups[0].figures
        for reading in (detected, within):
            series = await centre.view.series(reading.figure, query)
            assert sum(point.n for point in series.points) == reading.n, (period, reading.figure)


async def test_a_brake_that_is_removed_ends_what_it_had_warned_of(pool: Pool) -> None:
    centre = Centre(pool, OVERDUE)
    await centre.incidents(4, NOON_US - 3 * HOUR_US)
    await centre.look()
    centre.policies = Policies(brakes=BrakePolicy(brakes=()))
    assert await centre.look() == [("overdue", WARD, "cleared")]
    assert await centre.open_ones() == []


async def test_two_keepers_never_open_a_warning_twice(pool: Pool) -> None:
    centre = Centre(pool, OVERDUE)
    await centre.incidents(4, NOON_US - 3 * HOUR_US)
    await centre.look()
    (warning,) = await centre.open_ones()
    async with centre.pool.connection() as connection:
        copied: dict[str, Any] = {name: getattr(warning, name) for name in ("brake", "figure", "ward")}
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.execute(
                "INSERT INTO warning SELECT 'wrn-second', rev, brake, title, figure, ward, category, period,"
                " severity, stage, opened, changed, crossed, cleared, forecast, value, threshold, clear_at,"
                " n, coverage, blind, role FROM warning WHERE brake = %(brake)s AND ward = %(ward)s",
                copied,
            )
