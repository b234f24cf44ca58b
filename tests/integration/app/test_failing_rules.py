"""Rules that fail by data, by a bound or by slowness, all at once beside others, on the real workers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ioc.app.rules.sets import RuleSets
from ioc.app.rules.slow import STRIKES
from ioc.app.rules.view import RunningRules
from ioc.model.events import Event
from ioc.model.incidents import Condition
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import SECOND_US
from ioc.rules.engine import MAX_FAILURES
from ioc.rules.machine import MAX_WAITING
from ioc.rules.spell import SpellMachine
from ioc.store.embedded import Dsns
from tests.integration.app.rule_city import PARTITIONS, SOURCES, RuleCity, rule_city
from tests.integration.app.test_rule_versions import CROWD, START_US, crowd
from tests.integration.app.test_wide_rules import TWO_WARDS, WARDS, plate

NAMES = ("good", "odd-data", "slow")
BEYOND = 50
BUSY = CROWD.replace("rule: crowd", "rule: busy").replace(
    "where: people > 50", "sequence: {steps: [people > 50, people > 200], within: 5m}"
)
WIDE = TWO_WARDS.format(confidence=0.5)


@pytest.fixture
async def city(database: Dsns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RuleCity]:
    for name in NAMES:
        (tmp_path / f"{name}.yaml").write_text(CROWD.replace("rule: crowd", f"rule: {name}"))
    (tmp_path / "busy.yaml").write_text(BUSY)
    (tmp_path / "two-wards.yaml").write_text(WIDE)
    (tmp_path / "odd-wide.yaml").write_text(WIDE.replace("two-wards", "odd-wide"))
    feed = SpellMachine.feed

    def brittle(self: SpellMachine, key: str, event: Event, *args: Any, **more: Any) -> None:
        """Be code that some events break."""
        if self.rule.name in ("odd-data", "odd-wide") and event.id.startswith(
            "c" if event.ward is None else "P"
        ):
            raise ValueError("odd value")
        feed(self, key, event, *args, **more)

    monkeypatch.setattr(SpellMachine, "feed", brittle)
    async with rule_city(database, tmp_path) as opened:
        yield opened


async def past(city: RuleCity) -> None:
    """Crowds and plates everywhere in each of four seconds; before one camera more than may wait."""
    for second in range(MAX_FAILURES + 1):
        await city.append([crowd(second + 0.5, source) for source in SOURCES])
        await city.append([plate(second + 1, ward, f"P{n}") for n, ward in enumerate(WARDS)])
        await city.log.append_ticks(EVENTS_TOPIC, START_US + (second + 1) * SECOND_US)
    await city.log.append_ticks(EVENTS_TOPIC, START_US + 9 * SECOND_US)
    await city.append([crowd(10 + number / 1000, SOURCES[0]) for number in range(MAX_WAITING + BEYOND)])
    await city.append([plate(11, WARDS[(n + 1) % PARTITIONS], f"P{n}") for n in range(PARTITIONS)])
    for second in (11, 12, 20):
        await city.log.append_ticks(EVENTS_TOPIC, START_US + second * SECOND_US)


async def test_each_is_isolated_counted_shown_and_all_but_the_bounded_one_off(city: RuleCity) -> None:
    async with city.worker() as worker:
        await past(city)
        await city.settle()
        for number in range(STRIKES):
            (one, *_) = worker._partitions.values()
            one.engine.seconds["slow"] += 2.0
            worker._status_at_s = 0.0
            await city.log.append_ticks(EVENTS_TOPIC, START_US + (30 + number) * SECOND_US)
            await city.wait_for(
                "SELECT count(*) FROM rule_status WHERE"
                f" (doc -> 'active' -> 'slow' ->> 'seconds')::float > {2 * number + 1}"
            )
        switched = "SELECT (min(version) = 2)::int FROM rule_status WHERE topic = 'ioc.events'"
        await city.wait_for(switched)
        disabled = "doc -> 'active' -> 'odd-wide' ->> 'disabled'"
        await city.wait_for(f"SELECT count(*) FROM rule_status WHERE ({disabled})::bool")
    shown = {rule.rule: rule for rule in await RunningRules(RuleSets(city.pool), city.pool).rules()}
    assert {name for name, rule in shown.items() if not rule.enabled} == {"odd-data", "odd-wide", "slow"}
    for name in ("odd-data", "odd-wide"):
        assert shown[name].error == "ValueError: odd value"
        assert shown[name].failures >= MAX_FAILURES
        labels = {"rule": name, "lane": "active"}
        assert (REGISTRY.get_sample_value("ioc_rules_failures_total", labels) or 0) >= MAX_FAILURES
    assert (shown["slow"].error or "").startswith("slow: ")
    assert (shown["busy"].overflowed, shown["busy"].failures) == (BEYOND, 0)
    assert [(shown[name].failures, shown[name].error) for name in ("good", "two-wards")] == [(0, None)] * 2
    incidents = await city.incidents()
    assert {i.key for i in incidents if i.rule == "good"} == set(SOURCES)
    seen = PARTITIONS * (MAX_FAILURES + 1) + MAX_WAITING + BEYOND
    assert (shown["good"].matched, shown["good"].raised) == (seen, PARTITIONS)
    assert sorted(i.key for i in incidents if i.rule == "two-wards") == [f"P{n}" for n in range(PARTITIONS)]
    assert {i.condition for i in incidents if i.rule == "slow"} == {Condition.CLEARED}
    assert not [i for i in incidents if i.rule.startswith("odd")]
