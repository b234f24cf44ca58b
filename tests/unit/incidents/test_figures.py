"""Figures from counts: nothing is made of nothing, trends compare like with like, the page is true."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.app.pages.figures import PAGE
from ioc.incidents.figure_reference import render
from ioc.incidents.figure_report import Material, readings
from ioc.incidents.figures import (
    CELL_RATIO,
    FIGURES,
    MAX_ERROR,
    SAMPLED,
    Better,
    Clock,
    Devices,
    Inputs,
    Part,
    Selection,
    Source,
    Verdict,
    quantile,
    verdict,
)
from ioc.incidents.periods import Period, Segment, window
from ioc.model.times import SECOND_US, parse_us
from ioc.store.figure_lists import SELECTIONS

NOW_US = parse_us("2026-11-25T12:34:56+07:00")
TODAY = window(Period.TODAY, NOW_US)


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == render(), "run python -m ioc.app.pages.figures"


def test_a_city_in_which_nothing_was_counted_has_numbers_of_zero_and_no_shares() -> None:
    for reading in readings(Material(counts={}, now_us=NOW_US), TODAY):
        assert reading.value == (0.0 if reading.figure in ("open", "overdue", "detected") else None), reading
        assert reading.n == 0
        assert reading.age_s is None


def test_every_list_behind_a_figure_exists() -> None:
    assert {selection.value for selection in Selection} == SELECTIONS
    assert all(FIGURES[name].now for name in SAMPLED)


@given(st.lists(st.integers(1, 40 * 86_400), min_size=1, max_size=200), st.sampled_from([0.5, 0.9]))
def test_a_quantile_from_cells_is_within_the_stated_error(seconds: list[int], share: float) -> None:
    parts: dict[int, int] = {}
    for each in seconds:
        cell = Clock.RESOLVE + math.floor(math.log(each) / math.log(CELL_RATIO))
        parts[cell] = parts.get(cell, 0) + 1
    value, n = quantile(parts, Clock.RESOLVE, share)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    assert n == len(seconds)
    assert value == pytest.approx(exact, rel=MAX_ERROR + 1e-6)


def test_a_trend_compares_whole_hours_with_the_same_hours_before_and_the_value_holds_more() -> None:
    material = Material(
        counts={
            Segment.BEFORE: {Part.DUE: 10, Part.DUE_DONE: 5, Part.DETECTED: 4},
            Segment.COMPARED: {Part.DUE: 10, Part.DUE_DONE: 8, Part.DETECTED: 6},
            # What is due within the running hour may be due in half an hour: it does not count yet.
            Segment.RUNNING: {Part.DUE: 90, Part.DETECTED: 1},
        },
        now_us=NOW_US,
    )
    found = {each.figure: each for each in readings(material, TODAY)}
    rate, detected = found["processing_rate"], found["detected"]
    assert (rate.value, rate.n) == (0.8, 10)
    assert rate.trend
    assert (rate.trend.before, rate.trend.now, rate.trend.verdict) == (0.5, 0.8, Verdict.BETTER)
    assert detected.value == 7
    assert detected.trend
    assert (detected.trend.before, detected.trend.now, detected.trend.verdict) == (4, 6, Verdict.CHANGED)


def test_a_median_says_how_many_still_wait() -> None:
    parts = {Clock.ACKNOWLEDGE + 10: 3}
    inputs = Inputs(parts=parts, stock={Part.UNSEEN: 1})
    measured = FIGURES["acknowledge_median"].compute(inputs)
    assert (measured.n, measured.coverage) == (3, 0.75)


def test_devices_of_both_kinds_cover_what_incidents_say() -> None:
    devices = {Source.CAMERA: Devices(8, 4, NOW_US - 3 * SECOND_US), Source.DETECTOR: Devices(2, 2, None)}
    inputs = Inputs(stock={Part.OPEN: 5}, overdue=2, devices=devices, now_us=NOW_US)
    assert FIGURES["overdue_share"].compute(inputs).value == 0.4
    assert FIGURES["open"].compute(inputs).coverage == 0.6
    assert FIGURES["camera_coverage"].compute(inputs).value == 0.5
    assert FIGURES["camera_age"].compute(inputs).value == 3.0
    assert FIGURES["detector_age"].compute(inputs).value is None


def test_hours_at_work_are_those_of_the_period() -> None:
    hour_us = 3_600 * SECOND_US
    duty = {TODAY.start_us - hour_us: 9, TODAY.start_us: 2, TODAY.start_us + hour_us: 3}
    material = Material(counts={Segment.COMPARED: {Part.DETECTED: 30}}, duty=duty, now_us=NOW_US)
    found = {each.figure: each for each in readings(material, TODAY)}["alarms_per_operator_hour"]
    assert (found.value, found.n) == (6.0, 5)


@pytest.mark.parametrize(
    ("better", "before", "now", "expected"),
    [
        (Better.UP, 0.5, 0.6, Verdict.BETTER),
        (Better.UP, 0.6, 0.5, Verdict.WORSE),
        (Better.DOWN, 5, 4, Verdict.BETTER),
        (Better.DOWN, 4, 5, Verdict.WORSE),
        (Better.DOWN, 0, 0, Verdict.SAME),
        (Better.UP, 1000, 1001, Verdict.SAME),
        (Better.NEITHER, 1, 2, Verdict.CHANGED),
    ],
)
def test_which_way_is_good_decides_what_a_change_means(
    better: Better, before: float, now: float, expected: Verdict
) -> None:
    assert verdict(better, before, now) is expected


def test_quantiles_do_not_depend_on_the_order_of_cells() -> None:
    cells = [(Clock.RESPOND + n, n % 3 + 1) for n in range(40)]
    shuffled = random.Random(1).sample(cells, len(cells))
    assert quantile(dict(cells), Clock.RESPOND, 0.5) == quantile(dict(shuffled), Clock.RESPOND, 0.5)


def test_figures_of_devices_are_told_of_those_in_service_as_they_are_counted() -> None:
    told = [text for figure in FIGURES.values() for text in (figure.words, figure.covers)]
    of_devices = [text for text in told if "cameras" in text.en or "detectors" in text.en]
    assert len(of_devices) > 10
    assert all("in service" in text.en and "đang dùng" in text.vi for text in of_devices)
