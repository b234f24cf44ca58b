"""Windows against a brute-force count, whatever the order of arrival."""

# ruff: noqa: E501 - tables read better with one case a line

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.rules.rule import Function, Having, reaches
from ioc.rules.windows import (
    MAX_DISTINCT,
    MAX_SAMPLES,
    PANES,
    DistinctWindow,
    PaneWindow,
    SampleWindow,
    TumblingWindow,
    window_for,
)

WINDOW_US = 6_400


def having(function: Function, window_us: int = WINDOW_US) -> Having:
    return Having("", function, None, ">=", 1, window_us)


times = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 9).map(float)), max_size=80)


@given(times, st.sampled_from(["count", "rate", "sum", "avg", "min", "max"]))
@settings(max_examples=300, deadline=None)
def test_a_window_holds_every_event_inside_it_and_none_a_pane_older(
    arrivals: list[tuple[int, float]], function: Function
) -> None:
    window = window_for(having(function))
    newest, kept = 0, []
    for time_us, value in arrivals:
        newest = max(newest, time_us)
        window.expire(newest)
        if time_us > newest - WINDOW_US:
            window.add(time_us, value)
            kept.append((time_us, value))
        pane_us = WINDOW_US // PANES
        surely = [v for t, v in kept if t > newest - WINDOW_US]
        perhaps = [v for t, v in kept if t > newest - WINDOW_US - pane_us]
        assert len(surely) <= window.n <= len(perhaps)
        expiry = window.next_expiry_us()
        assert (expiry is None) == (window.n == 0)
        assert expiry is None or expiry > newest
        if len(surely) == len(perhaps):
            exact = {
                "count": float(len(surely)),
                "rate": len(surely) * 60e6 / WINDOW_US,
                "sum": float(sum(surely)),
                "avg": sum(surely) / len(surely) if surely else None,
                "min": min(surely, default=None),
                "max": max(surely, default=None),
            }
            assert window.value() == exact[function]
        again = window_for(having(function))
        again.unpack(window.pack())
        assert (again.n, again.value(), again.next_expiry_us()) == (window.n, window.value(), expiry)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from("abcdef")), max_size=80))
@settings(max_examples=200, deadline=None)
def test_distinct_counts_values_exactly(arrivals: list[tuple[int, str]]) -> None:
    window = window_for(having("distinct"))
    newest, kept = 0, []
    for time_us, value in arrivals:
        newest = max(newest, time_us)
        window.expire(newest)
        if time_us > newest - WINDOW_US:
            window.add(time_us, value)
            kept.append((time_us, value))
        assert window.value() == len({v for t, v in kept if t > newest - WINDOW_US}) == window.n
    again = window_for(having("distinct"))
    again.unpack(window.pack())
    assert (again.value(), again.next_expiry_us()) == (window.value(), window.next_expiry_us())
    again.clear()
    assert (again.n, again.next_expiry_us()) == (0, None)


def test_a_dense_window_stays_small() -> None:
    window = window_for(having("count"))
    for time_us in range(0, 50_000, 3):
        window.expire(time_us)
        window.add(time_us, None)
    assert isinstance(window, PaneWindow)
    assert len(window.pack()) <= PANES + 1
    window.clear()
    assert window.n == 0


def test_distinct_forgets_the_oldest_value_beyond_its_bound() -> None:
    window = window_for(having("distinct"))
    assert isinstance(window, DistinctWindow)
    for number in range(MAX_DISTINCT + 5):
        window.add(number, f"v{number}")
    window.add(1, f"v{MAX_DISTINCT + 4}")
    assert window.n == MAX_DISTINCT
    assert min(time_us for _, time_us in window.pack()) == 5


@pytest.mark.parametrize(
    ("op", "answers"),
    [(">=", (False, True, True)), (">", (False, False, True)), ("<=", (True, True, False)), ("<", (True, False, False))],
)  # fmt: skip
def test_thresholds_reach_at_the_boundary(op: str, answers: tuple[bool, bool, bool]) -> None:
    assert tuple(reaches(value, op, 2.0) for value in (1.0, 2.0, 3.0)) == answers  # type: ignore[arg-type]
    assert not reaches(float("nan"), op, 2.0)  # type: ignore[arg-type]


@given(times, st.sampled_from(["p50", "p95", "stddev"]), st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_quantiles_and_deviation_are_exact(
    arrivals: list[tuple[int, float]], function: Function, least: int
) -> None:
    asked = replace(having(function), samples=least)
    window = window_for(asked)
    newest, kept = 0, []
    for time_us, value in arrivals:
        newest = max(newest, time_us)
        window.expire(newest)
        assert window.is_over(time_us, newest) == (time_us <= newest - WINDOW_US)
        if not window.is_over(time_us, newest):
            window.add(time_us, value)
            kept.append((time_us, value))
        inside = sorted(v for t, v in kept if t > newest - WINDOW_US)
        assert window.n == len(inside)
        found = window.value()
        if len(inside) < max(least, 2 if function == "stddev" else 1):
            assert found is None
        elif function == "stddev":
            assert found == pytest.approx(statistics.stdev(inside))
        else:
            share = 0.5 if function == "p50" else 0.95
            below = sum(v <= found for v in inside) / len(inside)
            assert found in inside
            assert below >= share > sum(v < found for v in inside) / len(inside)
    again = window_for(asked)
    again.unpack(window.pack())
    assert (again.n, again.value(), again.next_expiry_us()) == (
        window.n,
        window.value(),
        window.next_expiry_us(),
    )


def test_samples_are_bounded_and_the_oldest_goes_first() -> None:
    window = window_for(having("p50"))
    assert isinstance(window, SampleWindow)
    for number in range(MAX_SAMPLES + 5):
        window.add(number, float(number))
    assert window.n == MAX_SAMPLES
    assert window.next_expiry_us() == 5 + WINDOW_US


@given(times, st.sampled_from(["count", "rate", "distinct", "sum", "avg", "p50", "stddev"]))
@settings(max_examples=300, deadline=None)
def test_a_tumbling_window_has_the_value_of_the_one_closed_last(
    arrivals: list[tuple[int, float]], function: Function
) -> None:
    window = window_for(replace(having(function), tumbling=True))
    assert isinstance(window, TumblingWindow)
    for time_us, value in arrivals:
        window.add(time_us, value)
    ends = sorted({(t // WINDOW_US + 1) * WINDOW_US for t, _ in arrivals})
    for now_us in range(WINDOW_US, 6 * WINDOW_US, WINDOW_US):
        window.expire(now_us)
        inside = [v for t, v in arrivals if now_us - WINDOW_US <= t < now_us]
        expected = {
            "count": float(len(inside)),
            "rate": len(inside) * 60e6 / WINDOW_US,
            "distinct": float(len(set(inside))),
            "sum": sum(inside),
            "avg": sum(inside) / max(len(inside), 1),
            "p50": sorted(inside)[math.ceil(len(inside) / 2) - 1] if inside else None,
            "stddev": statistics.stdev(inside) if len(inside) > 1 else None,
        }[function]
        assert window.value() == (pytest.approx(expected) if inside and expected is not None else None)
        again = window_for(replace(having(function), tumbling=True))
        again.unpack(window.pack())
        assert (again.n, again.value()) == (window.n, window.value())
        assert again.next_expiry_us() == window.next_expiry_us()
        following = [end for end in ends if end > now_us]
        due = min([*following, *([now_us + WINDOW_US] if inside else [])], default=None)
        assert window.next_expiry_us() == due
    window.clear()
    assert (window.n, window.next_expiry_us(), window.value()) == (0, None, None)
