"""Rules change while the service runs: at one known record of every partition, and nowhere else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ioc.app.rules.push import PushRefused
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.slow import STRIKES
from ioc.app.rules.view import RunningRules
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, Event
from ioc.model.incidents import Condition
from ioc.model.records import EVENTS_TOPIC, RecordKind, decode_control
from ioc.model.times import SECOND_US
from ioc.rules.errors import InvalidRules
from ioc.store.embedded import Dsns
from ioc.store.rule_versions import NewChange, NewVersion, add_version, lock_versions, read_activations
from tests.integration.app.rule_city import PARTITIONS, SOURCES, RuleCity, rule_city

START_US = 1_763_800_000 * SECOND_US
WRONG_WAY = """
rule: wrong-way
title: {{vi: Ngược chiều, en: Wrong way}}
stream: camera
type: camera.alarm
where: kind == "wrong_way" && confidence >= {confidence}
by: [source]
hold: 60s
severity: {severity}
"""
CROWD = """
rule: crowd
title: {vi: Đông người, en: Crowd}
stream: camera
type: camera.count
where: people > 50
by: [source]
hold: 60s
severity: low
"""


def wrong_way(confidence: float, severity: str = "high") -> dict[str, str]:
    return {"wrong-way.yaml": WRONG_WAY.format(confidence=confidence, severity=severity)}


def alarm(at_s: float, source: str, confidence: float, kind: AlarmKind = AlarmKind.WRONG_WAY) -> Event:
    at_us = START_US + round(at_s * SECOND_US)
    data = CameraAlarm(kind=kind, confidence=confidence)
    return Event(id=f"{at_s}", source=source, time_us=at_us, received_us=at_us, data=data)


def crowd(at_s: float, source: str) -> Event:
    at_us = START_US + round(at_s * SECOND_US)
    data = CameraCount(people=99)
    return Event(id=f"c{at_s}", source=source, time_us=at_us, received_us=at_us, data=data)


async def everywhere(city: RuleCity, at_s: float, confidence: float) -> None:
    """Let one alarm arrive on every partition between two ticks of the clock."""
    await city.log.append_ticks(EVENTS_TOPIC, START_US + round(at_s) * SECOND_US)
    await city.append([alarm(at_s, source, confidence) for source in SOURCES])
    await city.log.append_ticks(EVENTS_TOPIC, START_US + round(at_s + 1) * SECOND_US)


@pytest.fixture
async def city(database: Dsns, tmp_path: Path) -> AsyncIterator[RuleCity]:
    (tmp_path / "wrong-way.yaml").write_text(WRONG_WAY.format(confidence=0.9, severity="high"))
    (tmp_path / "crowd.yaml").write_text(CROWD)
    async with rule_city(database, tmp_path) as opened:
        yield opened


async def test_the_folder_is_version_one_and_a_second_start_changes_nothing(
    city: RuleCity, database: Dsns, tmp_path: Path
) -> None:
    first = await RuleSets(city.pool).newest()
    assert (first.version, sorted(rule.name for rule in first.active)) == (1, ["crowd", "wrong-way"])
    (tmp_path / "crowd.yaml").write_text(CROWD.replace("> 50", "> 70"))
    async with rule_city(database, tmp_path):
        assert (await RuleSets(city.pool).newest()).version == 1


async def controls(city: RuleCity) -> dict[int, dict[int, int]]:
    """Return, by version, where each partition's log holds its activation."""
    found: dict[int, dict[int, int]] = {}
    reader = await city.log.tail(EVENTS_TOPIC, dict.fromkeys(range(PARTITIONS), 0))
    while batches := await reader.poll(1000, 0.05):
        for batch in batches:
            for record in batch.records:
                if record.kind is RecordKind.CONTROL:
                    version = decode_control(record.payload).version
                    found.setdefault(version, {})[batch.partition] = record.offset
    return found


@pytest.mark.parametrize("batch_records", [1, 7, 1000])
async def test_every_partition_switches_exactly_at_its_control_record(
    city: RuleCity, batch_records: int
) -> None:
    await everywhere(city, 1, 0.6)  # too unsure for version 1
    assert await city.push(wrong_way(0.5)) == 2
    await everywhere(city, 100, 0.6)  # sure enough for version 2
    await city.push(wrong_way(0.95))
    await everywhere(city, 300, 0.6)  # too unsure for version 3
    async with city.worker(batch_records):
        pass
    incidents = await city.incidents()
    assert sorted((i.source, (i.opened_us - START_US) // SECOND_US) for i in incidents) == sorted(
        (source, 100) for source in SOURCES
    )
    known = await controls(city)
    async with city.pool.connection() as connection:
        switched = await read_activations(connection, EVENTS_TOPIC)
    assert {(a.partition, a.version, a.offset) for a in switched} == {
        (partition, 3, offset) for partition, offset in known[3].items()
    }
    assert sorted(known) == [2, 3]
    assert all(sorted(found) == list(range(PARTITIONS)) for found in known.values())


async def test_a_restarted_worker_goes_on_with_the_version_it_had_switched_to(city: RuleCity) -> None:
    async with city.worker():
        await city.push(wrong_way(0.5))
    await everywhere(city, 100, 0.6)
    async with city.worker():
        pass
    assert len(await city.incidents()) == PARTITIONS


async def test_a_replay_of_the_whole_log_switches_at_the_same_records(city: RuleCity) -> None:
    async with city.worker(3):
        for at_s, version in ((10, 0.5), (100, 0.8), (200, 0.3)):
            await everywhere(city, at_s, 0.6)
            await city.push(wrong_way(version))
            await everywhere(city, at_s + 30, 0.6)
        await city.switch("wrong-way", on=False, reason="noise")
        await everywhere(city, 300, 0.99)
    first = await city.export()
    assert first
    city.forget_effects()
    async with city.worker(1000):
        pass
    assert await city.export() == first


async def test_a_threshold_edit_keeps_an_open_incident_and_a_shape_edit_clears_it(city: RuleCity) -> None:
    async with city.worker():
        await everywhere(city, 1, 0.95)
        await city.push(wrong_way(0.7))
        await everywhere(city, 5, 0.7)
    assert [(i.condition, i.count) for i in await city.incidents()] == [(Condition.ACTIVE, 1)] * PARTITIONS
    async with city.worker():
        await city.push({"w.yaml": wrong_way(0.7)["wrong-way.yaml"].replace("[source]", "[source, ward]")})
    assert {i.condition for i in await city.incidents()} == {Condition.CLEARED}


async def test_rules_that_do_not_compile_replace_nothing(city: RuleCity) -> None:
    with pytest.raises(InvalidRules, match="confidense"):
        await city.push({"w.yaml": wrong_way(0.5)["wrong-way.yaml"].replace("confidence", "confidense")})
    with pytest.raises(InvalidRules, match="no-such-kind"):
        await city.push({"c.yaml": CROWD + "area: {kind: no-such-kind}\n"})
    assert (await RuleSets(city.pool).newest()).version == 1
    assert await controls(city) == {}
    with pytest.raises(PushRefused, match="nothing differs"):
        await city.push(wrong_way(0.9))


async def test_a_push_that_died_before_telling_the_log_is_told_by_the_worker(
    city: RuleCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = wrong_way(0.5)["wrong-way.yaml"]
    async with city.pool.connection() as connection, connection.transaction():
        await lock_versions(connection)
        change = NewChange("wrong-way", "active", "w.yaml", text, "h")
        await add_version(connection, NewVersion(author="an", op="push", changes=[change]))
    await city.log.append_ticks(EVENTS_TOPIC, START_US)
    async with city.worker() as worker:
        while not await controls(city):
            worker._status_at_s = 0.0
    assert sorted((await controls(city))[2]) == list(range(PARTITIONS))
    await everywhere(city, 100, 0.6)
    async with city.worker():
        pass
    assert len(await city.incidents()) == PARTITIONS


async def test_two_pushes_at_once_cannot_lose_one_another(city: RuleCity) -> None:
    from ioc.app.rules.push import RulePublisher, plan_push

    sets = RuleSets(city.pool)
    plan = plan_push(await sets.newest(), wrong_way(0.5), city.directory.index, shadow=False)
    await city.push({"crowd.yaml": CROWD.replace("> 50", "> 60")})
    with pytest.raises(PushRefused, match="meanwhile"):
        await RulePublisher(city.pool, city.log, sets).push(plan, author="an")


async def test_a_disabled_rule_clears_its_incidents_and_says_who_and_why(city: RuleCity) -> None:
    async with city.worker() as worker:
        await everywhere(city, 1, 0.95)
        await city.switch("wrong-way", on=False, reason="camera being cleaned")
        await everywhere(city, 100, 0.95)
        await city.settle()
        worker._status_at_s = 0.0
        await city.log.append_ticks(EVENTS_TOPIC, START_US + 200 * SECOND_US)
    assert [i.condition for i in await city.incidents()] == [Condition.CLEARED] * PARTITIONS
    rules = {rule.rule: rule for rule in await RunningRules(RuleSets(city.pool), city.pool).rules()}
    off = rules["wrong-way"]
    assert (off.enabled, off.error, off.set_version, off.author) == (False, "camera being cleaned", 2, "an")
    assert rules["crowd"].enabled
    with pytest.raises(PushRefused, match="disabled already"):
        await city.switch("wrong-way", on=False, reason="again")
    async with city.worker():
        await city.switch("wrong-way", on=True)
        await everywhere(city, 300, 0.95)
    assert len(await city.incidents()) == 2 * PARTITIONS


async def test_a_shadow_raises_nothing_and_is_listed_beside_the_active_rule(city: RuleCity) -> None:
    async with city.worker(5):
        await city.push(wrong_way(0.5, severity="critical"), shadow=True)
        await everywhere(city, 1, 0.6)  # only the shadow fires
        for at_s in (60, 90, 98):
            await city.log.append_ticks(EVENTS_TOPIC, START_US + at_s * SECOND_US)
        await everywhere(city, 100, 0.95)  # both fire
    incidents = await city.incidents()
    assert len(incidents) == PARTITIONS
    assert {i.severity for i in incidents} == {"high"}
    assert await city.query("SELECT raised FROM rule_shadow_count") == [(2 * PARTITIONS,)]
    view = RunningRules(RuleSets(city.pool), city.pool)
    shown = [(d.change, d.key) for d in await view.shadow("wrong-way")]
    assert sorted(shown) == sorted((c, s) for c in ("gained", "same") for s in SOURCES)
    info = next(rule for rule in await view.rules() if rule.rule == "wrong-way")
    assert info.shadow is not None
    assert (info.shadow.raised, info.shadow.set_version, info.set_version) == (2 * PARTITIONS, 2, 1)


async def test_a_shadow_survives_a_restart_and_ends_with_the_push_of_its_rule(city: RuleCity) -> None:
    async with city.worker():
        await city.push(wrong_way(0.5), shadow=True)
        await everywhere(city, 1, 0.6)
    async with city.worker():
        await everywhere(city, 5, 0.6)  # the same episode goes on
    assert await city.query("SELECT raised FROM rule_shadow_count") == [(PARTITIONS,)]
    async with city.worker():
        await city.push(wrong_way(0.5))
        await everywhere(city, 100, 0.6)
    assert await city.query("SELECT count(*) FROM rule_shadow_firing WHERE cleared IS NULL") == [(0,)]
    assert await city.query("SELECT raised FROM rule_shadow_count") == [(PARTITIONS,)]
    assert len(await city.incidents()) == PARTITIONS
    assert await city.query("SELECT count(*) FROM rule_state WHERE rule = '~wrong-way'") == [(0,)]


async def test_a_failing_rule_is_shown_and_runs_again_once_enabled(city: RuleCity) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    async with city.worker() as worker:
        await city.append([crowd(0.5, source) for source in SOURCES])
        await city.settle()
        for work in worker._partitions.values():
            work.engine._machines["wrong-way"].feed = fail  # type: ignore[method-assign,assignment]
        for at_s in (1, 2, 3, 4):
            await everywhere(city, at_s, 0.95)
        await city.settle()
        worker._status_at_s = 0.0
        await city.append([crowd(5, source) for source in SOURCES])
    view = RunningRules(RuleSets(city.pool), city.pool)
    shown = {rule.rule: rule for rule in await view.rules()}
    broken = shown["wrong-way"]
    assert (broken.enabled, broken.failures, broken.error) == (False, 3 * PARTITIONS, "RuntimeError: broken")
    assert (shown["crowd"].enabled, shown["crowd"].failures, shown["crowd"].raised) == (True, 0, PARTITIONS)
    assert shown["crowd"].seconds > 0
    async with city.worker():
        await everywhere(city, 100, 0.95)  # a restart forgives nothing
    assert {i.rule for i in await city.incidents()} == {"crowd"}
    async with city.worker():
        await city.switch("wrong-way", on=True, reason="mended")
        await everywhere(city, 200, 0.95)
    assert sum(i.rule == "wrong-way" for i in await city.incidents()) == PARTITIONS


async def test_a_slow_rule_is_disabled_with_a_reason_and_the_others_run_on(city: RuleCity) -> None:
    async with city.worker() as worker:
        await everywhere(city, 1, 0.95)
        await city.settle()
        for number in range(STRIKES):
            (slow, *_) = worker._partitions.values()
            slow.engine.seconds["wrong-way"] += 2.0
            worker._status_at_s = 0.0
            published = (
                "SELECT count(*) FROM rule_status WHERE"
                f" (doc -> 'active' -> 'wrong-way' ->> 'seconds')::float > {2 * number + 1}"
            )
            await city.log.append_ticks(EVENTS_TOPIC, START_US + (10 + number) * SECOND_US)
            await city.wait_for(published)
        await everywhere(city, 100, 0.95)
        await city.append([crowd(101, source) for source in SOURCES])
    off = {rule.rule: rule for rule in await RunningRules(RuleSets(city.pool), city.pool).rules()}
    assert not off["wrong-way"].enabled
    assert off["wrong-way"].error is not None
    assert off["wrong-way"].error.startswith("slow: ")
    assert off["wrong-way"].author == "ioc"
    incidents = await city.incidents()
    assert {i.condition for i in incidents if i.rule == "wrong-way"} == {Condition.CLEARED}
    assert sum(i.rule == "crowd" for i in incidents) == PARTITIONS


async def test_areas_that_vanish_never_stop_the_rules(city: RuleCity, tmp_path: Path) -> None:
    from ioc.store.areas import replace_areas

    kind = next(kind for kind in city.directory.index.kinds if kind == "market")
    async with city.worker():
        await city.push({"w.yaml": wrong_way(0.5)["wrong-way.yaml"] + f"area: {{kind: {kind}}}\n"})
    async with city.pool.connection() as connection:
        await replace_areas(connection, kind, [])
    await city.directory.refresh()
    await everywhere(city, 100, 0.95)
    async with city.worker():  # a fresh start: version 2 does not compile any more, version 1 does
        pass
    assert len(await city.incidents()) == PARTITIONS
    async with city.worker() as worker:
        worker._status_at_s = 0.0
        await city.log.append_ticks(EVENTS_TOPIC, START_US + 300 * SECOND_US)
    rules = await RunningRules(RuleSets(city.pool), city.pool).rules()
    assert any(rule.error and kind in rule.error for rule in rules)


async def test_a_rule_whose_area_is_gone_stops_no_other_at_a_start(database: Dsns, tmp_path: Path) -> None:
    from ioc.store.areas import replace_areas

    (tmp_path / "crowd.yaml").write_text(CROWD + "area: {kind: market}\n")
    (tmp_path / "wrong-way.yaml").write_text(WRONG_WAY.format(confidence=0.9, severity="high"))
    async with rule_city(database, tmp_path) as city:
        async with city.pool.connection() as connection:
            await replace_areas(connection, "market", [])
        await city.directory.refresh()
        await everywhere(city, 100, 0.95)
        async with city.worker() as worker:
            worker._status_at_s = 0.0
            await city.log.append_ticks(EVENTS_TOPIC, START_US + 300 * SECOND_US)
        assert len(await city.incidents()) == PARTITIONS
        rules = await RunningRules(RuleSets(city.pool), city.pool).rules()
        assert all(rule.error and "no area of kind 'market'" in rule.error for rule in rules)
