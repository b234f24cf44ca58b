"""Sequences over time; timelines are drawn with a letter per step, o for anything else."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.incidents import Raised
from ioc.model.texts import Text
from ioc.rules import PartitionEngine
from ioc.rules.ordered import MAX_WAITING
from tests.unit.rules.scenes import Item, alarm, play, rule, timeline, told, us, with_ticks

ABC = rule(
    "stream: camera\ntype: camera.alarm\nsequence:\n"
    "  steps: ['kind == \"motion\"', 'kind == \"intrusion\"', 'kind == \"loitering\"']\n  within: 30s\n"
    "hold: 10s\nlate: amend\n"
)
KINDS = {"a": "motion", "b": "intrusion", "c": "loitering", "o": "other"}


def step(letter: str, at: float, **more: object) -> Item:
    return alarm(at, KINDS[letter], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0a  5b  9c          known when the watermark has passed 9; ends 10 s after
        ([step("a", 0), step("b", 5), step("c", 9)], ["12 raised", "21 cleared"]),
        #  0a  5c  9b          out of order in time: no sequence
        ([step("a", 0), step("c", 5), step("b", 9)], []),
        #  0a  9c  5b(at 9.5)  out of order of arrival only: a sequence
        ([step("a", 0), step("c", 9), step("b", 8, arrives=9.5)], ["12 raised", "21 cleared"]),
        #  5b comes when the watermark is at 8: late
        ([step("a", 0), step("c", 9), step("b", 5, arrives=10)], []),
        #  0a  5b      29.9c   less than 30 s
        ([step("a", 0), step("b", 5), step("c", 29.9)], ["32 raised", "42 cleared"]),
        #  0a  5b        30c   the boundary: 30 s are too long
        ([step("a", 0), step("b", 5), step("c", 30)], []),
        #  0a  5b  6o  7b  9c  others in between do not matter
        ([step("a", 0), step("b", 5), step("o", 6), step("b", 7), step("c", 9)], ["12 raised", "21 cleared"]),
        #  0a  20a 25b   40c   the later a counts
        ([step("a", 0), step("a", 20), step("b", 25), step("c", 40)], ["43 raised", "52 cleared"]),
        #  0a  20b 25a   35c   the later a has no b: the first is too old
        ([step("a", 0), step("b", 20), step("a", 25), step("c", 35)], []),
        #  0a  5b  5c          one moment has no order
        ([step("a", 0), step("b", 5), step("c", 5)], []),
        #  0a  5b  9c  9c      a duplicate changes nothing: the sequence is used up
        ([step("a", 0), step("b", 5), step("c", 9), step("c", 9)], ["12 raised", "21 cleared"]),
        #  0a  5b  9c  12a 13b 14c   again within hold: one episode, prolonged
        (
            [step(k, t) for k, t in zip("abcabc", (0, 5, 9, 12, 13, 14), strict=True)],
            ["12 raised", "26 cleared"],
        ),
        #  another key is another sequence
        ([step("a", 0), step("b", 5, source="x"), step("c", 9)], []),
    ],
)
def test_a_sequence_is_taken_in_order_of_time(events: list[Item], expected: list[str]) -> None:
    assert timeline(ABC, events, 70) == expected  # type: ignore[arg-type]


def test_an_incident_explains_its_steps() -> None:
    engine = PartitionEngine(ABC, partition=0)
    events = [step("a", 0), step("b", 5), step("o", 6), step("c", 9)]
    raised = play(engine, with_ticks(events, 15))[0]  # type: ignore[arg-type]
    assert isinstance(raised, Raised)
    assert (raised.opened_us, raised.why.event_ids) == (us(9), ("s@0", "s@5", "s@9"))
    assert [(e.name, e.value) for e in raised.why.evidence] == [
        ("step 1", 'kind == "motion"'),
        ("step 2", 'kind == "intrusion"'),
        ("step 3", 'kind == "loitering"'),
        ("span", 9.0),
    ]
    assert raised.why.summary == Text(
        "Đủ 3 bước theo thứ tự trong 9 giây (ngưỡng < 30 giây)",
        "3 steps in order within 9 s (threshold < 30 s)",
    )


def test_late_events_are_counted_and_amend_an_open_episode() -> None:
    engine = PartitionEngine(ABC, partition=0)
    events = [step("a", 0), step("b", 5), step("c", 9), step("a", 1, arrives=13)]
    assert told(play(engine, with_ticks(events, 30))) == ["12 raised", "21 cleared"]  # type: ignore[arg-type]
    assert (engine.counters["it"].late, engine.counters["it"].amended) == (1, 1)
    assert engine.key_counts == {"it": 0}


def test_the_buffer_of_a_key_is_bounded() -> None:
    engine = PartitionEngine(ABC, partition=0)
    play(engine, [step("a", t / 1000) for t in range(MAX_WAITING + 5)])
    assert engine.counters["it"].overflowed == 5


def test_a_cooldown_follows_an_episode() -> None:
    program = rule(
        "stream: camera\ntype: camera.alarm\nsequence: {steps: [active, '!active'], within: 9s}\n"
        "hold: 5s\ncooldown: 20s\n"
    )
    times = (0, 1, 15, 16, 26, 27)
    events = [alarm(t, active=n % 2 == 0) for n, t in enumerate(times)]
    #  raised at 1, over at 6, cool until 26: 16 does not count, 27 does
    assert timeline(program, events, 60) == ["4 raised", "8 cleared", "30 raised", "34 cleared"]


@given(st.lists(st.tuples(st.sampled_from("abco"), st.integers(0, 40)), max_size=12), st.integers(1, 30))
@settings(max_examples=300, deadline=None)
def test_a_sequence_is_found_exactly_when_three_events_make_one(
    drawn: list[tuple[str, int]], within: int
) -> None:
    program = rule(
        "stream: camera\ntype: camera.alarm\nsequence:\n"
        "  steps: ['kind == \"motion\"', 'kind == \"intrusion\"', 'kind == \"loitering\"']\n"
        f"  within: {within}s\nhold: 100s\n"
    )
    events = sorted(drawn, key=lambda item: item[1])
    complete = [
        c[1]
        for a, b, c in combinations(events, 3)
        if (a[0], b[0], c[0]) == ("a", "b", "c") and a[1] < b[1] < c[1] and c[1] - a[1] < within
    ]
    effects = play(
        PartitionEngine(program, partition=0),
        [*(step(k, t, arrives=0) for k, t in drawn), *with_ticks([], 50)],
    )
    opened = [effect.opened_us for effect in effects if isinstance(effect, Raised)]
    assert opened == ([us(min(complete))] if complete else [])
