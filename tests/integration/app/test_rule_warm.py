"""Reshaped rules that run over the past first: what is open is raised at the switch, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ioc.app.rules.partition import PartitionWork
from ioc.app.rules.push import MAX_WARM_US, PushRefused, RulePublisher, follow_switch, plan_push
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.warm import RuleWarmer
from ioc.app.rules.warm_ups import Warmed
from ioc.eventlog.layout import change_layout
from ioc.model.incidents import Condition, Incident
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import HOUR_US, SECOND_US
from ioc.store.embedded import Dsns
from tests.integration.app.rule_city import PARTITIONS, SOURCES, RuleCity, rule_city
from tests.integration.app.test_rule_versions import START_US, crowd

CROWD = """
rule: crowd
title: {{vi: Đông người, en: Crowd}}
stream: camera
type: camera.count
where: people > 50
by: [source]
having: count >= {least} within {window}
hold: {hold}
severity: low
"""


def rule(least: int, window: str, hold: str = "120s") -> dict[str, str]:
    return {"crowd.yaml": CROWD.format(least=least, window=window, hold=hold)}


@pytest.fixture
async def city(database: Dsns, tmp_path: Path) -> AsyncIterator[RuleCity]:
    (tmp_path / "crowd.yaml").write_text(rule(5, "60s")["crowd.yaml"])
    async with rule_city(database, tmp_path) as opened:
        yield opened


async def seconds(city: RuleCity, first: int, last: int, at: dict[int, list[str]]) -> None:
    """Append seconds `first` to `last` with a crowd before the named cameras at some of them."""
    await city.append_seconds(
        [
            (START_US + second * SECOND_US, [crowd(second, source) for source in at.get(second, [])])
            for second in range(first, last + 1)
        ]
    )


async def push(city: RuleCity, files: dict[str, str], warm_us: int) -> int:
    sets = RuleSets(city.pool)
    plan = plan_push(await sets.newest(), files, city.directory.index, shadow=False)
    return await RulePublisher(city.pool, city.log, sets).push(plan, author="an", warm_us=warm_us)


def opened(incidents: list[Incident]) -> set[tuple[str | None, int, str]]:
    return {(i.source, (i.opened_us - START_US) // SECOND_US, str(i.condition)) for i in incidents}


EVERYWHERE = list(SOURCES)


async def past(city: RuleCity) -> None:
    """One crowd long over (at 10 to 40 s), one still open by the new shape (three counts from 200 s on)."""
    gone = dict.fromkeys((10, 20, 30), EVERYWHERE)
    await seconds(city, 0, 260, gone | {200: EVERYWHERE, 220: EVERYWHERE, 240: EVERYWHERE})


async def test_what_is_open_at_the_switch_is_raised_and_nothing_else_of_the_past(city: RuleCity) -> None:
    async with city.worker():
        await past(city)
        await push(city, rule(3, "90s"), HOUR_US)
        await seconds(city, 261, 262, {})
    incidents = await city.incidents()
    assert opened(incidents) == {(source, 240, "active") for source in SOURCES}
    assert {(i.detected_us - START_US) // SECOND_US for i in incidents} == {260}
    assert {i.count for i in incidents} == {3}


async def test_without_warming_a_reshaped_rule_starts_fresh(city: RuleCity) -> None:
    async with city.worker():
        await past(city)
        await push(city, rule(3, "90s"), 0)
        await seconds(city, 261, 262, {})
    assert await city.incidents() == []


async def test_counts_of_the_past_complete_a_window_after_the_switch(city: RuleCity) -> None:
    async with city.worker():
        await seconds(city, 0, 260, {200: EVERYWHERE, 220: EVERYWHERE})
        await push(city, rule(3, "90s"), HOUR_US)
        await seconds(city, 261, 275, {270: EVERYWHERE})
    assert opened(await city.incidents()) == {(source, 270, "active") for source in SOURCES}


async def test_only_the_time_asked_for_is_run_over(city: RuleCity) -> None:
    async with city.worker():
        await seconds(city, 0, 260, {200: EVERYWHERE, 220: EVERYWHERE})
        await push(city, rule(3, "90s"), 45 * SECOND_US)
        await seconds(city, 261, 275, {270: EVERYWHERE})
    assert await city.incidents() == []


async def test_what_a_former_number_of_partitions_placed_is_not_run_over(city: RuleCity) -> None:
    async with city.worker():
        await seconds(city, 0, 210, {200: EVERYWHERE})
        before = await city.log.ends(EVENTS_TOPIC)
        await seconds(city, 211, 260, {220: EVERYWHERE, 230: EVERYWHERE})
        async with city.pool.connection() as connection:
            await change_layout(connection, EVENTS_TOPIC, {**before, 0: 0})
        await push(city, rule(3, "90s"), HOUR_US)
        await seconds(city, 261, 262, {})
    assert opened(await city.incidents()) == {(SOURCES[0], 230, "active")}


async def test_an_episode_both_shapes_see_alike_goes_on(city: RuleCity) -> None:
    async with city.worker():
        await seconds(city, 0, 60, dict.fromkeys((40, 42, 44, 46, 48), EVERYWHERE))
        await push(city, rule(5, "90s"), HOUR_US)
        await seconds(city, 61, 62, {})
    incidents = await city.incidents()
    assert opened(incidents) == {(source, 48, "active") for source in SOURCES}
    assert {i.rev for i in incidents} == {1}


async def test_a_warmed_rule_goes_on_after_a_restart_and_a_replay_warms_alike(city: RuleCity) -> None:
    async with city.worker(7):
        await past(city)
        await push(city, rule(3, "90s", "30s"), HOUR_US)
    async with city.worker():
        await seconds(city, 261, 520, {340: EVERYWHERE, 350: EVERYWHERE, 360: EVERYWHERE})
    first = await city.export()
    assert {i.condition for i in await city.incidents()} == {Condition.CLEARED}
    assert len(await city.incidents()) == 2 * PARTITIONS
    city.forget_effects()
    async with city.worker(1000):
        pass
    assert await city.export() == first


async def test_the_pusher_sees_every_partition_switch(city: RuleCity) -> None:
    shares: list[float] = []
    async with city.worker() as worker:
        await past(city)
        await city.settle()
        worker._status_at_s = 0.0
        version = await push(city, rule(3, "90s"), HOUR_US)
        worker._status_at_s = 0.0
        await city.log.append_ticks(EVENTS_TOPIC, START_US + 261 * SECOND_US)
        assert await follow_switch(city.pool, version, lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


async def test_a_warm_up_is_bounded(city: RuleCity) -> None:
    with pytest.raises(PushRefused, match="at most 24 h"):
        await push(city, rule(3, "90s"), MAX_WARM_US + SECOND_US)
    assert (await RuleSets(city.pool).newest()).version == 1
    async with city.worker() as worker:
        worker._warmer._settings = worker._settings.model_copy(update={"warm_records": 30})
        await seconds(city, 0, 260, {200: EVERYWHERE, 220: EVERYWHERE})
        await push(city, rule(3, "90s"), HOUR_US)
        await seconds(city, 261, 275, {270: EVERYWHERE})
    assert await city.incidents() == []


async def test_the_other_partitions_go_on_while_one_warms_up(
    city: RuleCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, warm = asyncio.Event(), RuleWarmer.warm

    async def held(self: RuleWarmer, work: PartitionWork, *args: Any) -> Warmed:
        if work.number == 0:
            await may_end.wait()
        return await warm(self, work, *args)

    monkeypatch.setattr(RuleWarmer, "warm", held)
    async with city.worker():
        await seconds(city, 0, 260, {200: EVERYWHERE, 220: EVERYWHERE})
        await push(city, rule(3, "90s"), HOUR_US)
        await seconds(city, 261, 275, {270: EVERYWHERE})
        await city.wait_for(f"SELECT (count(*) = {PARTITIONS - 1})::int FROM incident")
        assert SOURCES[0] not in {incident.source for incident in await city.incidents()}
        may_end.set()
    assert opened(await city.incidents()) == {(source, 270, "active") for source in SOURCES}


async def test_a_partition_taken_away_while_it_warms_up_is_warmed_by_its_next_owner(
    city: RuleCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm, begun = RuleWarmer.warm, list[int]()

    async def first_never(self: RuleWarmer, work: PartitionWork, *args: Any) -> Warmed:
        begun.append(work.generation)
        if work.number == 0 and work.generation == begun[0]:
            await asyncio.Event().wait()
        return await warm(self, work, *args)

    monkeypatch.setattr(RuleWarmer, "warm", first_never)
    async with city.worker():
        await seconds(city, 0, 260, {200: EVERYWHERE, 220: EVERYWHERE})
        await push(city, rule(3, "90s"), HOUR_US)
        await seconds(city, 261, 275, {270: EVERYWHERE})
        await city.wait_for(f"SELECT (count(*) = {PARTITIONS - 1})::int FROM incident")
        async with city.pool.connection() as connection:
            await connection.execute(
                "UPDATE log_owner SET generation = generation + 1"
                " WHERE topic = 'ioc.events' AND partition = 0 AND group_name = 'rules'"
            )
    assert opened(await city.incidents()) == {(source, 270, "active") for source in SOURCES}
    assert len(begun) == PARTITIONS + 1
