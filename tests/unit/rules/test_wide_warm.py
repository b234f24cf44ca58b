"""A wide rule that was warmed is where it would be had it always run, however origins and batches fall."""

import random
from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.incidents import Effect
from ioc.model.records import Tick
from ioc.rules import PartitionEngine
from ioc.rules.compile import Program, share, split
from ioc.rules.rule import Rule
from ioc.rules.state import StateChange
from ioc.rules.warm import WarmUp
from ioc.rules.wide_forward import route_key
from ioc.rules.wide_warm import WidePast
from tests.unit.rules.scenes import Item
from tests.unit.rules.test_wide import BODIES, SHAPES, Shape, comparable, histories, place, program

WARMED = [name for name in BODIES if name != "gone"]
"""Rules of silence are not warmed."""


def owner(number: int, shape: Shape) -> Callable[[Rule, str], bool]:
    def owns(rule: Rule, key: str) -> bool:
        return place(route_key([f.name for f in rule.by], key), shape.partitions) == number

    return owns


def remade(
    items: Sequence[Item], wide: Program, shape: Shape, until_us: int
) -> list[tuple[WarmUp, WidePast]]:
    """Read the past of every origin into each partition, in batches of any size, origins in any order."""
    dice = random.Random(shape.seed)
    logs: list[list[tuple[int, Item]]] = [[] for _ in range(shape.origins)]
    for item in items:
        for log in logs if isinstance(item, Tick) else [logs[place(item.ward or "", shape.origins)]]:
            log.append((len(log), item))
    found = []
    for number in range(shape.partitions):
        warm = WarmUp(share(wide, owner(number, shape)), partition=number)
        past = WidePast(
            origins=shape.origins,
            partition=number,
            partition_of=lambda key: place(key, shape.partitions),
            programs=[wide],
            pasts=[warm],
            until_us=until_us,
        )
        at = [0] * shape.origins
        while not past.complete:
            origin = dice.randrange(shape.origins)
            upto = min(len(logs[origin]), at[origin] + dice.randint(1, 9))
            past.take(origin, logs[origin][at[origin] : upto])
            at[origin] = upto
        found.append((warm, past))
    return found


def parted(items: Sequence[Item], until_us: int) -> tuple[list[Item], list[Item]]:
    """Return the log up to the last tick before `until_us`, and from there to that tick."""
    places = [place for place, item in enumerate(items) if isinstance(item, Tick)]
    last = max((place for place in places if items[place].now_us < until_us), default=-1)  # type: ignore[union-attr]
    end = next(place for place in places if items[place].now_us == until_us)  # type: ignore[union-attr]
    return list(items[: last + 1]), list(items[last + 1 : end + 1])


@settings(max_examples=100, deadline=None)
@given(histories(), SHAPES, st.integers(2, 35))
def test_a_warmed_rule_goes_on_as_one_that_always_ran(items: list[Item], shape: Shape, second: int) -> None:
    ticks = [item.now_us for item in items if isinstance(item, Tick)]
    until_us = ticks[min(second, len(ticks) - 1)]
    past, switch = parted(items, until_us)
    wide = split(program(WARMED))[1]
    always = PartitionEngine(wide, partition=0)
    always.on_batch(list(enumerate(past)))
    alone = WarmUp(wide, partition=0)
    alone.take(list(enumerate(past)))
    rows: list[StateChange] = []
    opened: list[Effect] = []
    effects: list[Effect] = []
    for number, (warm, found) in enumerate(remade(items, wide, shape, until_us)):
        planted = warm.result()
        rows += planted[0]
        opened += planted[1]
        engine = PartitionEngine(split(program([]))[1], partition=number)
        engine.on_batch([(0, item) for item in past if isinstance(item, Tick)])
        engine.adopt(share(wide, owner(number, shape)))
        engine.plant(*planted)
        engine.on_batch([])
        assert found.second is not None
        effects += engine.on_batch([(0, item) for item in found.second])
    assert sorted(rows) == sorted(alone.result()[0])
    assert comparable(opened) == comparable(alone.result()[1])
    assert comparable(effects) == comparable(always.on_batch(list(enumerate(switch))))
