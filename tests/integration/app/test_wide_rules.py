"""Wide rules on the real log and database: every event once, from every ward, whatever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from ioc.app.rules.sets import RuleSets
from ioc.app.rules.view import RunningRules
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings.sections import RulesSettings
from ioc.eventlog.port import AppendOutcome, LogUnavailable, partition_of
from ioc.model.events import CameraPlate, Event
from ioc.model.incidents import Condition
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, NewRecord, RecordKind
from ioc.model.times import SECOND_US
from ioc.store.embedded import Dsns
from ioc.store.positions import Fenced
from tests.integration.app.rule_city import PARTITIONS, WIDE_PARTITIONS, RuleCity, rule_city

START_US = 1_763_800_000 * SECOND_US
WARDS = tuple(
    next(name for number in range(1000) if partition_of(name := f"ward-{number}", PARTITIONS) == partition)
    for partition in range(PARTITIONS)
)
"""One ward for each partition."""
TWO_WARDS = """
rule: two-wards
title: {{vi: Hai phường, en: Two wards}}
stream: camera
type: camera.plate
where: confidence >= {confidence}
by: [plate]
having: distinct(ward) >= 2 within 10m
hold: 5m
severity: high
"""
Seconds = list[tuple[int, list[Event]]]


def plate(at_s: int, ward: str, text: str, confidence: float = 0.9) -> Event:
    at_us = START_US + at_s * SECOND_US - 1
    data = CameraPlate(plate=text, confidence=confidence)
    name = f"{text}@{at_s}"
    return Event(id=name, source=f"cam-{ward}", time_us=at_us, received_us=at_us, data=data, ward=ward)


def seconds(events: list[Event], first: int, last: int) -> Seconds:
    """Return the log from second `first` to `last`."""
    return [
        (now_us, [event for event in events if now_us - SECOND_US <= event.received_us < now_us])
        for now_us in range(START_US + first * SECOND_US, START_US + (last + 1) * SECOND_US, SECOND_US)
    ]


@pytest.fixture
async def city(database: Dsns, tmp_path: Path) -> AsyncIterator[RuleCity]:
    (tmp_path / "two-wards.yaml").write_text(TWO_WARDS.format(confidence=0.5))
    async with rule_city(database, tmp_path) as opened:
        yield opened


MEETINGS = [
    *(plate(2, WARDS[number], f"P{number}") for number in range(PARTITIONS)),
    *(plate(5, WARDS[(number + 1) % PARTITIONS], f"P{number}") for number in range(PARTITIONS)),
    plate(3, WARDS[0], "stays"),
    plate(6, WARDS[0], "stays"),
]
FOUND = [f"P{number}" for number in range(PARTITIONS)]


async def keys(city: RuleCity) -> list[str]:
    return sorted(incident.key for incident in await city.incidents())


@pytest.mark.parametrize("batch_records", [1, 5, 1000])
async def test_a_plate_in_two_wards_raises_one_incident(city: RuleCity, batch_records: int) -> None:
    await city.append_seconds(seconds(MEETINGS, 0, 8))
    async with city.worker(batch_records):
        pass
    assert await keys(city) == FOUND
    assert all(incident.count == 2 for incident in await city.incidents())
    await city.append_seconds(seconds([], 9, 1000))
    async with city.worker():
        pass
    assert {i.condition for i in await city.incidents()} == {Condition.CLEARED}
    assert len(await city.incidents()) == PARTITIONS


async def test_death_between_passing_on_and_committing_neither_doubles_nor_loses(city: RuleCity) -> None:
    await city.append_seconds(seconds(MEETINGS, 0, 8))
    never = RulesSettings(batch_records=5, commit_s=3600)
    for _ in range(2):
        first = RulesWorker(city.log, city.pool, RuleSets(city.pool), never, "dies", city.directory)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(first.run())
            await until(lambda: all_passed_on(city))
            task.cancel()
        assert await city.query("SELECT sum(next_offset) FROM log_owner WHERE topic = 'ioc.events'") == [(0,)]
    async with city.worker():
        pass
    assert await keys(city) == FOUND
    assert all(incident.count == 2 for incident in await city.incidents())
    assert await passed_on(city) == len(MEETINGS)


async def test_who_wakes_behind_a_take_over_passes_on_no_clock_that_was_put_back(city: RuleCity) -> None:
    await city.append_seconds(seconds(MEETINGS, 0, 8))
    async with city.worker():
        pass
    ends = await city.log.ends(WIDE_TOPIC)
    # Delivered before another owner has worked on them, and looked at only now.
    reader = await city.log.tail(EVENTS_TOPIC, dict.fromkeys(range(PARTITIONS), 0))
    late = RulesWorker(city.log, city.pool, RuleSets(city.pool), RulesSettings(), "late", city.directory)
    for batch in await reader.poll(1000, 5.0):
        with pytest.raises(Fenced):
            await late._process(batch)
    await late._outlet.flush()
    assert await city.log.ends(WIDE_TOPIC) == ends


async def test_death_of_the_second_stage_neither_doubles_nor_loses(city: RuleCity) -> None:
    await city.append_seconds(seconds(MEETINGS, 0, 4))
    async with city.worker(3):
        pass
    await city.append_seconds(seconds(MEETINGS, 5, 8))
    once = RulesSettings(batch_records=1, commit_s=0.01)
    stages = [
        stage(city.log, city.pool, RuleSets(city.pool), once, "dies", city.directory)
        for stage in (RulesWorker, WideRulesWorker)
    ]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        tasks = [group.create_task(stage.run()) for stage in stages]
        await until(city.incidents)
        for task in tasks:
            task.cancel()
    async with city.worker(2):
        pass
    assert await keys(city) == FOUND
    assert all(incident.count == 2 for incident in await city.incidents())


async def until(true: Callable[[], Awaitable[object]]) -> None:
    while True:
        if await true():
            return
        await asyncio.sleep(0.02)


async def all_passed_on(city: RuleCity) -> bool:
    return await passed_on(city) == len(MEETINGS)


async def passed_on(city: RuleCity) -> int:
    """Return the number of events in ioc.wide."""
    reader = await city.log.tail(WIDE_TOPIC, dict.fromkeys(range(WIDE_PARTITIONS), 0))
    found = 0
    while batches := await reader.poll(1000, 0.05):
        for batch in batches:
            found += sum(record.kind is RecordKind.EVENT for record in batch.records)
    return found


async def test_a_replay_gives_the_same_bytes(city: RuleCity) -> None:
    await city.append_seconds(seconds(MEETINGS, 0, 8))
    async with city.worker():
        pass
    before = await city.export()
    city.forget_effects()
    async with city.worker(3):
        pass
    assert await city.export() == before


async def test_wide_rules_are_pushed_shadowed_disabled_and_listed(city: RuleCity) -> None:
    await city.push({"two-wards.yaml": TWO_WARDS.format(confidence=0.95)})
    await city.push({"two-wards.yaml": TWO_WARDS.format(confidence=0.3)}, shadow=True)
    await city.append_seconds(seconds(MEETINGS, 0, 8))
    async with city.worker() as worker:
        await city.settle()
        await worker._publish_status()
    assert await keys(city) == []
    assert await city.query("SELECT count(*) FROM rule_shadow_firing") == [(PARTITIONS,)]
    async with city.pool.connection() as connection:
        versions = await (
            await connection.execute("SELECT DISTINCT version FROM rule_activation WHERE topic = 'ioc.wide'")
        ).fetchall()
    assert versions == [(3,)]
    await city.switch("two-wards", on=False, reason="too loud")
    await city.append_seconds(seconds([], 9, 12))
    async with city.worker():
        pass
    [info] = await RunningRules(RuleSets(city.pool), city.pool).rules()
    assert (info.enabled, info.error) == (False, "too loud")
    assert await city.query("SELECT min(version) FROM rule_activation WHERE topic = 'ioc.wide'") == [(4,)]
    assert await city.query("SELECT count(DISTINCT topic) FROM rule_status") == [(2,)]


async def test_no_position_is_committed_before_what_it_passed_on_is_durable(city: RuleCity) -> None:
    await city.append_seconds(seconds(MEETINGS, 0, 8))
    soon = RulesSettings(commit_s=0.001)
    worker = RulesWorker(city.log, city.pool, RuleSets(city.pool), soon, "unlucky", city.directory)
    append, tries = city.log.append, list[int]()

    async def refuse(topic: str, records: Sequence[NewRecord]) -> list[AppendOutcome]:
        tries.append(len(records))
        if len(tries) <= 2:
            raise LogUnavailable("the log is away")
        found = await city.query("SELECT sum(next_offset) FROM log_owner WHERE topic = 'ioc.events'")
        assert found == [(0,)]
        return await append(topic, records)

    city.log.append = refuse  # type: ignore[method-assign]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(worker.run())
        await until(lambda: all_passed_on(city))
        task.cancel()
    city.log.append = append  # type: ignore[method-assign]
    async with city.worker():
        pass
    assert await keys(city) == FOUND
    assert len(tries) == 3
