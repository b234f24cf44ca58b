"""Backtests: the engine over the past, compared."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.events import Event
from ioc.model.incidents import Raised
from ioc.model.records import Tick
from ioc.model.times import HOUR_US, SECOND_US
from ioc.rules import PartitionEngine, parse_rules
from ioc.rules.backtest import (
    MIN_JUDGED_US,
    Change,
    Load,
    Replay,
    compare,
    compare_within,
    load_of,
    order_of_arrival,
    warm_up_us,
    with_ticks,
)
from tests.unit.rules.scenes import HEAD, START_US, flow, rule, us

SLOW = "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < {}\nby: [source]\nhold: 20s\n"
JAM = (
    "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nby: [source]\n"
    "having: count >= 3 within 60s\nfor: 20s\nclear_when: speed_kmh > 25\nhold: 30s\n"
)


@dataclass(frozen=True)
class Span:
    key: str
    opened_us: int
    detected_us: int
    cleared_us: int | None = None
    rule: str = "r"


def replay(text: str, events: list[Event], until: float, slice_s: float) -> Replay:
    found = Replay(rule(text), begin_us=START_US)
    ordered = order_of_arrival(events)
    at = 0.0
    while at < until:
        after = min(at + slice_s, until)
        found.take([e for e in ordered if us(at) <= e.received_us < us(after)], us(after))
        at = after
    return found


def test_a_tick_stands_before_the_first_event_that_arrived_after_it() -> None:
    events = [flow(0.5, 10), flow(1.0, 11), flow(2.2, 12)]
    items = [item for _, item in with_ticks(events, us(0), us(4))]
    shown = [
        f"tick {(item.now_us - START_US) // SECOND_US}" if isinstance(item, Tick) else item.id
        for item in items
    ]
    assert shown == ["tick 0", "s@0.5", "s@1", "tick 1", "tick 2", "s@2.2", "tick 3"]


@given(slice_s=st.sampled_from([0.3, 1.0, 7.0, 60.0, 600.0]), seed=st.integers(0, 50))
@settings(deadline=None)
def test_how_history_is_cut_into_slices_changes_nothing(slice_s: float, seed: int) -> None:
    events = [
        flow(
            at + (seed * at % 7) / 10,
            (seed * at) % 40,
            source=f"d{at % 3}",
            arrives=at + (seed * at % 11) / 3,
        )
        for at in range(1, 200, 4)
    ]
    whole = replay(JAM, events, 300, 300).episodes(us(0), us(300))
    assert replay(JAM, events, 300, slice_s).episodes(us(0), us(300)) == whole


def test_a_replay_says_what_the_engine_said() -> None:
    events = [flow(at, 10 if at < 100 else 40) for at in range(1, 200, 10)]
    items = list(with_ticks(order_of_arrival(events), us(0), us(300)))
    effects = PartitionEngine(rule(JAM), partition=0).on_batch(items)
    (raised,) = [effect for effect in effects if isinstance(effect, Raised)]
    (episode,) = replay(JAM, events, 300, 10).episodes(us(0), us(300))
    assert (episode.opened_us, episode.detected_us) == (raised.opened_us, raised.at_us)
    assert episode.cleared_us is not None
    assert episode.cleared_us > episode.detected_us


def test_only_what_is_raised_within_the_time_asked_for_counts() -> None:
    found = replay(SLOW.format(15), [flow(10, 5), flow(100, 5), flow(200, 5)], 300, 60)
    assert [e.opened_us for e in found.episodes(us(100), us(200))] == [us(100)]


def test_gained_lost_earlier_later_and_same() -> None:
    base = [
        Span("a", 0, 10, 100),
        Span("b", 0, 10, 100),
        Span("c", 0, 10 * SECOND_US, 10**9),
        Span("d", 0, 5),
    ]
    candidate = [
        Span("a", 0, 10, 100),
        Span("c", 0, 4 * SECOND_US, 10**9),
        Span("d", 0, 9 * SECOND_US),
        Span("e", 0, 7),
    ]
    found = compare(base, candidate, until_us=10**10)
    assert {(d.key, d.change) for d in found} == {
        ("a", Change.SAME),
        ("b", Change.LOST),
        ("c", Change.EARLIER),
        ("d", Change.LATER),
        ("e", Change.GAINED),
    }
    assert {d.key: d.shift_us for d in found}["c"] == -6 * SECOND_US
    assert [d.at_us for d in found] == sorted(d.at_us for d in found)


def test_an_alarm_raised_before_the_time_asked_for_is_earlier_not_lost() -> None:
    """A lower threshold opened while the replay warmed up: the alarm of the span is not missing."""
    events = [flow(10, 30), flow(25, 30), flow(40, 5), flow(55, 30)]
    base, candidate = (replay(SLOW.format(limit), events, 300, 60) for limit in (15, 40))
    began = [found.episodes(START_US, us(300)) for found in (base, candidate)]
    (found,) = compare_within(*began, from_us=us(30), until_us=us(300))
    assert (found.change, found.shift_us) == (Change.EARLIER, -30 * SECOND_US)
    assert compare_within(*began, from_us=us(100), until_us=us(300)) == []


def test_episodes_that_only_touch_are_not_one() -> None:
    found = compare([Span("a", 100, 10**8, 10**9)], [Span("a", 0, 0, 100)], until_us=10**9)
    assert [d.change for d in found] == [Change.GAINED, Change.LOST]


def test_one_long_episode_against_two_short_ones_pairs_with_the_nearest() -> None:
    long = [Span("a", 0, 50 * SECOND_US, 10**9)]
    short = [Span("a", 0, 2 * SECOND_US, 3 * 10**7), Span("a", 4 * 10**7, 52 * SECOND_US, 10**9)]
    changes = [(d.change, d.candidate) for d in compare(long, short, until_us=10**9)]
    assert changes == [(Change.GAINED, short[0]), (Change.LATER, short[1])]


spans = st.lists(
    st.builds(
        lambda key, opened, delay, length: Span(key, opened, opened + delay, opened + delay + length),
        st.sampled_from("ab"),
        st.integers(0, 10**8),
        st.integers(0, 10**7),
        st.integers(0, 10**7),
    ),
    max_size=8,
)


@given(base=spans, candidate=spans)
def test_every_episode_of_both_sides_appears_exactly_once(base: list[Span], candidate: list[Span]) -> None:
    found = compare(base, candidate, until_us=10**9)
    by_identity = sorted
    assert by_identity(id(d.base) for d in found if d.base) == by_identity(map(id, base))
    assert by_identity(id(d.candidate) for d in found if d.candidate) == by_identity(map(id, candidate))
    mirrored = {d.change for d in compare(base, base, until_us=10**9)}
    assert mirrored <= {Change.SAME}


def test_the_load_counts_the_busiest_hour_wherever_it_begins() -> None:
    times = [0, 10, 20, 3500, 3590, 3595, 3599.9, 7300]
    raised = [Span("a", 0, round(t * SECOND_US)) for t in times]
    assert load_of(raised, 0, 2 * HOUR_US + HOUR_US, 1) == Load(8, 8 / 3, 7.0)
    assert load_of(raised, 0, 3 * HOUR_US, 2).busiest_hour == 3.5
    assert not load_of(raised, 0, 3 * HOUR_US, 2).over_budget
    assert load_of(raised, 0, 3 * HOUR_US, 1).over_budget


def test_a_short_time_is_never_within_the_budget_but_may_be_over_it() -> None:
    few, many = ([Span("a", 0, n * SECOND_US) for n in range(count)] for count in (6, 7))
    for length_us in (0, 180 * SECOND_US, MIN_JUDGED_US - 1):
        assert load_of(few, 0, length_us, 1) == Load(6, None, 6.0)
        assert load_of(few, 0, length_us, 1).verdict == "too short"
        assert load_of(many, 0, length_us, 1).verdict == "over"
    assert load_of(few, 0, MIN_JUDGED_US, 1) == Load(6, 12.0, 6.0)
    assert load_of(few, 0, MIN_JUDGED_US, 1).verdict == "within"


def test_the_warm_up_covers_every_duration_of_a_rule() -> None:
    rules, errors = parse_rules("a.yaml", HEAD + JAM)
    assert not errors
    assert warm_up_us(rules) == (60 + 20 + 30 + 60) * SECOND_US
    assert warm_up_us([]) == 60 * SECOND_US


def test_the_warm_up_of_an_early_warning_covers_all_it_remembers() -> None:
    having = "having: ewma_z(speed_kmh) <= -4 within 10m, after 5m\nhold: 30s\ncooldown: 1m\n"
    rules, errors = parse_rules("a.yaml", f"{HEAD}stream: traffic\ntype: traffic.flow\n{having}")
    assert not errors
    assert warm_up_us(rules) == (4 * 600 + 300 + 30 + 60 + 60) * SECOND_US
