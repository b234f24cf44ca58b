"""Rules keyed more widely than a ward: over any number of partitions they say what one engine says alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.events import CameraPlate, Event
from ioc.model.incidents import Effect
from ioc.model.records import Tick
from ioc.model.wide import BEFORE_TIME, Moment, OriginTick, WideEvent
from ioc.rules import PartitionEngine, Program, load
from ioc.rules.compile import share, split
from ioc.rules.engine import MAX_AHEAD_US
from ioc.rules.rule import Rule
from ioc.rules.state import StateChange
from ioc.rules.wide_forward import DEFAULT_MAX_KEYS, Forwarder, route_key
from ioc.rules.wide_merge import WideMerge
from tests.unit.rules.scenes import START_US, Item, event, us, with_ticks

HEAD = "title: {vi: a, en: a}\nstream: camera\ntype: camera.plate\nseverity: high\n"
BODIES = {
    "two-wards": "by: [plate]\nhaving: distinct(ward) >= 2 within 8s\nhold: 3s",
    "quick": "by: [vehicle, plate]\nwhere: speed_kmh > 50\nclear_when: speed_kmh < 20",
    "lasting": "by: [subject]\nwhere: speed_kmh > 50\nfor: 3s\nhold: 2s",
    "gone": "by: [plate]\nwhere: ward != null\nabsence: 5s",
    "steps": "by: [plate]\nsequence: {steps: [speed_kmh > 50, speed_kmh < 20], within: 6s}\nhold: 2s",
    "unlike": "by: [vehicle]\nhaving: ewma_z(speed_kmh) >= 2 within 10s, at least 4\nhold: 3s",
    "pair": "by: [subject]\nwhere: speed_kmh > 50\nnear: {stream: camera, metres: 500, within: 6s}\nhold: 2s",
    "here": "by: [source]\nwhere: speed_kmh > 50\nhold: 2s",
}
WARDS = ("w1", "w2", "w3", "w4", "w5")


def program(names: Sequence[str]) -> Program:
    return load({f"{name}.yaml": f"rule: {name}\n{HEAD}{BODIES[name]}\n" for name in names})


@dataclass
class Stored:
    """What a database would hold of one partition of the wide log."""

    records: list[WideEvent | OriginTick] = field(default_factory=list)
    position: int = 0
    done: Moment = BEFORE_TIME
    rows: dict[tuple[str, str], bytes] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)


class Shape(msgspec.Struct):
    """How the same history is cut up."""

    origins: int
    partitions: int
    seed: int


def spread(items: Sequence[Item], rules: Program, shape: Shape) -> list[Effect]:
    """Run the wide rules of `rules` over several partitions, with restarts and repeats."""
    dice = random.Random(shape.seed)
    wide = split(rules)[1]
    logs: list[list[tuple[int, Item]]] = [[] for _ in range(shape.origins)]
    for item in items:
        wards = logs if isinstance(item, Tick) else [logs[place(item.ward or "", shape.origins)]]
        for log in wards:
            log.append((len(log), item))
    stored = [Stored() for _ in range(shape.partitions)]
    at = [(0, BEFORE_TIME)] * shape.origins
    while any(at[origin][0] < len(log) for origin, log in enumerate(logs)):
        origin = dice.randrange(shape.origins)
        first, newest = at[origin]
        batch = logs[origin][first : first + dice.randint(1, 9)]
        stage = Forwarder(origin, newest, lambda key: place(key, shape.partitions), [wide])
        events, ticks = stage.take(batch, 1)
        for forward in events:
            stored[forward.partition].records.append(forward.event)
        for tick in ticks:
            for part in stored:
                part.records.append(tick)
        if dice.random() < 0.8:  # else it died between forward and commit
            at[origin] = first + len(batch), stage.newest
        if dice.random() < 0.3:
            number = dice.randrange(shape.partitions)
            work(stored[number], wide, number, shape, dice)
    for number, part in enumerate(stored):
        work(part, wide, number, shape, dice, to_end=True)
    return [effect for part in stored for effect in part.effects]


def place(key: str, partitions: int) -> int:
    return crc32(key.encode()) % partitions


def work(
    part: Stored, wide: Program, number: int, shape: Shape, dice: random.Random, *, to_end: bool = False
) -> None:
    """Be a worker: restore, take some batches, commit some of them, die."""

    def owns(rule: Rule, key: str) -> bool:
        return place(route_key([f.name for f in rule.by], key), shape.partitions) == number

    rows = [StateChange(rule, key, data) for (rule, key), data in part.rows.items()]
    engine = PartitionEngine.restore(share(wide, owns), number, rows)
    merge, offset, effects = WideMerge(shape.origins, part.done), part.position, list[Effect]()
    while offset < len(part.records) and (to_end or dice.random() < 0.7):
        until = min(offset + dice.randint(1, 20), len(part.records))
        for record in part.records[offset:until]:
            if isinstance(record, WideEvent):
                merge.take_event(record, offset)
            else:
                merge.take_tick(record, offset)
            offset += 1
        for second in merge.seconds():
            effects += engine.on_batch([(0, item) for item in second.items])
        if to_end or dice.random() < 0.6:
            for rule, key, data in engine.drain_changes():
                part.rows.pop((rule, key), None)
                if data is not None:
                    part.rows[rule, key] = data
            part.effects += effects
            effects = []
            part.done, part.position = merge.done, merge.position(offset)


def alone(items: Sequence[Item], rules: Program) -> list[Effect]:
    """Return the effects of one engine that sees everything."""
    return PartitionEngine(split(rules)[1], partition=0).on_batch(list(enumerate(items)))


def comparable(effects: Sequence[Effect]) -> list[bytes]:
    return sorted(msgspec.json.encode(effect) for effect in effects)


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    events: list[Event] = []
    rows = st.tuples(
        st.integers(0, 250), st.sampled_from(WARDS), st.integers(0, 3), st.sampled_from([10, 30, 60, 90])
    )
    for number, (tenths, ward, plate, speed) in enumerate(draw(st.lists(rows, max_size=40))):
        data = CameraPlate(plate=f"51A-{plate}", speed_kmh=speed, vehicle="car" if plate % 2 else None)
        late = draw(st.sampled_from([0, 0, 0, 1, 4]))
        found = event(tenths / 10, data, source=f"cam-{ward}", arrives=tenths / 10 + late, ward=ward,
                      subject=f"s{plate}", lon=106.6 + number % 3 / 500, lat=11.0)  # fmt: skip
        events.append(msgspec.structs.replace(found, id=str(number)))
    events.sort(key=lambda item: (item.received_us, item.time_us, item.source, item.id))
    return with_ticks(events, 40)


SHAPES = st.builds(Shape, st.integers(1, 6), st.integers(1, 6), st.integers(0, 1 << 30))


@settings(max_examples=150, deadline=None)
@given(histories(), SHAPES)
def test_partitions_batches_restarts_and_repeats_change_nothing(items: list[Item], shape: Shape) -> None:
    rules = program(list(BODIES))
    assert comparable(spread(items, rules, shape)) == comparable(alone(items, rules))


def test_the_histories_raise_something_for_each_wide_rule() -> None:
    def plate(at: float, ward: str, speed: float) -> Event:
        data = CameraPlate(plate="51A-1", speed_kmh=speed, vehicle="car")
        place = {"lon": 106.6, "lat": 11.0, "ward": ward, "subject": "s"}
        return event(at, data, source=f"cam-{ward}", **place)  # type: ignore[arg-type]

    events = [plate(n, f"w{n % 5 + 1}", 30 + n % 2) for n in range(1, 15)]
    events += [plate(15.5, "w1", 90), plate(16, "w2", 90), plate(17, "w3", 60), plate(19, "w1", 10)]
    rules = program(list(BODIES))
    effects = alone(with_ticks(events, 60), rules)
    assert {getattr(effect, "rule", None) for effect in effects} - {None} == set(BODIES) - {"here"}
    shape = Shape(5, 3, 7)
    assert comparable(spread(with_ticks(events, 60), rules, shape)) == comparable(effects)


def test_the_compiler_parts_wide_rules_from_local_ones() -> None:
    local, wide = split(program(list(BODIES)))
    assert [item.rule.name for item in local.rules] == ["here"]
    assert {item.rule.name for item in wide.rules} == set(BODIES) - {"here"}
    assert [item.rule.name for item in local.by_type["camera.plate"]] == ["here"]
    assert local.declared == wide.declared


def plates(ward: str = "w1", **data: object) -> Event:
    return event(1, CameraPlate(plate="51A-1", speed_kmh=60, **data), ward=ward)  # type: ignore[arg-type]


def test_an_event_goes_once_to_each_partition_that_answers_for_one_of_its_keys() -> None:
    wide = split(program(["two-wards", "gone", "quick"]))[1]
    found = event(1, CameraPlate(plate="51A-1", speed_kmh=60, vehicle="car"), ward="w1")
    one = Forwarder(0, BEFORE_TIME, lambda key: 0, [wide]).take([(5, found)], 1)[0]
    assert [forward.event.offset for forward in one] == [5]
    many = Forwarder(0, BEFORE_TIME, lambda key: key.count("\x1f"), [wide]).take([(5, found)], 1)[0]
    assert sorted(forward.partition for forward in many) == [1, 2]


def test_only_what_a_wide_rule_may_decide_on_is_passed_on_without_what_none_mentions() -> None:
    wide = split(program(["steps"]))[1]
    stage = Forwarder(3, BEFORE_TIME, lambda key: 0, [wide])
    fast = plates(vehicle="car", direction_deg=9, extra={"colour": "red"})
    middling = msgspec.structs.replace(fast, data=CameraPlate(plate="51A-1", speed_kmh=30))
    passed, ticks = stage.take([(0, Tick(START_US)), (1, fast), (2, middling), (3, Tick(us(2)))], 4)
    assert [forward.event.event.data for forward in passed] == [CameraPlate(plate="51A-1", speed_kmh=60)]
    assert passed[0].event.after == (0, START_US)
    assert ticks == [OriginTick(3, (0, START_US), 4, 0), OriginTick(3, (0, us(2)), 4, 3)]


def test_more_keys_than_an_event_may_have_are_dropped_and_counted() -> None:
    fields = [
        "plate",
        "vehicle",
        "confidence",
        "speed_kmh",
        "direction_deg",
        "lon",
        "lat",
        "subject",
        "time_us",
    ]
    texts = {}
    for name in [*fields[:-1], "plate, vehicle", "plate, lon"]:
        rule = name.replace(", ", "-").replace("_", "-")
        texts[f"{rule}.yaml"] = f"rule: {rule}\n{HEAD}by: [{name}]\nwhere: lon > 0\nhold: 3s\n"
    wide = split(load(texts))[1]
    data = CameraPlate(plate="51A-1", vehicle="car", speed_kmh=60, direction_deg=9)
    found = event(1, data, ward="w1", lon=106.6, lat=11.0, subject="s")
    numbers = iter(range(100))
    for max_keys in (DEFAULT_MAX_KEYS, 3):
        stage = Forwarder(0, BEFORE_TIME, lambda key: next(numbers), [wide], max_keys=max_keys)
        assert len(stage.take([(0, found)], 1)[0]) == max_keys
        assert stage.dropped == len(texts) - max_keys > 0


def test_events_that_may_wait_are_bounded_and_those_beyond_counted() -> None:
    merge = WideMerge(2, max_held=2)
    for offset in range(5):
        merge.take_event(WideEvent(0, offset, BEFORE_TIME, plates()), offset)
    assert (merge.held, merge.refused) == (2, 3)


def test_an_event_without_its_key_is_counted_once_where_it_is_passed_on_and_only_if_the_rule_wants_it() -> (
    None
):
    rules = program(["quick", "steps", "two-wards"])
    wide = split(rules)[1]
    stage = Forwarder(0, BEFORE_TIME, lambda key: 0, [wide, wide])
    slow = msgspec.structs.replace(plates(), data=CameraPlate(plate="51A-1", speed_kmh=40))
    stage.take([(0, plates()), (1, slow), (2, plates(vehicle="car"))], 1)
    assert {(place, rule): n for (place, rule, _), n in stage.unkeyed.items()} == {
        (0, "quick"): 1,
        (1, "quick"): 1,
    }
    engine = PartitionEngine(share(wide, lambda rule, key: False), partition=0)
    engine.on_batch([(0, plates()), (1, Tick(us(2)))])
    assert {counters.unkeyed for counters in engine.counters.values()} == {0}
    stage.adopt([split(program(["steps"]))[1]])
    assert stage.unkeyed == {}


def test_the_watermark_waits_for_the_partition_that_lags() -> None:
    merge = WideMerge(2)
    merge.take_tick(OriginTick(0, (0, us(1)), 1), 0)
    merge.take_tick(OriginTick(0, (0, us(2)), 1), 1)
    assert list(merge.seconds()) == []
    merge.take_event(WideEvent(1, 0, BEFORE_TIME, plates()), 2)
    merge.take_tick(OriginTick(1, (0, us(1)), 1), 3)
    assert [second.items for second in merge.seconds()] == [[plates(), Tick(us(1))]]
    assert merge.position(4) == 1


def test_wide_rules_switch_when_the_last_partition_has_switched() -> None:
    merge = WideMerge(2)
    for second, versions in enumerate([(1, 1), (2, 1), (2, 2)], 1):
        for origin, version in enumerate(versions):
            merge.take_tick(OriginTick(origin, (0, us(second)), version), second)
    assert [second.version for second in merge.seconds()] == [1, 1, 2]


def test_a_clock_put_back_holds_nothing_up_and_loses_nothing() -> None:
    wide = split(program(["two-wards"]))[1]
    back_us = us(100) - MAX_AHEAD_US - 1_000_000
    stages = [Forwarder(origin, BEFORE_TIME, lambda key: 0, [wide]) for origin in range(2)]
    merge, offset = WideMerge(2), 0
    for origin, stage in enumerate(stages):
        items: list[tuple[int, Item]] = [(0, Tick(us(100))), (1, Tick(back_us)), (2, plates(f"w{origin}"))]
        passed, ticks = stage.take([*items, (3, Tick(back_us + 1_000_000))], 1)
        for forward in passed:
            merge.take_event(forward.event, offset)
        for tick in ticks:
            merge.take_tick(tick, offset)
            offset += 1
    found = [item.now_us for second in merge.seconds() for item in second.items if isinstance(item, Tick)]
    assert found == [us(100), back_us, back_us + 1_000_000]
    assert merge.held == 0
