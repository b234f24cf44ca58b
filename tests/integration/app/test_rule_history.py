"""An hour of the simulated city: backtests agree with what really happened, and say what a change changes."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from ioc.app.devices.description import parse_devices
from ioc.app.rules import report as rule_report
from ioc.app.rules.backtest import Backtester, NoHistoryError
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.sets import RuleSets
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.gateway import Gateway
from ioc.ingest.limits import IngestLimits
from ioc.model.events import Event, decode_event
from ioc.model.times import HOUR_US, SECOND_US, format_us, parse_us
from ioc.rules import load
from ioc.rules.backtest import Change, compare
from ioc.rules.compile import compile_rules
from ioc.store.embedded import Dsns
from ioc.store.writer import HistoryWriter
from simulators.fleet import load_fleet
from simulators.scenario import Script, named_scenario
from simulators.world import World
from tests.acceptance.virtual_city import BOUNDS, ROOT, SENDER
from tests.integration.app.rule_city import RuleCity, rule_city

START_US = parse_us("2026-11-23T07:00:00+07:00")
SLICE_S = 60


@asynccontextmanager
async def demo_city(database: Dsns) -> AsyncIterator[RuleCity]:
    devices = parse_devices((ROOT / "demo" / "devices.geojson").read_bytes())
    async with rule_city(database, ROOT / "rules", devices=devices) as city:
        yield city


def seconds_of(city: RuleCity, scenario: str, length_s: int) -> list[tuple[int, list[Event]]]:
    """Return the events of each second as ingest would have let them in, with the second's end."""
    demo = Path(ROOT / "demo")
    fleet = load_fleet(demo / "devices.geojson", demo / "areas.geojson")
    world = World(fleet, [Script(named_scenario(scenario), fleet, START_US)], seed=1, start_us=START_US)
    gateway = Gateway(city.directory.registry, city.directory, BOUNDS, IngestLimits())
    found = []
    for second in range(length_s):
        begin_us = START_US + second * SECOND_US
        now_us = begin_us + SECOND_US
        body = b"\n".join(map(msgspec.json.encode, world.events_between(begin_us, now_us)))
        context = DecodeContext(device_id=SENDER.id, now_us=now_us, content_type="application/x-ndjson")
        decoded = DECODERS["cloudevents"].decode(body, context)
        admission = gateway.admit(SENDER, decoded.events, decoded.rejections, now_us)
        assert not admission.rejected
        found.append((now_us, [decode_event(record.payload) for record in admission.records]))
    return found


async def fill(city: RuleCity, seconds: Sequence[tuple[int, list[Event]]], *, log: bool) -> int:
    """Put an hour into the history tables, and into the log."""
    writer = HistoryWriter()
    for first in range(0, len(seconds), SLICE_S):
        piece = seconds[first : first + SLICE_S]
        async with city.pool.connection() as connection:
            await writer.write(connection, [event for _, events in piece for event in events])
        if log:
            await city.append_seconds(piece)
    return sum(len(events) for _, events in seconds)


def quiet(_: float, __: int) -> None:
    pass


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_an_hour_replayed_is_byte_identical_and_the_backtest_agrees_with_it(database: Dsns) -> None:
    async with demo_city(database) as city:
        count = await fill(city, seconds_of(city, "demo", 3600), log=True)
        digests = []
        for batch_records in (1000, 333):
            async with city.worker(batch_records):
                pass
            digests.append(hashlib.sha256(await city.export()).hexdigest())
            incidents = await city.incidents()
            city.forget_effects()
        assert digests[0] == digests[1]
        assert count > 150_000
        assert len(incidents) > 30

        backtester = Backtester(city.pool, city.directory, 2.0, 1)
        current = await RuleSets(city.pool).newest()
        program = compile_rules(current.active, city.directory.index)
        span = await backtester.span(current.active, None, None, HOUR_US)
        report = await backtester.run(program, None, span, quiet)
        grain_us = {rule.name: (rule.absence_us or 0) // 10 for rule in current.active}
        replayed = {
            (e.rule, e.key, e.opened_us, e.detected_us) for e in report.episodes if not grain_us[e.rule]
        }
        happened = {(i.rule, i.key, i.opened_us, i.detected_us) for i in incidents if not grain_us[i.rule]}
        assert replayed == happened
        assert len(happened) > 20
        # The clock of silence is rounded to a grain, whose phase a replay cannot know.
        silent = [i for i in incidents if grain_us[i.rule]]
        quieter = [e for e in report.episodes if grain_us[e.rule]]
        assert len(silent) > 5
        for difference in compare(silent, quieter, until_us=span.to_us):
            assert difference.change not in (Change.GAINED, Change.LOST)
            assert abs(difference.shift_us) <= grain_us[difference.rule] + SECOND_US
        assert report.events == count


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_changed_rule_over_an_hour_of_traffic_prints_its_diff(database: Dsns) -> None:
    changed = (ROOT / "rules" / "congestion.yaml").read_text("utf-8")
    changed = changed.replace("speed_kmh < 15", "speed_kmh < 20").replace("for: 20s", "for: 120s")
    async with demo_city(database) as city:
        await fill(city, seconds_of(city, "morning-rush", 3600), log=False)
        tables = "SELECT (SELECT count(*) FROM incident), (SELECT count(*) FROM rule_state),"
        tables += " (SELECT count(*) FROM rule_version), (SELECT count(*) FROM log_batch)"
        before = await city.query(tables)
        backtester = Backtester(city.pool, city.directory, 2.0, 1)
        candidate = load({"congestion.yaml": changed}, city.directory.index)
        base = compile_rules(
            [rule for rule in RuleFolder(ROOT / "rules").rules if rule.name == "congestion"],
            city.directory.index,
        )
        shares: list[float] = []
        span = await backtester.span(candidate.declared, START_US, START_US + HOUR_US, HOUR_US)
        report = await backtester.run(candidate, base, span, lambda share, _: shares.append(share))
        assert await city.query(tables) == before
        again = await backtester.run(candidate, base, span, quiet)

    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    kinds = {change: [d for d in report.differences if d.change is change] for change in Change}
    assert {d.key for d in kinds[Change.GAINED]} == {"det-25888-03"}  # slow, but above the old threshold
    assert len(kinds[Change.LATER]) >= 4
    assert all(80 <= d.shift_us / SECOND_US <= 130 for d in kinds[Change.LATER])
    assert kinds[Change.EARLIER] == []
    printed = rule_report.as_json(report)
    assert json.dumps(printed) == json.dumps(rule_report.as_json(again))
    load_ = printed["rules"]["congestion"]
    assert load_["alarms"] == len(report.episodes)
    assert load_["base"]["alarms"] == len(report.base)
    assert load_["over_budget"] == (load_["busiest_hour"] > 6)


async def test_why_names_the_condition_that_failed_and_by_how_much(database: Dsns) -> None:
    async with demo_city(database) as city:
        await fill(city, seconds_of(city, "morning-rush", 360), log=False)
        backtester = Backtester(city.pool, city.directory, 2.0, 1)
        rules = [rule for rule in RuleFolder(ROOT / "rules").rules if rule.name == "congestion"]
        program = compile_rules(rules, city.directory.index)
        at_us = START_US + 350 * SECOND_US
        slow = await backtester.why(program, rules[0], "det-25888-03", at_us)
        jammed = await backtester.why(program, rules[0], "det-25966-02", at_us)
        unknown = await backtester.why(program, rules[0], "det-25966-xx", at_us)
    assert not slow.fired
    failed = {check.condition: check for check in slow.failed}
    speed = failed["speed_kmh < 15"]
    assert isinstance(speed.value, float)
    assert speed.short_by == pytest.approx(speed.value - 15)
    assert 0 < speed.value - 15 < 10
    assert failed["count >= 3 within 60s"].short_by == 3
    assert "occupancy > 0.35" not in failed
    assert jammed.fired
    assert jammed.failed == ()
    assert "det-25966-02" in unknown.other_keys


async def test_without_history_there_is_nothing_to_test_on(database: Dsns) -> None:
    async with demo_city(database) as city:
        backtester = Backtester(city.pool, city.directory, 2.0, 1)
        with pytest.raises(NoHistoryError):
            await backtester.span(RuleFolder(ROOT / "rules").rules, None, None, HOUR_US)
        await fill(city, seconds_of(city, "demo", 5), log=False)
        with pytest.raises(NoHistoryError, match="nothing of that time"):
            late_us = START_US + 2 * HOUR_US
            await backtester.span(RuleFolder(ROOT / "rules").rules, late_us, None, HOUR_US)
        span = await backtester.span(RuleFolder(ROOT / "rules").rules, None, None, HOUR_US)
        assert format_us(span.to_us) == format_us(START_US + 6 * SECOND_US)
