"""Windows against a brute-force count, whatever the order of arrival."""

# ruff: noqa: E501 - tables read better with one case a line

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.rules.rule import Function, Having, reaches
from ioc.rules.windows import MAX_DISTINCT, PANES, DistinctWindow, PaneWindow, window_for

WINDOW_US = 6_400


def having(function: Function, window_us: int = WINDOW_US) -> Having:
    return Having("", function, None, ">=", 1, window_us)


times = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 9).map(float)), max_size=80)


@given(times, st.sampled_from(["count", "sum", "avg", "min", "max"]))
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
