"""Wide rules that run over the past of all partitions before they go live, on the real log and database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ioc.app.rules.partition import PartitionWork
from ioc.app.rules.push import RulePublisher, plan_push
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.warm import RuleWarmer
from ioc.app.rules.warm_ups import Warmed
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings.sections import RulesSettings
from ioc.model.times import HOUR_US, SECOND_US
from ioc.store.embedded import Dsns
from tests.integration.app.rule_city import PARTITIONS, WIDE_PARTITIONS, RuleCity, rule_city
from tests.integration.app.test_wide_rules import START_US, TWO_WARDS, WARDS, plate, seconds, until

ROAMING = TWO_WARDS.format(confidence=0.5).replace("two-wards", "roaming")
PAST = [
    *(plate(2, WARDS[number], f"P{number}") for number in range(PARTITIONS)),
    *(plate(5, WARDS[(number + 1) % PARTITIONS], f"P{number}") for number in range(PARTITIONS)),
    *(plate(3, WARDS[number], f"Q{number}") for number in range(PARTITIONS)),
    plate(3, WARDS[0], "stays"),
    plate(6, WARDS[0], "stays"),
]
LATER = [plate(15, WARDS[(number + 1) % PARTITIONS], f"Q{number}") for number in range(PARTITIONS)]


@pytest.fixture
async def city(database: Dsns, tmp_path: Path) -> AsyncIterator[RuleCity]:
    (tmp_path / "two-wards.yaml").write_text(TWO_WARDS.format(confidence=0.95))
    async with rule_city(database, tmp_path) as opened:
        yield opened


async def push(city: RuleCity, warm_us: int) -> int:
    sets = RuleSets(city.pool)
    plan = plan_push(await sets.newest(), {"roaming.yaml": ROAMING}, city.directory.index, shadow=False)
    return await RulePublisher(city.pool, city.log, sets).push(plan, author="an", warm_us=warm_us)


async def raised(city: RuleCity) -> dict[str, int]:
    """Return the second in which each plate was told of."""
    return {i.key: (i.detected_us - START_US) // SECOND_US for i in await city.incidents()}


MET = {f"P{number}": 10 for number in range(PARTITIONS)}
MEETS = {f"Q{number}": 14 for number in range(PARTITIONS)}


@pytest.mark.parametrize("batch_records", [1, 7, 1000])
async def test_a_wide_rule_knows_the_past_of_every_ward(city: RuleCity, batch_records: int) -> None:
    await city.append_seconds(seconds(PAST, 0, 10))
    await push(city, HOUR_US)
    await city.append_seconds(seconds(LATER, 11, 17))
    async with city.worker(batch_records):
        pass
    assert await raised(city) == MET | MEETS
    assert {incident.count for incident in await city.incidents()} == {2}
    versions = await city.query(
        "SELECT version, count(*) FROM rule_activation WHERE topic = 'ioc.wide' GROUP BY 1"
    )
    assert versions == [(2, WIDE_PARTITIONS)]


async def test_without_warming_or_with_too_little_of_it_the_past_is_unknown(city: RuleCity) -> None:
    await city.append_seconds(seconds(PAST, 0, 10))
    await push(city, 6 * SECOND_US)
    await city.append_seconds(seconds(LATER, 11, 17))
    async with city.worker():
        pass
    assert await raised(city) == {}


async def test_a_warm_up_of_wide_rules_is_bounded(city: RuleCity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ioc.app.rules.warm.UNEVEN_US", 0)
    bounded = RuleWarmer(city.log, RulesSettings(warm_records=5))
    monkeypatch.setattr("ioc.app.rules.worker.RuleWarmer", lambda log, settings: bounded)
    await city.append_seconds(seconds(PAST, 0, 10))
    await push(city, HOUR_US)
    await city.append_seconds(seconds(LATER, 11, 17))
    async with city.worker():
        pass
    assert await raised(city) == {}


async def test_a_replay_in_other_batches_warms_alike(city: RuleCity) -> None:
    await city.append_seconds(seconds(PAST, 0, 10))
    async with city.worker(3):
        await push(city, HOUR_US)
    async with city.worker():
        await city.append_seconds(seconds(LATER, 11, 400))
    first = await city.export()
    assert await raised(city) == MET | MEETS
    city.forget_effects()
    async with city.worker(11):
        pass
    assert await city.export() == first


async def test_a_worker_that_dies_while_warming_neither_doubles_nor_loses(
    city: RuleCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    await city.append_seconds(seconds(PAST, 0, 10))
    await push(city, HOUR_US)
    await city.append_seconds(seconds(LATER, 11, 17))
    begun = set[int]()
    warm_wide = RuleWarmer.warm_wide

    async def never(self: RuleWarmer, work: PartitionWork, *args: object) -> Warmed:
        begun.add(work.number)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(RuleWarmer, "warm_wide", never)
    soon = RulesSettings(commit_s=0.01)
    stages = [
        stage(city.log, city.pool, RuleSets(city.pool), soon, "dies", city.directory)
        for stage in (RulesWorker, WideRulesWorker)
    ]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        tasks = [group.create_task(stage.run()) for stage in stages]

        async def waits() -> bool:
            return len(begun) == WIDE_PARTITIONS

        await until(waits)
        for task in tasks:
            task.cancel()
    assert await raised(city) == {}
    monkeypatch.setattr(RuleWarmer, "warm_wide", warm_wide)
    async with city.worker():
        pass
    assert await raised(city) == MET | MEETS
