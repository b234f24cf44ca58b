"""Imperfect devices and citizens: each fault shows in the events as what it is, and nowhere else."""

from itertools import pairwise
from typing import Any

import pytest

from simulators.faults import background
from simulators.fleet import Fleet
from simulators.reports import unaccented
from simulators.scenario import Script, parse_scenario
from simulators.steps import FAULTS
from simulators.times import SECOND_US, parse_us
from simulators.world import World
from tests.unit.simulators.conftest import START_US

LENGTH_S = 600


def played(fleet: Fleet, step: str, length_s: int = LENGTH_S) -> list[tuple[int, Any]]:
    text = f"scenario: t\ntitle: {{vi: a, en: b}}\nsteps:\n  - {{at: 30, duration_s: 540, {step}}}\n"
    world = World(fleet, [Script(parse_scenario(text, "t"), fleet, START_US)], seed=1, start_us=START_US)
    return list(world.sent_between(START_US, START_US + length_s * SECOND_US))


@pytest.fixture(scope="module")
def healthy(fleet: Fleet) -> list[tuple[int, Any]]:
    made = World(fleet, [], seed=1, start_us=START_US).sent_between(START_US, START_US + LENGTH_S * SECOND_US)
    return list(made)


def of(events: list[tuple[int, Any]], source: str, kind: str) -> list[tuple[int, Any]]:
    return [(at_us, e) for at_us, e in events if e["source"] == source and e["type"] == kind]


@pytest.mark.parametrize(
    ("step", "source"),
    [
        ("kind: count_drift, source: cam-25747-01", "cam-25747-01"),
        ("kind: clock_drift, source: cam-25747-01", "cam-25747-01"),
        ("kind: lost_samples, source: cam-25747-01", "cam-25747-01"),
        ("kind: detector_silent, source: det-25747-01", "det-25747-01"),
        ("kind: detector_stuck, source: det-25747-01", "det-25747-01"),
        ("kind: detector_noisy, source: det-25747-01", "det-25747-01"),
    ],
)
def test_a_fault_changes_its_own_device_and_no_other(
    fleet: Fleet, healthy: list[tuple[int, Any]], step: str, source: str
) -> None:
    faulty = played(fleet, step)
    assert [item for item in faulty if item[1]["source"] != source] == [
        item for item in healthy if item[1]["source"] != source
    ]
    assert faulty != healthy


def test_counts_drift_slowly_to_their_factor(fleet: Fleet, healthy: list[tuple[int, Any]]) -> None:
    drifted = of(
        played(fleet, "kind: count_drift, source: cam-25747-03, factor: 1.5"), "cam-25747-03", "camera.count"
    )
    true = of(healthy, "cam-25747-03", "camera.count")
    ratios = [
        there["data"]["people"] / here["data"]["people"]
        for (_, there), (_, here) in zip(drifted, true, strict=True)
    ]
    assert ratios[0] == pytest.approx(1.0, abs=0.03)
    assert ratios[18] == pytest.approx(1.25, abs=0.06)
    assert ratios[-4] == pytest.approx(1.5, abs=0.1)


def test_a_drifting_clock_puts_wrong_times_on_events_that_are_sent_on_time(fleet: Fleet) -> None:
    events = of(
        played(fleet, "kind: clock_drift, source: cam-25747-01, seconds: -60"), "cam-25747-01", "camera.count"
    )
    offsets_s = [(parse_us(event["time"]) - at_us) / SECOND_US for at_us, event in events]
    within = [
        offset
        for offset, (at_us, _) in zip(offsets_s, events, strict=True)
        if at_us < START_US + 570 * SECOND_US
    ]
    assert within == sorted(within, reverse=True)
    assert within[0] == pytest.approx(0, abs=2)
    assert within[-1] == pytest.approx(-59, abs=2)


def test_a_stuck_detector_repeats_one_plausible_sample(fleet: Fleet) -> None:
    flows = of(played(fleet, "kind: detector_stuck, source: det-25747-01"), "det-25747-01", "traffic.flow")
    stuck = [
        (flow["data"]["speed_kmh"], flow["data"]["occupancy"], flow["data"]["volume_veh"])
        for at_us, flow in flows
        if START_US + 30 * SECOND_US <= at_us < START_US + 570 * SECOND_US
    ]
    assert len(stuck) == 54
    assert len(set(stuck)) == 1
    assert stuck[0][0] > 30


def test_a_noisy_detector_is_wild_for_single_samples_only(fleet: Fleet) -> None:
    flows = of(
        played(fleet, "kind: detector_noisy, source: det-25747-01, share: 1"), "det-25747-01", "traffic.flow"
    )
    wild = [at_us for at_us, flow in flows if flow["data"]["speed_kmh"] < 5]
    assert len(wild) >= 12
    assert min(b - a for a, b in pairwise(wild)) >= 40 * SECOND_US


def test_lost_samples_are_about_their_share(fleet: Fleet, healthy: list[tuple[int, Any]]) -> None:
    step = "kind: lost_samples, source: det-25747-01, share: 0.5"
    left = len(of(played(fleet, step), "det-25747-01", "traffic.flow"))
    assert 20 <= left <= len(of(healthy, "det-25747-01", "traffic.flow")) - 15


def test_a_camera_misses_some_of_its_alarms_and_claims_one_that_is_not_there(fleet: Fleet) -> None:
    def alarms(step: str) -> list[Any]:
        return [event["data"] for _, event in of(played(fleet, step), "cam-25747-01", "camera.alarm")]

    whole = alarms("kind: wrong_way, source: cam-25747-01")
    assert 30 < len(alarms("kind: wrong_way, source: cam-25747-01, missed: 0.5")) < len(whole) - 30
    assert [a["confidence"] for a in alarms("kind: wrong_way, source: cam-25747-01, missed: 1")] == [0.9]
    (false,) = alarms("kind: false_alarm, source: cam-25747-01, alarm: fire_smoke, confidence: 0.4")
    assert (false["kind"], false["confidence"]) == ("fire_smoke", 0.4)


def test_a_burst_tells_one_complaint_with_and_without_diacritics_from_different_people(fleet: Fleet) -> None:
    burst = [
        event["data"]
        for _, event in played(fleet, 'kind: duplicate_reports, ward: "25747", reports: 12')
        if "again" in event["id"]
    ]
    assert len(burst) == 12
    assert len({report["contact"] for report in burst}) == 12
    assert len({unaccented(report["title"]) for report in burst}) == 1
    assert len({report["title"] for report in burst}) == 2
    assert {report["category"] for report in burst} != {"flood"}


def test_misplaced_reports_come_from_places_that_cannot_be(fleet: Fleet) -> None:
    reports = [
        event
        for _, event in played(fleet, 'kind: misplaced_reports, ward: "25747", reports: 8')
        if "lost" in event["id"]
    ]
    assert len(reports) == 8
    assert {(r["lon"], r["lat"]) for r in reports} >= {(0.0, 0.0), (103.85, 1.29)}
    assert not any(106.2 < r["lon"] < 107.1 and 10.7 < r["lat"] < 11.7 for r in reports)


def test_unaccented_text_is_what_a_keyboard_without_vietnamese_types() -> None:
    assert (
        unaccented("Đường ngập, xe chết máy ở ngã tư Chợ Đình") == "Duong ngap, xe chet may o nga tu Cho Dinh"
    )


def test_the_background_strews_faults_over_the_fleet_and_fits_it(fleet: Fleet) -> None:
    scenario = background(fleet, 1, 40)
    assert len(scenario.steps) == 40
    assert {step.kind for step in scenario.steps} == FAULTS
    assert background(fleet, 1, 40) == scenario
    assert background(fleet, 2, 40) != scenario
    Script(scenario, fleet, START_US)
