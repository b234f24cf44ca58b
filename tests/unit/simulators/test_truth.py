"""The ground truth: what it promises, and that the demo keeps a viewer's map busy but not buried."""

import pytest

from simulators.fleet import Fleet
from simulators.scenario import Script, named_scenario, parse_scenario
from simulators.truth import RULES, Expected, live_at, merge, truth
from tests.unit.simulators.conftest import START_US


def expected_of(fleet: Fleet, steps: str, duration_s: float = 4000) -> list[Expected]:
    text = "scenario: t\ntitle: {vi: a, en: b}\nsteps:\n" + steps
    script = Script(parse_scenario(text, "t"), fleet, START_US)
    return truth(script, {unit.id: unit.ward for unit in fleet.units.values()}, START_US, duration_s)


@pytest.fixture(scope="module")
def demo(fleet: Fleet) -> list[Expected]:
    script = Script(named_scenario("demo"), fleet, START_US)
    return truth(script, {unit.id: unit.ward for unit in fleet.units.values()}, START_US, 3600)


def test_the_demo_shows_an_incident_within_20_s_and_most_kinds_within_100_s(demo: list[Expected]) -> None:
    assert demo[0].from_s + demo[0].tolerance_s <= 20
    assert len({item.rule for item in demo if item.from_s <= 100}) >= 5
    assert {item.rule for item in demo} >= set(RULES) - {"flood-alarm", "detector-silent"}


def test_the_demo_always_has_5_to_15_live_incidents_once_it_has_begun(demo: list[Expected]) -> None:
    counts = [live_at(demo, second) for second in range(100, 3000, 5)]
    assert min(counts) >= 5
    assert max(counts) <= 15


def test_the_demo_keeps_clearing_and_covers_the_map(demo: list[Expected]) -> None:
    for begin in range(200, 2800, 100):
        assert any(begin <= item.until_s < begin + 100 for item in demo)
    assert len({item.ward for item in demo}) >= 25


def test_a_demo_incident_has_cleared_before_the_same_place_has_it_again(demo: list[Expected]) -> None:
    spans: dict[tuple[str, str], float] = {}
    for item in demo:
        key = (item.rule, item.source or item.ward)
        assert item.from_s - item.tolerance_s > spans.get(key, -1e9)
        spans[key] = item.until_s + item.clear_tolerance_s


@pytest.mark.parametrize(
    "step",
    [
        "{at: 0, duration_s: 200, kind: congestion, source: det-25747-01, speed_kmh: 19}",
        "{at: 0, duration_s: 200, kind: congestion, source: det-25747-01, occupancy: 0.2}",
        "{at: 0, duration_s: 20, kind: congestion, source: det-25747-01}",
        "{at: 0, duration_s: 20, kind: wrong_way, source: cam-25747-01, confidence: 0.4}",
        "{at: 0, duration_s: 20, kind: stopped_vehicle, source: cam-25747-01}",
        "{at: 0, duration_s: 200, kind: crowd, source: cam-25747-01, people: 50}",
        "{at: 30, duration_s: 60, kind: camera_silent, source: cam-25747-01}",
        "{at: 0, duration_s: 60, kind: flood_report, ward: '25747', reports: 1}",
    ],
)
def test_what_stays_below_the_rules_raises_nothing(fleet: Fleet, step: str) -> None:
    assert expected_of(fleet, f"  - {step}\n") == []


def test_a_ward_rule_names_the_ward_and_a_device_rule_the_device(fleet: Fleet) -> None:
    jam, flood = expected_of(
        fleet,
        "  - {at: 0, duration_s: 200, kind: congestion, source: det-25747-01}\n"
        "  - {at: 100, duration_s: 60, kind: flood_report, ward: '25942'}\n",
    )
    assert (jam.rule, jam.source, jam.ward) == ("congestion", "det-25747-01", "25747")
    assert (flood.rule, flood.source, flood.ward) == ("flood-report", None, "25942")
    # The second of three reports in a minute comes after twenty seconds.
    assert flood.from_s == pytest.approx(120, abs=1)


def test_touching_spans_of_one_rule_and_place_are_one_episode(fleet: Fleet) -> None:
    found = expected_of(
        fleet,
        "  - {at: 0, duration_s: 100, kind: congestion, source: det-25747-01}\n"
        "  - {at: 105, duration_s: 100, kind: congestion, source: det-25747-01}\n"
        "  - {at: 105, duration_s: 100, kind: congestion, source: det-25747-02}\n",
    )
    assert [(item.source, item.until_s) for item in found] == [
        ("det-25747-01", 240.0),
        ("det-25747-02", 240.0),
    ]
    assert merge(reversed(found)) == found


def test_the_truth_leaves_out_what_may_come_after_its_end(fleet: Fleet) -> None:
    step = "  - {at: 0, duration_s: 200, kind: congestion, source: det-25747-01}\n"
    assert expected_of(fleet, step, duration_s=55) == []
    assert len(expected_of(fleet, step, duration_s=70)) == 1
