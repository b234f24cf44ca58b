"""More partitions in mid-stream, over either log: the same incidents, whatever dies on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from ioc.app.core import refuse_other_partitions
from ioc.app.directory import Directory
from ioc.app.eventlog import drain as log_drain
from ioc.app.eventlog import partitions as log_partitions
from ioc.app.eventlog.partitions import PartitionAdder, PartitionsError
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.sets import RuleSets, ensure_first_version
from ioc.app.rules.settled import rules_settled
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings import Settings
from ioc.app.settings.sections import LogKind, LogSettings, RulesSettings, StoreSettings
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogRejected, LogUnavailable, partition_of
from ioc.eventlog.postgres import PostgresLog
from ioc.geo.geojson import parse_areas
from ioc.model.events import AlarmKind, CameraAlarm, CameraPlate, Event, TrafficFlow, encode_event
from ioc.model.places import Device, DeviceKind
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, NewRecord, RecordKind
from ioc.model.times import SECOND_US
from ioc.store.areas import replace_areas
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.incidents import IncidentFilter, read_page
from ioc.store.pool import open_pool
from ioc.store.positions import standings
from tests.acceptance.virtual_city import ROOT
from tests.conftest import Server
from tests.integration.app.test_log_adoption import opened, unserved
from tests.integration.eventlog.kafka_city import LIMITS, settings_for

Log = PostgresLog | KafkaLog
FORMER, MORE = 3, 7
START_US = 1_763_800_000 * SECOND_US
WARDS = tuple(f"ward-{number}" for number in range(12))
RULES = """
rule: jam
title: {vi: Ùn tắc, en: Jam}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
by: [source]
for: 20s
clear_when: speed_kmh > 25
hold: 4s
severity: high
---
rule: crowded-ward
title: {vi: Đông, en: Crowded}
stream: traffic
type: traffic.flow
by: [ward]
having: count >= 5 within 60s
hold: 30s
severity: low
---
rule: silent
title: {vi: Im lặng, en: Silent}
stream: traffic
by: [source]
absence: 40s
severity: medium
---
rule: wrong-way
title: {vi: Ngược chiều, en: Wrong way}
stream: camera
type: camera.alarm
where: kind == "wrong_way"
hold: 5s
severity: critical
---
rule: two-wards
title: {vi: Hai phường, en: Two wards}
stream: camera
type: camera.plate
by: [plate]
having: distinct(ward) >= 2 within 60s
hold: 20s
severity: high
"""
Second = tuple[int, list[Event]]


def event(at_s: int, ward: str, kind: str, data: Any) -> Event:
    at_us = START_US + at_s * SECOND_US - 1
    source = f"{kind}-{ward}"
    return Event(id=f"{source}@{at_s}", source=source, time_us=at_us, received_us=at_us, data=data, ward=ward)


def history() -> list[Second]:
    """Return 100 s in which episodes begin before the change of second 50 and end, or fire, behind it."""
    found: list[Second] = []
    for at_s in range(100):
        events = []
        for number, ward in enumerate(WARDS):
            speed_kmh = 8.0 if 40 <= at_s < 75 + number else 40.0
            if at_s % 10 == number % 10 and not (number % 3 == 0 and at_s > 30):  # every third falls silent
                flow = TrafficFlow(interval_s=10, speed_kmh=speed_kmh, volume_veh=5, occupancy=0.5)
                events.append(event(at_s, ward, "det", flow))
            if at_s == 48:
                events.append(event(at_s, ward, "cam", CameraAlarm(kind=AlarmKind.WRONG_WAY, confidence=0.9)))
            if at_s in (30 + number, 50 + number):
                # the same plate some wards further on
                there = WARDS[(number + at_s // 50) % len(WARDS)]
                events.append(
                    event(at_s, there, f"cam{number}", CameraPlate(plate=f"P{number}", confidence=0.9))
                )
        found.append((START_US + at_s * SECOND_US, events))
    return found


BEFORE, AFTER = history()[:50], history()[50:]
CLOSING_US = START_US + 49 * SECOND_US + 500_000
"""When the log is closed for the change; the run without it ticks then, too."""


@dataclass
class City:
    """An installation without a process."""

    database: Dsns
    kafka: KafkaSettings | None
    folder: Path

    @property
    def settings(self) -> Settings:
        kind = LogKind.KAFKA if self.kafka else LogKind.EMBEDDED
        servers = self.kafka.bootstrap_servers if self.kafka else ""
        return Settings(
            log=LogSettings(kind=kind, bootstrap_servers=servers, lease_s=LIMITS.lease_s),
            rules=RulesSettings(commit_s=0.02),
            store=StoreSettings(linger_s=0.01),
        )

    async def prepare(self) -> None:
        async with self.log() as log, open_pool(self.database.app, name="test") as pool:
            await log.create_topic(WIDE_TOPIC, await log.create_topic(EVENTS_TOPIC, FORMER))
            areas = parse_areas((ROOT / "demo" / "areas.geojson").read_bytes())
            devices = [
                Device(
                    id=f"det-{ward}", kind=DeviceKind.DETECTOR, name=ward, ward=ward, expected_interval_s=10
                )
                for ward in (*WARDS, "ward-that-never-spoke")
            ]
            async with pool.connection() as connection:
                for kind in sorted({area.kind for area in areas}):
                    await replace_areas(connection, kind, [area for area in areas if area.kind == kind])
                await upsert_devices(connection, devices)
            (self.folder / "rules.yaml").write_text(RULES)
            directory = Directory(pool)
            await directory.refresh()
            await ensure_first_version(pool, RuleFolder(self.folder), directory.index)

    @asynccontextmanager
    async def log(self) -> AsyncIterator[Log]:
        """The log as one process has it, running."""
        async with opened(self.database, self.kafka) as log:
            yield log

    async def append(self, seconds: Sequence[Second]) -> None:
        async with self.log() as log:
            for now_us, events in seconds:
                if events:
                    await log.append(
                        EVENTS_TOPIC,
                        [
                            NewRecord(RecordKind.EVENT, e.ward or e.source, encode_event(e), (e.source, e.id))
                            for e in events
                        ],
                    )
                await log.append_ticks(EVENTS_TOPIC, now_us)

    async def work(self) -> None:
        """Let both stages of the rules take all that the log holds, as a process of their own."""
        async with self.log() as log, open_pool(self.database.app, name="test") as pool:
            directory, sets = Directory(pool), RuleSets(pool)
            await directory.refresh()
            for_rules = RulesSettings(commit_s=0.02)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(stage(log, pool, sets, for_rules, "test", directory).run())
                    for stage in (RulesWorker, WideRulesWorker)
                ]
                await rules_settled(log, pool)
                for task in tasks:
                    task.cancel()

    async def add(self, partitions: int) -> list[log_partitions.Added]:
        """Do what the command does."""
        async with (
            open_pool(self.database.app, name="work") as pool,
            unserved(self.database, self.kafka) as log,
        ):
            return await PartitionAdder(self.settings, log, pool, lambda *_: None).add(partitions)

    async def incidents(self) -> list[bytes]:
        """Return every incident as it is exported, by id."""
        async with open_pool(self.database.app, name="test") as pool, pool.connection() as connection:
            found, _ = await read_page(connection, IncidentFilter(open_only=False, limit=500))
        return [msgspec.json.encode(incident) for incident in sorted(found, key=lambda each: each.id)]

    async def owners(self) -> dict[tuple[str, str], set[int]]:
        """Return which partitions each group knows."""
        async with open_pool(self.database.app, name="test") as pool, pool.connection() as connection:
            found: dict[tuple[str, str], set[int]] = {}
            for each in await standings(connection):
                found.setdefault((each.topic, each.group), set()).add(each.partition)
        return found


@pytest.fixture(params=["embedded", "kafka"])
def settings(request: pytest.FixtureRequest) -> KafkaSettings | None:
    return settings_for(request.getfixturevalue("kafka")) if request.param == "kafka" else None


@pytest.fixture
async def city(
    database: Dsns, settings: KafkaSettings | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> City:
    monkeypatch.setattr(log_drain, "now_us", lambda: CLOSING_US)
    monkeypatch.setattr(log_drain, "STILL_S", 0.3)
    made = City(database, settings, tmp_path)
    await made.prepare()
    return made


async def unchanged(postgres: Server, template: str, name: str, folder: Path) -> list[bytes]:
    """Return the incidents of the same history over partitions that stay as they are."""
    city = City(postgres.create(name, template=template), None, folder)
    try:
        await city.prepare()
        await city.append([*BEFORE, (CLOSING_US, []), *AFTER])
        await city.work()
        return await city.incidents()
    finally:
        postgres.drop(name)


_expected: list[bytes] = []


@pytest.fixture
async def expected(postgres: Server, migrated_template: str, tmp_path: Path) -> list[bytes]:
    """The incidents of the history without a change; found once."""
    if not _expected:
        _expected[:] = await unchanged(postgres, migrated_template, "ioc_unchanged", tmp_path)
    assert {msgspec.json.decode(row)["rule"] for row in _expected} == {
        "jam",
        "crowded-ward",
        "silent",
        "wrong-way",
        "two-wards",
    }
    assert len(_expected) > 40
    return _expected


@pytest.mark.parametrize("backlog", [False, True])
async def test_the_incidents_are_those_of_a_log_that_stayed_as_it_was(
    city: City, expected: list[bytes], backlog: bool
) -> None:
    await city.append(BEFORE)
    if not backlog:  # else the command has to take everything
        await city.work()
    changed = await city.add(MORE)
    assert [(each.topic, each.former, each.partitions) for each in changed] == [
        (EVENTS_TOPIC, FORMER, MORE),
        (WIDE_TOPIC, FORMER, MORE),
    ]
    assert await city.add(MORE) == [], "again, there is nothing to do"
    await city.append(AFTER)
    await city.work()
    assert await city.incidents() == expected
    assert all(known == set(range(MORE)) for known in (await city.owners()).values())
    async with city.log() as log:
        ends = await log.ends(EVENTS_TOPIC)
        assert len(ends) == MORE
        spoken_in = {partition_of(ward, MORE) for ward in WARDS}
        assert spoken_in - set(range(FORMER)), "some wards moved to new partitions"
        firsts = await log.firsts(EVENTS_TOPIC)
        assert all(0 < firsts[number] < ends[number] for number in range(FORMER))
        assert all(firsts[number] == 0 for number in range(FORMER, MORE))


class Killed(BaseException):
    """The process ends here."""


STEPS: dict[str, tuple[object, str]] = {
    "drained": (log_partitions, "_refuse_undrained"),
    "moving": (log_partitions, "place"),
    "laid out": (log_partitions, "change_layout"),
}


@pytest.mark.parametrize("step", [*STEPS, "added", "added to the second"])
async def test_killed_at_any_step_it_is_run_again_and_ends_right(
    city: City, expected: list[bytes], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await city.append(BEFORE)
    where, name = STEPS.get(step, (KafkaLog if city.kafka else PostgresLog, "add_partitions"))
    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies_after(getattr(where, name), 2 if step.endswith("second") else 1))
        with pytest.raises(Killed):
            await city.add(MORE)
    if step != "drained" and city.kafka:  # Kafka has them, and nobody else knows of them
        async with city.log() as log:
            with pytest.raises(
                LogRejected, match=r"laid out for 3: stop every role, then `ioc log partitions 7`"
            ):
                await log.create_topic(EVENTS_TOPIC, FORMER)
    else:
        async with city.log() as log:
            assert await log.create_topic(EVENTS_TOPIC, FORMER) == FORMER
    await city.add(MORE)
    await city.append(AFTER)
    await city.work()
    assert await city.incidents() == expected


def dies_after(do: Callable[..., Any], times: int) -> Callable[..., Any]:
    calls: list[int] = []

    async def dying(*arguments: Any) -> Any:
        found = await do(*arguments)
        calls.append(1)
        if len(calls) == times:
            raise Killed
        return found

    return dying


async def test_whoever_was_left_running_appends_nothing_and_ends(city: City) -> None:
    unaware = structs.replace(LIMITS, heartbeat_s=3_600.0)  # looks for a change only where it appends
    events = [NewRecord(RecordKind.EVENT, ward, b"late") for ward in WARDS]
    before: dict[int, int] = {}
    with pytest.raises(ExceptionGroup) as ended:
        async with unserved(city.database, city.kafka, unaware) as stale, asyncio.TaskGroup() as group:
            group.create_task(stale.run())
            await stale.append_ticks(EVENTS_TOPIC, START_US)
            await city.add(MORE)
            before = await ends_of(city)
            for _ in range(3):  # over Kafka the first only finds that its writer was closed
                with suppress(LogUnavailable):
                    await stale.append(EVENTS_TOPIC, events)
    assert ended.group_contains(LogRejected, match="7 partitions now, and this process works with 3")
    assert await ends_of(city) == before


async def test_whoever_was_left_running_and_does_nothing_ends_too(city: City) -> None:
    with pytest.raises(ExceptionGroup) as ended:
        async with (
            asyncio.timeout(60),
            unserved(city.database, city.kafka) as stale,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(stale.run())
            await stale.ends(EVENTS_TOPIC)
            await city.add(MORE)
            await asyncio.Event().wait()  # until the log ends
    assert ended.group_contains(LogRejected, match="7 partitions now, and this process works with 3")


async def ends_of(city: City) -> dict[int, int]:
    async with city.log() as log:
        return await log.ends(EVENTS_TOPIC)


async def test_a_worker_that_was_left_running_takes_no_partition_again(city: City) -> None:
    async with unserved(city.database, city.kafka) as stale:
        await stale.ends(EVENTS_TOPIC)
        await city.add(MORE)
        with pytest.raises(LogRejected, match="start it again"):
            async with stale.consume(EVENTS_TOPIC, "rules", "stale") as consumer:
                await consumer.poll(1, 1.0)


async def test_it_refuses_while_a_role_runs_and_changes_nothing(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = city.settings.model_copy(update={"log": city.settings.log.model_copy(update={"lease_s": 0.3})})
    monkeypatch.setattr(City, "settings", settings)
    async with city.log() as log, log.consume(EVENTS_TOPIC, "store", "runs"):
        with pytest.raises(PartitionsError, match=r"roles still run: store of ioc\.events"):
            await city.add(MORE)
    assert len(await ends_of(city)) == FORMER


async def test_it_refuses_while_something_appends_and_changes_nothing(city: City) -> None:
    async def tick(log: Log) -> None:
        for number in range(10_000):
            await log.append_ticks(EVENTS_TOPIC, START_US + number * SECOND_US)
            await asyncio.sleep(0.05)

    async with city.log() as log, asyncio.TaskGroup() as group:
        ticking = group.create_task(tick(log))
        with pytest.raises(PartitionsError, match="the log still grows: stop ingest"):
            await city.add(MORE)
        ticking.cancel()
    assert len(await ends_of(city)) == FORMER


async def test_fewer_partitions_are_refused_with_the_reason(city: City) -> None:
    with pytest.raises(
        PartitionsError, match=r"has 3 partitions, and never gets fewer: .*another log.prefix"
    ):
        await city.add(2)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (4, r"log.partitions is 4, and ioc.events has 3: set it to 3, or .*`ioc log partitions 4`"),
        (2, "to 3$"),
    ],
)
def test_a_start_with_other_partitions_than_the_log_has_refuses(
    asked: int, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_other_partitions(Settings(), FORMER)
    monkeypatch.setenv("IOC_LOG__PARTITIONS", str(asked))
    with pytest.raises(LogRejected, match=complaint):
        refuse_other_partitions(Settings(), FORMER)
    refuse_other_partitions(Settings(), asked)
