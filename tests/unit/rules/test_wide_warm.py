"""Warmed wide rules say what they would have said had they run over the past, however the log is cut up."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.incidents import Effect, Raised
from ioc.model.records import Tick
from ioc.model.times import SECOND_US
from ioc.model.wide import BEFORE_TIME, Moment, OriginTick, WideEvent
from ioc.rules import PartitionEngine, Program
from ioc.rules.compile import share, split
from ioc.rules.engine import MAX_AHEAD_US
from ioc.rules.rule import Rule
from ioc.rules.state import StateChange
from ioc.rules.warm import WarmUp, rules_to_warm
from ioc.rules.wide_forward import Forwarder, route_key
from ioc.rules.wide_merge import Ahead, WideMerge
from ioc.rules.wide_warm import ClockPutBack, WidePast
from tests.unit.rules.scenes import Item, us, with_ticks
from tests.unit.rules.test_wide import BODIES, comparable, histories, place, plates, program

RUNNING = ["gone", "two-wards"]
FORMER = split(program(RUNNING))[1]
LATER = split(program(list(BODIES)))[1]
SWITCH = "switch"


class Shape(msgspec.Struct):
    """How the same history is cut up, and where each origin switches."""

    origins: int
    partitions: int
    seed: int
    switch_s: int
    warm_s: int


@dataclass
class Place:
    """Where an origin has come to."""

    offset: int = 0
    newest: Moment = BEFORE_TIME
    version: int = 1


@dataclass
class Part:
    """What log and database hold of one partition of the second stage."""

    records: list[WideEvent | OriginTick] = field(default_factory=list)
    position: int = 0
    done: Moment = BEFORE_TIME
    version: int = 1
    rows: dict[tuple[str, str], bytes] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    switched_after: Moment | None = None


Log = list[tuple[int, Item | str]]


class City:
    """Origins and partitions of one run."""

    def __init__(self, items: Sequence[Item], shape: Shape) -> None:
        self.shape = shape
        self.dice = random.Random(shape.seed)
        self.logs = [self._log(items, origin) for origin in range(shape.origins)]
        self.at = [Place() for _ in self.logs]
        self.parts = [Part() for _ in range(shape.partitions)]

    def _log(self, items: Sequence[Item], origin: int) -> Log:
        records: list[Item | str] = [
            item
            for item in items
            if isinstance(item, Tick) or place(item.ward or "", self.shape.origins) == origin
        ]
        until_us = us(self.shape.switch_s + self.dice.randint(0, 2))
        ticks = [
            number
            for number, item in enumerate(records)
            if isinstance(item, Tick) and item.now_us >= until_us
        ]
        records.insert(self.dice.randint(ticks[0] + 1, ticks[1]), SWITCH)
        return list(enumerate(records))

    def target(self, key: str) -> int:
        return place(key, self.shape.partitions)

    def share(self, program: Program, number: int) -> Program:
        def owns(rule: Rule, key: str) -> bool:
            return self.target(route_key([f.name for f in rule.by], key)) == number

        return share(program, owns)

    def run(self) -> list[Effect]:
        dice = self.dice
        while any(at.offset < len(log) for at, log in zip(self.at, self.logs, strict=True)):
            origin = dice.randrange(self.shape.origins)
            passed = self.pass_on(origin, dice.randint(1, 9))
            if dice.random() < 0.8:  # else it died between forward and commit
                self.at[origin] = passed
            if dice.random() < 0.3:
                self.work(dice.randrange(self.shape.partitions))
        for number in range(self.shape.partitions):
            self.work(number, to_end=True)
        return [effect for part in self.parts for effect in part.effects]

    def pass_on(self, origin: int, count: int) -> Place:
        at, log = self.at[origin], self.logs[origin]
        stage = Forwarder(origin, at.newest, self.target, [FORMER if at.version == 1 else LATER])
        version = at.version
        for record in log[at.offset : at.offset + count]:
            if isinstance(record[1], str):
                version = 2
                stage.adopt([LATER])
                continue
            events, ticks = stage.take([(record[0], record[1])], version)
            for forward in events:
                self.parts[forward.partition].records.append(forward.event)
            for tick in ticks:
                for part in self.parts:
                    part.records.append(tick)
        return Place(min(len(log), at.offset + count), stage.newest, version)

    def work(self, number: int, *, to_end: bool = False) -> None:
        """Be a worker: restore, take some batches, commit some of them, die."""
        part, dice = self.parts[number], self.dice
        rows = [StateChange(rule, key, data) for (rule, key), data in part.rows.items()]
        running = self.share(FORMER if part.version == 1 else LATER, number)
        engine = PartitionEngine.restore(running, number, rows)
        merge, offset, effects = WideMerge(self.shape.origins, part.done), part.position, list[Effect]()
        version = part.version
        while offset < len(part.records) and (to_end or dice.random() < 0.7):
            until = min(offset + dice.randint(1, 20), len(part.records))
            for record in part.records[offset:until]:
                if isinstance(record, WideEvent):
                    merge.take_event(record, offset)
                else:
                    merge.take_tick(record, offset)
                offset += 1
            while (ahead := merge.ahead()) is not None:
                second = merge.take(ahead)
                if ahead.version > version:
                    version = ahead.version
                    part.switched_after = (0, engine.now_us or 0)
                    items, found = self.switch(engine, number, ahead)
                    effects += found
                else:
                    items = second.items
                effects += engine.on_batch([(0, item) for item in items])
            if to_end or dice.random() < 0.6:
                for rule, key, data in engine.drain_changes():
                    part.rows.pop((rule, key), None)
                    if data is not None:
                        part.rows[rule, key] = data
                part.effects += effects
                effects = []
                part.done, part.position, part.version = merge.done, merge.position(offset), version

    def switch(self, engine: PartitionEngine, number: int, ahead: Ahead) -> tuple[list[Item], list[Effect]]:
        assert engine.now_us is not None
        shared = self.share(LATER, number)
        warm = WarmUp(rules_to_warm(engine, shared), partition=number)
        from_us = engine.now_us - self.shape.warm_s * SECOND_US
        past = WidePast(ahead, from_us, number, self.target, [LATER], [warm])
        at = [0] * self.shape.origins
        while any(offset <= head for offset, head in zip(at, ahead.heads, strict=True)):
            origin = self.dice.randrange(self.shape.origins)
            until = at[origin] + self.dice.randint(1, 9)
            batch = self.logs[origin][at[origin] : until]
            past.take(origin, [(o, item) for o, item in batch if not isinstance(item, str)])
            at[origin] = until
        second = past.second()
        assert second is not None
        engine.adopt(shared)
        engine.plant(*warm.result())
        return second.items, engine.on_batch([])


def alone(items: Sequence[Item], after_us: int, warm_s: int) -> list[Effect]:
    """Return the effects of one engine that sees everything and switches after a tick."""
    engine = PartitionEngine(FORMER, partition=0)
    cut = next(n for n, item in enumerate(items) if isinstance(item, Tick) and item.now_us == after_us) + 1
    effects = engine.on_batch(list(enumerate(items[:cut])))
    begin = next(
        n
        for n, item in enumerate(items)
        if isinstance(item, Tick) and item.now_us >= after_us - warm_s * SECOND_US
    )
    past = WarmUp(rules_to_warm(engine, LATER), partition=0)
    past.take(list(enumerate(items[begin:cut])))
    engine.adopt(LATER)
    engine.plant(*past.result())
    return effects + engine.on_batch(list(enumerate(items[cut:])))


SHAPES = st.builds(
    Shape,
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 1 << 30),
    switch_s=st.integers(3, 30),
    warm_s=st.integers(1, 30),
)


@settings(max_examples=100, deadline=None)
@given(histories(), SHAPES)
def test_warmed_rules_are_as_if_they_had_run_however_the_log_is_cut_up(
    items: list[Item], shape: Shape
) -> None:
    city = City(items, shape)
    effects = city.run()
    [after] = {part.switched_after for part in city.parts}
    assert after is not None
    assert comparable(effects) == comparable(alone(items, after[1], shape.warm_s))


def test_what_lay_before_the_switch_counts_for_rules_that_were_not_there() -> None:
    first = msgspec.structs.replace(plates("w1"), id="first", time_us=us(7), received_us=us(7), subject="s",
                                    lon=106.6, lat=11.0)  # fmt: skip
    second = msgspec.structs.replace(first, id="second", time_us=us(12), received_us=us(12), ward="w2")
    for warm_s, raised in ((20, {"pair"}), (1, set[str]())):
        effects = City(with_ticks([first, second], 40), Shape(4, 3, 1, switch_s=8, warm_s=warm_s)).run()
        found = {effect.rule for effect in effects if isinstance(effect, Raised)}
        assert found & {"pair"} == raised


def past_of(heads: tuple[int, ...], moment_us: int) -> WidePast:
    return WidePast(Ahead((0, moment_us), 2, heads), us(0), 0, lambda key: 0, [LATER], [])


def test_a_clock_put_back_within_the_past_is_said() -> None:
    past = past_of((9,), us(200))
    with pytest.raises(ClockPutBack):
        past.take(0, [(0, Tick(us(100))), (1, Tick(us(99) - MAX_AHEAD_US))])


def test_missing_records_of_an_origin_are_seen() -> None:
    past = past_of((2, 2), us(2))
    past.take(0, [(n, Tick(us(n))) for n in range(4)])
    past.take(1, [(0, Tick(us(0)))])
    assert past.second() is None
    past.take(1, [(n, Tick(us(n))) for n in (1, 2, 3)])
    second = past.second()
    assert second is not None
    assert second.items == [Tick(us(2))]
