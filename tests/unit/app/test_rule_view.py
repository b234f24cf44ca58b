"""The list of rules shows what the workers measured."""

from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from rich.console import Console

from ioc.app.rules.partition import COUNTED, PartitionWork, Stored
from ioc.app.rules.report import rules_table
from ioc.app.rules.sets import Programs, build_set
from ioc.app.rules.view import describe
from ioc.app.rules.wide_outlet import WideOutlet
from ioc.app.settings.sections import RulesSettings
from ioc.rules import PartitionEngine, load
from ioc.rules.wide_forward import DEFAULT_MAX_KEYS
from ioc.rules.wide_merge import DEFAULT_MAX_HELD
from ioc.store.rule_state import PartitionStatus, RuleReport
from ioc.store.rule_versions import RuleItem
from tests.unit.rules.scenes import flow, with_ticks

TEXT = """
rule: it
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 9
hold: 9s
severity: low
"""


def item(text: str = TEXT) -> RuleItem:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return RuleItem(
        rule="it", lane="active", version=1, source="d", hash="h", enabled=True, file="it.yaml", text=text,
        op="import", at=at, author="an",
    )  # fmt: skip


def test_a_rule_that_took_microseconds_does_not_look_as_if_it_had_not_run() -> None:
    report = RuleReport(hash="h", seconds=0.000_1)
    status = {number: PartitionStatus(version=1, active={"it": report}) for number in range(4)}
    (shown,) = describe(build_set(1, [item()]), status, {})
    assert shown.seconds == 0.000_4


COUNTING = """
rule: counting
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 9
by: [ward]
hold: 5s
cooldown: 60s
late: amend
severity: low
"""


def worked() -> PartitionWork:
    """A partition that met a match, one without a ward, a late one for the open incident, a cooled one."""
    programs = Programs(1, load({"it.yaml": COUNTING}), load({}))
    work = PartitionWork(0, Stored(1, []), programs, 1, 0, lateness_s=2, expected={})
    late = flow(41, 1, ward="w", arrives=104)
    events = [flow(100, 1, ward="w"), flow(101, 1), late, flow(110, 1, ward="w")]
    items = with_ticks(events, 120, since=95)
    work.apply(list(enumerate(items)), len(items))
    return work


def sample(what: str) -> float:
    labels = {"rule": "counting", "lane": "active", "what": what}
    return REGISTRY.get_sample_value("ioc_rules_rule_events_total", labels) or 0.0


def test_what_did_not_count_is_counted_for_people_and_for_metrics() -> None:
    before = {what: sample(what) for what in COUNTED}
    work = worked()
    report = work.status().active["counting"]
    counted = {what: getattr(report, what) for what in COUNTED}
    assert counted == {
        "matched": 3, "raised": 1, "late": 1, "amended": 1, "cooled": 1, "unkeyed": 1, "overflowed": 0,
        "evicted": 0,
    }  # fmt: skip
    work.status()
    assert {what: sample(what) - before[what] for what in COUNTED} == counted


def test_devices_that_no_key_is_left_for_are_reported_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartitionEngine, "unwatched_counts", {"it": 7})
    silent = "rule: it\ntitle: {vi: a, en: a}\nseverity: low\nstream: camera\nabsence: 90s\n"
    programs = Programs(1, load({"it.yaml": silent}), load({}))
    work = PartitionWork(3, Stored(1, []), programs.local, 1, 0, lateness_s=2, expected={})
    assert work.status().active["it"].unwatched == 7
    labels = {"rule": "it", "lane": "active", "partition": "3"}
    assert REGISTRY.get_sample_value("ioc_rules_rule_unwatched", labels) == 7


def test_counters_are_added_up_over_partitions_and_listed() -> None:
    report = RuleReport(hash="h", unwatched=2, **dict.fromkeys(COUNTED, 2))
    status = {number: PartitionStatus(version=1, active={"it": report}) for number in range(3)}
    (shown,) = describe(build_set(1, [item()]), status, {})
    assert {what: getattr(shown, what) for what in COUNTED} == dict.fromkeys(COUNTED, 6)
    console = Console(width=250, record=True)
    console.print(rules_table([shown]))
    printed = console.export_text()
    for what in ("late", "amended", "cooled", "unkeyed", "overflowed", "evicted", "unwatched"):
        assert f"{what} 6" in printed


def test_a_rule_keyed_beyond_a_ward_is_marked_and_its_events_without_key_are_those_of_the_first_stage() -> (
    None
):
    wide = f"{TEXT}by: [subject]\n"
    program = load({"it.yaml": wide})
    programs = Programs(1, program, load({}))
    first = PartitionWork(0, Stored(1, []), programs.local, 1, 0, lateness_s=2, expected={})
    outlet = WideOutlet(None, 8)  # type: ignore[arg-type]
    outlet.begin(first, Stored(1, []), programs.wide, 2)
    outlet.take(first, list(enumerate([flow(1, 1), flow(2, 1, subject="s"), flow(3, 50)])))
    second = PartitionWork(0, Stored(1, []), programs.wide, 1, 0, lateness_s=2, expected={})
    second.apply([(0, flow(2, 1, subject="s"))], 1)
    status = {(topic, 0): work.status() for topic, work in (("ioc.events", first), ("ioc.wide", second))}
    (shown,) = describe(build_set(1, [item(wide)]), status, {})
    assert (shown.wide, shown.unkeyed, shown.matched) == (True, 1, 1)
    (local,) = describe(build_set(1, [item(f"{TEXT}by: [source]\n")]), {}, {})
    assert not local.wide
    for info, marked in ((shown, True), (local, False)):
        console = Console(width=250, record=True)
        console.print(rules_table([info]))
        assert ("wide" in console.export_text()) is marked


def test_the_settings_of_wide_rules_are_the_bounds_the_reference_names() -> None:
    settings = RulesSettings()
    assert (settings.wide_keys, settings.wide_held) == (DEFAULT_MAX_KEYS, DEFAULT_MAX_HELD)
