"""The workbench on a real database with an hour of history, its work in real processes."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ioc.api.ports import NotFoundError
from ioc.api.workbench_ports import (
    BacktestAsk,
    BenchRefusedError,
    InvalidTextError,
    Job,
    JobState,
    Push,
    StaleRuleError,
    Switch,
    WhyAsk,
)
from ioc.app.rules.jobs import RuleJobs
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.workbench import RulesBench
from ioc.app.settings.sections import RulesSettings
from ioc.model.times import SECOND_US
from ioc.store.embedded import Dsns
from tests.integration.app.rule_city import RuleCity, rule_city
from tests.integration.app.test_rule_commands import CROWD, START_US, store

FILE = "crowd.yaml"
TESTS = """
tests:
  - name: forty are a crowd
    input:
      - {event: camera.count, at: 0s, source: cam-1, data: {people: 40}}
    expect:
      - {at: 0s, raised: crowd, key: cam-1, severity: low}
"""


class Bench:
    """The workbench as `an` uses it."""

    def __init__(self, city: RuleCity, bench: RulesBench) -> None:
        self.city = city
        self.bench = bench

    async def run(self, people: int, *, trial: bool = False) -> Job:
        ask = BacktestAsk(file=FILE, text=CROWD.format(people=people), trial=trial)
        job = await self.bench.start("an", ask)
        async with asyncio.timeout(120):
            while job.state is JobState.RUNNING:
                await asyncio.sleep(0.05)
                job = self.bench.job("an", job.id)
        assert job.state is JobState.DONE, job.error
        return job

    async def push(
        self,
        people: int,
        *,
        seen: int = 1,
        trial: str | None = None,
        flood: str | None = None,
        shadow: bool = False,
    ) -> int:
        push = Push(
            file=FILE,
            text=CROWD.format(people=people),
            expect_version=seen,
            shadow=shadow,
            reason="thử",
            trial=trial,
            accept_flood=flood,
        )
        return await self.bench.push("an", push)

    async def in_force(self) -> str:
        return (await self.bench.source("crowd")).text


@pytest.fixture
async def bench(database: Dsns, tmp_path: Path) -> AsyncIterator[Bench]:
    folder = tmp_path / "rules"
    (folder / "tests").mkdir(parents=True)
    (folder / FILE).write_text(CROWD.format(people=60))
    (folder / "tests" / FILE).write_text(TESTS)
    await store(database.app)
    async with rule_city(database, folder) as city, asyncio.TaskGroup() as group:
        jobs = RuleJobs(most=2, limit_s=120, keep_s=600, clock_s=time.time)
        running = group.create_task(jobs.run())
        found = RulesBench(
            pool=city.pool,
            dsn=database.app,
            log=city.log,
            sets=RuleSets(city.pool),
            directory=city.directory,
            settings=RulesSettings(folder=folder),
            jobs=jobs,
        )
        yield Bench(city, found)
        running.cancel()


async def test_a_backtest_tells_what_the_text_would_change_and_writes_nothing(bench: Bench) -> None:
    result = (await bench.run(70)).result
    assert result is not None
    assert (result.counts["gained"], result.counts["lost"], result.counts["same"]) == (0, 0, 2)
    result = (await bench.run(30)).result
    assert result is not None
    assert result.counts["gained"] == len(result.items) > 10
    assert {item.key for item in result.items} == {"cam-1"}
    assert result.over_budget == ["crowd"]
    assert await bench.in_force() == CROWD.format(people=60)
    assert await bench.city.query("SELECT count(*) FROM incident") == [(0,)]


async def test_nothing_comes_into_force_without_a_trial_of_this_very_text(bench: Bench) -> None:
    for trial in (None, "none", (await bench.run(70)).id, (await bench.run(71, trial=True)).id):
        with pytest.raises(BenchRefusedError, match="Try this very text"):
            await bench.push(70, trial=trial)
    trial = (await bench.run(70, trial=True)).id
    assert await bench.push(70, trial=trial) == 2
    assert await bench.in_force() == CROWD.format(people=70)
    entries = await bench.city.query("SELECT actor, subject FROM audit_entry WHERE op = 'rules_push'")
    assert entries == [("an", "crowd")]


async def test_a_flood_needs_a_reason_of_its_own(bench: Bench) -> None:
    trial = (await bench.run(30, trial=True)).id
    with pytest.raises(BenchRefusedError) as refused:
        await bench.push(30, trial=trial)
    assert (refused.value.field, refused.value.rule) == ("accept_flood", "budget")
    version = await bench.push(30, trial=trial, flood="lễ hội")
    newest = (await bench.bench.history("crowd"))[0]
    assert (newest.version, newest.accepted_flood, newest.author) == (version, "lễ hội", "an")
    assert "+where: people > 30" in newest.diff


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(bench: Bench) -> None:
    trial = (await bench.run(70, trial=True)).id
    await bench.city.push({FILE: CROWD.format(people=65)})
    with pytest.raises(StaleRuleError) as stale:
        await bench.push(70, trial=trial)
    assert stale.value.present is not None
    assert stale.value.present.text == CROWD.format(people=65)
    # Having seen it is not enough: the trial was against what is no longer in force.
    with pytest.raises(BenchRefusedError, match="Try this very text"):
        await bench.push(70, seen=2, trial=trial)
    with pytest.raises(StaleRuleError):
        await bench.bench.switch(
            "an", Switch(rule="crowd", on=False, shadow=False, expect_version=1, reason="thử")
        )


async def test_a_shadow_needs_no_trial_and_ends_alone(bench: Bench) -> None:
    assert await bench.push(30, shadow=True) == 2
    source = await bench.bench.source("crowd")
    assert (source.shadow_text, source.text) == (CROWD.format(people=30), CROWD.format(people=60))
    await bench.bench.switch(
        "an", Switch(rule="crowd", on=False, shadow=True, expect_version=2, reason="đủ rồi")
    )
    source = await bench.bench.source("crowd")
    assert (source.shadow_text, source.enabled) == (None, True)


async def test_a_rule_is_switched_off_and_on(bench: Bench) -> None:
    off = Switch(rule="crowd", on=False, shadow=False, expect_version=1, reason="bảo trì")
    assert await bench.bench.switch("an", off) == 2
    with pytest.raises(BenchRefusedError, match="disabled already"):
        await bench.bench.switch("an", Switch(**{**_fields(off), "expect_version": 2}))
    on = Switch(rule="crowd", on=True, shadow=False, expect_version=2, reason="xong")
    assert await bench.bench.switch("an", on) == 3
    (rule,) = (await bench.bench.rules()).items
    assert rule.info.enabled
    entries = await bench.city.query("SELECT op FROM audit_entry WHERE op LIKE 'rules_%' ORDER BY seq")
    assert entries == [("rules_disable",), ("rules_enable",)]


def _fields(switch: Switch) -> dict[str, object]:
    return {name: getattr(switch, name) for name in switch.__struct_fields__}


async def test_an_error_has_line_column_and_suggestion_and_is_never_tried(bench: Bench) -> None:
    wrong = CROWD.format(people=60).replace("where:", "wher:")
    checked = await bench.bench.check(FILE, wrong)
    found = next(finding for finding in checked.findings if "wher" in finding.message)
    assert (found.line, found.column) == (6, 1)
    assert "where" in (found.suggestion or "")
    with pytest.raises(InvalidTextError):
        await bench.bench.start("an", BacktestAsk(file=FILE, text=wrong))
    clean = await bench.bench.check(FILE, CROWD.format(people=61))
    assert clean.findings == []
    assert "+where: people > 61" in clean.diff


@pytest.mark.parametrize(
    "text", ["[" * 60_000, "a: " * 500, "- " * 5_000 + "x", "a: &a [x]\nb: [*a]", "{a: " * 900]
)
async def test_hostile_yaml_is_a_finding(bench: Bench, text: str) -> None:
    assert (await bench.bench.check(FILE, text)).findings


async def test_tests_tell_what_was_expected_and_seen(bench: Bench) -> None:
    source = await bench.bench.source("crowd")
    assert source.tests == TESTS
    strict = await bench.bench.play("an", FILE, CROWD.format(people=60), TESTS)
    (case,) = strict.cases
    assert (case.passed, case.seen) == (False, [])
    assert [(mark.what, mark.at_s) for mark in case.expected] == [("raised", 0.0)]
    assert case.comparison[0].note == "did not happen"
    loose = await bench.bench.play("an", FILE, CROWD.format(people=30), TESTS)
    assert [case.passed for case in loose.cases] == [True]


@pytest.mark.parametrize("head", ["areas: ../../secret.geojson", "rules: [../other.yaml]"])
async def test_tests_read_no_file_of_the_server(bench: Bench, head: str) -> None:
    played = await bench.bench.play("an", FILE, CROWD.format(people=60), f"{head}\n{TESTS}")
    assert not played.cases
    assert "not read here" in played.findings[0].message


async def test_why_names_the_condition_that_failed_and_by_how_much(bench: Bench) -> None:
    at_us = START_US + 181 * SECOND_US
    found = await bench.bench.why("an", WhyAsk(rule="crowd", key="cam-1", at_us=at_us))
    assert found["fired"] is False
    draft = WhyAsk(rule="crowd", key="cam-1", at_us=at_us, file=FILE, text=CROWD.format(people=30))
    assert (await bench.bench.why("an", draft))["fired"] is True
    with pytest.raises(BenchRefusedError, match="known: crowd"):
        await bench.bench.why("an", WhyAsk(rule="nothing", key="cam-1", at_us=at_us))
    with pytest.raises(NotFoundError):
        await bench.bench.source("nothing")
