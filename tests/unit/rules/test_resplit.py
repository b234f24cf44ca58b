"""Another number of partitions in mid-stream changes no incident, of local rules and of wide ones."""

from collections.abc import Sequence
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.incidents import Effect, Severity
from ioc.model.records import Tick
from ioc.model.wide import BEFORE_TIME, Moment
from ioc.rules import ExpectedSource, PartitionEngine
from ioc.rules.compile import share, split
from ioc.rules.resplit import Resplit
from ioc.rules.rule import Rule
from ioc.rules.state import (
    ENGINE_KEY,
    EngineState,
    Episode,
    QuietState,
    Seen,
    SequenceState,
    encode,
    engine_decoder,
    quiet_decoder,
)
from ioc.rules.wide_forward import Forwarder, route_key
from ioc.rules.wide_merge import WideMerge
from tests.unit.rules.scenes import Item
from tests.unit.rules.test_partition_count import EXPECTED, PROGRAM, WARDS, cities
from tests.unit.rules.test_wide import BODIES, alone, comparable, histories, program

Key = tuple[str, str]
State = dict[Key, dict[int, bytes]]
"""Rows of all partitions: (rule, key) → partition → data."""


def partition_of(key: str, partitions: int) -> int:
    return crc32(key.encode()) % partitions


def drain(state: State, number: int, engine: PartitionEngine) -> None:
    for rule, key, data in engine.drain_changes():
        rows = state.setdefault((rule, key), {})
        rows.pop(number, None)
        if data is not None:
            rows[number] = data


def rows_of(state: State, number: int) -> list[tuple[str, str, bytes]]:
    return [(*key, rows[number]) for key, rows in state.items() if number in rows]


# local rules ----------------------------------------------------------------------------------------------


def run_local(items: Sequence[Item], partitions: int, state: State) -> list[Effect]:
    """Go on from `state` over `items`, leaving in it what is remembered then."""
    found: list[Effect] = []
    for number in range(partitions):

        def here(ward: str | None, number: int = number) -> bool:
            return partition_of(ward or "", partitions) == number

        expected: dict[str, ExpectedSource] = {
            name: place for name, place in EXPECTED.items() if here(place.ward)
        }
        rows = rows_of(state, number)
        engine = PartitionEngine.restore(PROGRAM, number, rows, expected_sources=expected)
        found += engine.on_batch(list(enumerate(i for i in items if isinstance(i, Tick) or here(i.ward))))
        drain(state, number, engine)
    return found


def resplit_local(state: State, former: int, partitions: int) -> State:
    work = Resplit(former, partitions, state.get(ENGINE_KEY, {}), partition_of)
    moved = {key: work.local(rows, ()) for key, rows in state.items() if key != ENGINE_KEY}
    return moved | {ENGINE_KEY: work.engines()}


@given(cities(), cities(), st.integers(1, 5), st.integers(1, 7))
@settings(max_examples=250, deadline=None)
def test_local_rules_go_on_over_more_partitions_as_if_nothing_had_changed(
    before: list[Item], after: list[Item], former: int, more: int
) -> None:
    partitions = former + more
    last_us = max((item.now_us for item in before if isinstance(item, Tick)), default=0)
    before = [*before, Tick(last_us + 1)]  # what the command closes the log with
    unchanged: State = {}
    expected = run_local(before, former, unchanged) + run_local(after, former, unchanged)
    state: State = {}
    found = run_local(before, former, state)
    state = resplit_local(state, former, partitions)
    found += run_local(after, partitions, state)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


# wide rules -----------------------------------------------------------------------------------------------


class WideRun:
    """Both stages of wide rules, one after the other over parts of a history."""

    def __init__(self) -> None:
        self.rules = program(sorted(BODIES))
        self.wide = split(self.rules)[1]
        self.state: State = {}
        self.done: Moment = BEFORE_TIME
        self.effects: list[Effect] = []

    def run(self, items: Sequence[Item], partitions: int) -> None:
        """Take `items`, the last of which is a tick: then nothing waits."""
        merges = [WideMerge(partitions, self.done) for _ in range(partitions)]
        for origin in range(partitions):
            stage = Forwarder(origin, self.done, lambda key: partition_of(key, partitions), [self.wide])
            log = [
                i for i in items if isinstance(i, Tick) or partition_of(i.ward or "", partitions) == origin
            ]
            events, ticks = stage.take(list(enumerate(log)), 1)
            for forward in events:
                merges[forward.partition].take_event(forward.event, 0)
            for merge in merges:
                for tick in ticks:
                    merge.take_tick(tick, 0)
        for number, merge in enumerate(merges):

            def owns(rule: Rule, key: str, number: int = number) -> bool:
                return partition_of(route_key(names_of(rule), key), partitions) == number

            engine = PartitionEngine.restore(share(self.wide, owns), number, rows_of(self.state, number))
            for second in merge.seconds():
                self.effects += engine.on_batch([(0, item) for item in second.items])
            assert merge.held == 0
            drain(self.state, number, engine)
        assert len({merge.done for merge in merges}) == 1
        self.done = merges[0].done

    def resplit(self, former: int, partitions: int) -> None:
        work = Resplit(former, partitions, self.state.get(ENGINE_KEY, {}), partition_of)
        names = {compiled.rule.name: names_of(compiled.rule) for compiled in self.wide.rules}
        moved = {
            (rule, key): work.wide(rows, names[rule], key)
            for (rule, key), rows in self.state.items()
            if (rule, key) != ENGINE_KEY and rows
        }
        self.state = moved | {ENGINE_KEY: work.engines()}


def names_of(rule: Rule) -> list[str]:
    return [field.name for field in rule.by]


@given(histories(), st.integers(1, 5), st.integers(1, 7), st.data())
@settings(max_examples=150, deadline=None)
def test_wide_rules_go_on_over_more_partitions_as_if_nothing_had_changed(
    items: list[Item], former: int, more: int, data: st.DataObject
) -> None:
    ticks = [place for place, item in enumerate(items) if isinstance(item, Tick)]
    last = data.draw(st.sampled_from(ticks), label="last tick before")
    end = ticks[-1] + 1
    run = WideRun()
    run.run(items[: last + 1], former)
    run.resplit(former, former + more)
    run.run(items[last + 1 : end], former + more)
    assert comparable(run.effects) == comparable(alone(items[:end], run.rules))


# one key --------------------------------------------------------------------------------------------------


def engine_row(silence_us: int = 0, failed: dict[str, tuple[str, int, str]] | None = None) -> bytes:
    return encode(EngineState(10, 5, silence_us, {"r": "shape"}, failed or {}))


def name_in(partition: int, partitions: int) -> str:
    return next(name for n in range(10_000) if partition_of(name := f"w{n}", partitions) == partition)


@pytest.mark.parametrize(("former", "partitions"), [(4, 8), (4, 6), (3, 7), (1, 5)])
def test_every_key_comes_to_a_partition_that_has_its_own_among_its_sources(
    former: int, partitions: int
) -> None:
    work = Resplit(former, partitions, {}, partition_of)
    met = {(partition_of(f"w{n}", former), partition_of(f"w{n}", partitions)) for n in range(2_000)}
    assert met == {(source, new) for new in range(partitions) for source in work.sources(new)}


def test_a_row_without_a_place_goes_wherever_its_key_may_come() -> None:
    work = Resplit(4, 8, {}, partition_of)
    row = encode(SequenceState(floor_us=3))
    assert work.local({1: row}, ()) == {1: row, 5: row}
    ward = name_in(5, 8)
    assert work.local({1: row}, [name_in(2, 4), ward]) == {5: row}, (
        "of what the key says, what fits is believed"
    )


def test_of_a_device_that_has_moved_the_partition_keeps_the_open_episode_and_else_the_newest() -> None:
    work = Resplit(2, 3, {0: engine_row(), 1: engine_row()}, partition_of)
    wards = [
        next(n for i in range(99) if (partition_of(n := f"w{i}", 2), partition_of(n, 3)) == (p, 2))
        for p in (0, 1)
    ]
    quiet = [
        QuietState(heard, Seen("cam", ward, None, None, {}))
        for heard, ward in zip((7, 9), wards, strict=True)
    ]
    held = {number: encode(state) for number, state in enumerate(quiet)}
    assert work.local(held, ()) == {2: held[1]}
    quiet[0].episode = Episode("i", 5, Severity.LOW, 1, 1, 5)
    held[0] = encode(quiet[0])
    assert work.local(held, ()) == {2: held[0]}


def test_silence_heard_on_one_clock_ends_at_the_same_moment_on_another() -> None:
    work = Resplit(2, 3, {0: engine_row(silence_us=100), 1: engine_row(silence_us=40)}, partition_of)
    ward = next(n for i in range(99) if (partition_of(n := f"w{i}", 2), partition_of(n, 3)) == (1, 0))
    [data] = work.local({1: encode(QuietState(30, Seen("cam", ward, None, None, {})))}, ()).values()
    assert quiet_decoder.decode(data).heard_us == 90
    assert engine_decoder.decode(work.engines()[0]).silence_us == 100


def test_a_rule_stays_switched_off_only_where_all_sources_had_switched_it_off() -> None:
    rows = {
        0: engine_row(failed={"r": ("v", 3, "a"), "s": ("v", 3, "b")}),
        1: engine_row(failed={"r": ("v", 4, "c")}),
    }
    found = {
        n: engine_decoder.decode(data).failed
        for n, data in Resplit(2, 3, rows, partition_of).engines().items()
    }
    assert found == {n: {"r": ("v", 3, "a")} for n in range(3)}
    doubled = {
        n: engine_decoder.decode(data).failed
        for n, data in Resplit(2, 4, rows, partition_of).engines().items()
    }
    assert doubled == {n: engine_decoder.decode(rows[n % 2]).failed for n in range(4)}


def test_the_state_of_a_wide_rule_that_is_gone_stays_for_whoever_ends_it() -> None:
    row = encode(SequenceState())
    assert Resplit(4, 8, {}, partition_of).wide({3: row}, None, "key") == {3: row}


def test_the_drawn_cities_have_wards_in_several_partitions_before_and_after() -> None:
    assert all(len({partition_of(ward, count) for ward in WARDS}) > 1 for count in (2, 3, 4, 5, 6, 8))
