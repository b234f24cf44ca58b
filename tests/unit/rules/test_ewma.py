"""Early warning: readings around 50 km/h, then something unusual."""

import math
import statistics

import pytest

from ioc.model.incidents import Raised, Severity
from ioc.rules import PartitionEngine, Program, load
from tests.unit.rules.scenes import HEAD, Item, flow, play, rule, timeline, us, with_ticks


def warns(having: str = "ewma_z(speed_kmh) <= -4 within 10m, at least 10", more: str = "") -> Program:
    body = f"stream: traffic\ntype: traffic.flow\nhaving: {having}\nhold: 5s\n{more}"
    return rule(body)


USUAL = [flow(t, 50 + (-2, 2)[t % 2]) for t in range(10)]  # mean 50, deviation 2


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0 … 9 usual   10: 20 km/h, known at 13; no more of it within hold
        ([*USUAL, flow(10, 20)], ["13 raised", "17 cleared"]),
        #  upwards is not asked
        ([*USUAL, flow(10, 90)], []),
        #  46 km/h is two deviations only
        ([*USUAL, flow(10, 46)], []),
        #  the boundary: four deviations are 42 km/h
        ([*USUAL, flow(10, 42.0)], ["13 raised", "17 cleared"]),
        ([*USUAL, flow(10, 42.1)], []),
        #  nine readings are too few to know what is usual
        ([*USUAL[1:], flow(10, 20)], []),
        #  out of order by arrival only: 10 is judged after 9
        ([*USUAL[:9], flow(10, 20), flow(9, 52, arrives=10.5)], ["13 raised", "17 cleared"]),
        #  a reading that comes late is not learnt: one too few
        ([*USUAL[:9], flow(10, 20, arrives=13), flow(9, 52, arrives=14)], []),
        #  refractory: unusual again at 30, within ten minutes of the first
        ([*USUAL, flow(10, 20), flow(30, 10)], ["13 raised", "17 cleared"]),
        #  no reading is no statement
        ([*USUAL, flow(10, None)], []),
    ],
)
def test_an_unusual_reading_warns(events: list[Item], expected: list[str]) -> None:
    assert timeline(warns(), events, 60) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        #  ten readings are learnt, the first at 0; the one judged is of 10: exactly so long after it
        ("at least 10, after 10s", ["13 raised", "17 cleared"]),
        #  the time is not over, though there are readings enough
        ("at least 10, after 11s", []),
        #  the time is over, though there are readings too few
        ("at least 11, after 10s", []),
        ("at least 10, after 10001ms", []),
        ("at least 1, after 10s", ["13 raised", "17 cleared"]),
    ],
)
def test_there_is_no_verdict_before_both_halves_of_the_warm_up_are_over(
    asked: str, expected: list[str]
) -> None:
    program = warns(f"ewma_z(speed_kmh) <= -4 within 10m, {asked}")
    assert timeline(program, [*USUAL, flow(10, 20)], 60) == expected


@pytest.mark.parametrize(("gap_s", "expected"), [(39.5, 1), (40.5, 0)])
def test_a_forgotten_key_warms_up_anew(gap_s: float, expected: int) -> None:
    program = warns("ewma_z(speed_kmh) <= -4 within 10s, at least 1, after 5s")
    effects = timeline(program, [*USUAL, flow(9 + gap_s, 20)], 60)
    assert len([line for line in effects if "raised" in line]) == expected


def test_the_refractory_time_can_be_chosen() -> None:
    events = [*USUAL, flow(10, 20), flow(30, 10)]
    assert timeline(warns(more="cooldown: 15s\n"), events, 60) == [
        "13 raised",
        "17 cleared",
        "33 raised",
        "37 cleared",
    ]


def test_a_warning_says_what_is_usual() -> None:
    raised = play(PartitionEngine(warns(), partition=0), with_ticks([*USUAL, flow(10, 20)], 15))[0]
    assert isinstance(raised, Raised)
    assert raised.opened_us == us(10)
    assert [e.name for e in raised.why.evidence] == [
        "ewma_z(speed_kmh)",
        "reading",
        "usual mean",
        "usual deviation",
    ]
    z, reading, mean, deviation = (e.value for e in raised.why.evidence)
    assert (z, reading) == (pytest.approx(-15), 20)
    assert mean == pytest.approx(50)
    assert deviation == pytest.approx(statistics.pstdev(e.data.speed_kmh for e in USUAL))  # type: ignore[union-attr]
    assert raised.why.summary.vi == (
        "Độ lệch z của tốc độ -15 trong 10 phút, từ 10 mẫu (ngưỡng ≤ -4); đo được 20, thường là 50 ± 2"
    )
    assert raised.why.summary.en == (
        "Z-score of speed -15 within 10 min, of 10 or more (threshold ≤ -4); measured 20, usually 50 ± 2"
    )


def test_old_readings_weigh_less_by_the_stated_law() -> None:
    engine = PartitionEngine(warns("ewma_z(speed_kmh) <= -99 within 100s, at least 1"), partition=0)
    play(engine, with_ticks([flow(0, 50), flow(50, 51)], 60))
    state = engine._machines["it"].states["s"]
    assert state.mean == pytest.approx(50 + (1 - math.exp(-0.5)))  # type: ignore[union-attr]


def test_one_outlier_does_not_become_usual_and_a_constant_does_not_warn_of_noise() -> None:
    constant = [flow(t, 50) for t in range(10)]
    assert (
        timeline(warns("ewma_z(speed_kmh) >= 4 within 10m, at least 10"), [*constant, flow(10, 51)], 20) == []
    )
    engine = PartitionEngine(warns(), partition=0)
    play(engine, with_ticks([*USUAL, flow(70, 5000)], 80))
    assert engine._machines["it"].states["s"].mean < 51  # type: ignore[union-attr]


def test_severity_follows_the_deviation_and_a_key_is_forgotten_after_four_windows() -> None:
    head = HEAD.replace("severity: medium\n", "")
    text = (
        "stream: traffic\ntype: traffic.flow\nhold: 5s\n"
        "having: ewma_z(speed_kmh) <= -4 within 30s, at least 10\n"
        "severity: [{at: -4, level: low}, {at: -8, level: high}]\ncooldown: 1s\n"
    )
    engine = PartitionEngine(load({"it.yaml": head + text}), partition=0)
    raised = play(engine, with_ticks([*USUAL, flow(10, 20)], 131))[0]
    assert isinstance(raised, Raised)
    assert raised.severity is Severity.HIGH
    assert engine.key_counts == {"it": 1}
    play(engine, with_ticks([], 140, since=132))
    assert engine.key_counts == {"it": 0}
