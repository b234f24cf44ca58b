"""The shared dispatch gives each rule the events that it would choose by itself, one by one."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.geo.index import AreaIndex
from ioc.model.events import Event
from ioc.model.places import Area
from ioc.model.records import Tick
from ioc.model.texts import Text
from ioc.rules import PartitionEngine, Program, load
from ioc.rules.dispatch import Dispatch, Run, Survivor
from ioc.rules.spell import SpellMachine
from tests.unit.rules.scenes import alarm, count, flow, us, zone

WATERMARK_US = us(500)
_RING = [[0.0, 0.0], [0.003, 0.0], [0.003, 0.003], [0.0, 0.003], [0.0, 0.0]]
_HOLE = [[0.001, 0.001], [0.001, 0.002], [0.002, 0.002], [0.002, 0.001], [0.001, 0.001]]
RINGED = Area(
    code="ringed",
    kind="square",
    name=Text("ringed", "ringed"),
    geometry={"type": "Polygon", "coordinates": [_RING, _HOLE]},
)
INDEX = AreaIndex([zone("west", 0.0, 0.0), zone("east", 0.0005, 0.0), zone("north", 0.002, 0.002), RINGED])
"""West and east overlap; north overlaps the ring, whose hole none of them reaches."""

WHERE = {
    "traffic.flow": (None, "speed_kmh < 20", "occupancy > 0.4 && speed_kmh < 30"),
    "camera.count": (None, "people > 3", "people > 3 || stopped_vehicles > 1"),
    "camera.alarm": (None, 'kind == "wrong_way"', "confidence >= 0.5"),
}
PLACES = (
    "",
    "area: {kind: zone}",
    "area: {kind: zone, code: [east]}",
    "area: {kind: square}",
    "ward: ['25747']",
    "ward: ['25747', '25750']\narea: {kind: zone, code: [west, north]}",
)
CONDITIONS = (
    "hold: 20s",
    "having: count >= 2 within 30s",
    "for: 20s\nhold: 30s",
    "clear_when: '{clear}'",
    "for: 10s\nclear_when: '{clear}'\norder: time",
    "late: drop\nhold: 20s",
    "late: amend\nhold: 40s",
)
CLEAR = {"traffic.flow": "speed_kmh > 50", "camera.count": "people < 1", "camera.alarm": "!active"}
KEYS = ("by: [source]", "by: [ward]", "by: [source, ward]")


@st.composite
def programs(draw: st.DrawFn) -> Program:
    texts = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(sorted(WHERE)))
        where = draw(st.sampled_from(WHERE[kind]))
        conditions = CONDITIONS if where else CONDITIONS[1:2]
        lines = [
            f"rule: drawn-{number}",
            "title: {vi: a, en: a}",
            f"stream: {kind.partition('.')[0]}",
            f"type: {kind}",
            "severity: low",
            f"where: '{where}'" if where else "",
            draw(st.sampled_from(PLACES)),
            draw(st.sampled_from(conditions)).replace("{clear}", CLEAR[kind]),
            draw(st.sampled_from(KEYS)),
        ]
        texts.append("\n".join(line for line in lines if line))
    return load({"drawn.yaml": "\n---\n".join(texts)}, INDEX)


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    found: list[Event] = []
    for _ in range(draw(st.integers(1, 25))):
        at = draw(st.sampled_from([300.0, 430.0, 460.0, 495.0, 499.0, 500.0, 501.0]))
        place = {
            "source": draw(st.sampled_from(["a", "b", "c"])),
            "ward": draw(st.sampled_from(["25747", "25750", None])),
        }
        # whole steps put points on borders, corners, and into the hole
        if draw(st.booleans()):
            place["lon"] = draw(st.integers(-1, 7)) * 0.0005
            place["lat"] = draw(st.integers(-1, 7)) * 0.0005
        else:
            place["lon"] = place["lat"] = None
        choice = draw(st.integers(0, 2))
        if choice == 0:
            speed = draw(st.sampled_from([None, 5.0, 25.0, 60.0]))
            found.append(flow(at, speed, draw(st.sampled_from([0.1, 0.5])), **place))
        elif choice == 1:
            found.append(count(at, draw(st.integers(0, 6)), draw(st.integers(0, 3)), **place))
        else:
            found.append(alarm(at, draw(st.sampled_from(["wrong_way", "crowd"])), **place))
    return found


def alone(machine: SpellMachine, run: Run) -> tuple[list[Survivor], int]:
    """Return the survivors and the number of late events, by the rule's words alone."""
    rule, fence = machine.rule, machine.compiled.fence
    rows, late = [], 0
    for position, event in enumerate(run.events):
        if type(event.data).__struct_config__.tag not in rule.types:
            continue
        inside = fence is None or fence.contains_one(event.lon, event.lat)
        if not inside or (rule.wards is not None and event.ward not in rule.wards):
            continue
        matched = rule.where is None or rule.where(event)
        is_late = run.times_us[position] < WATERMARK_US - machine.horizon_us
        late += matched and is_late
        if not is_late or (matched and rule.late == "amend"):
            clearing = machine.wants_others and rule.clear_when is not None and rule.clear_when(event)
            rows.append((position, matched, clearing))
    if not machine.wants_others:
        return [row for row in rows if row[1]], late
    return rows, late


def minded(machine: SpellMachine, run: Run, rows: Sequence[Survivor]) -> list[Survivor]:
    """Leave out what says nothing: events that do not match, of keys that nothing is known of."""
    hot = machine.minded | {machine.key_of(run.events[position]) for position, matched, _ in rows if matched}
    if machine.minds_all:
        return list(rows)
    return [row for row in rows if row[1] or machine.key_of(run.events[row[0]]) in hot]


@given(program=programs(), found=events(), earlier=events())
@settings(max_examples=300, deadline=None)
def test_survivors_are_those_each_rule_would_choose_alone(
    program: Program, found: list[Event], earlier: list[Event]
) -> None:
    engine = PartitionEngine(program, partition=0)
    items = [*enumerate(earlier), (len(earlier), Tick(WATERMARK_US + 2_000_000))]
    engine.on_batch(items)  # some keys are known by now
    machines = [m for m in engine._machines.values() if isinstance(m, SpellMachine)]
    run = Run(found, None)
    before = {m.rule.name: m.counters.late for m in machines}
    survivors = Dispatch(machines).survivors(run, WATERMARK_US, {}, None)
    for machine in machines:
        rows, late = alone(machine, run)
        given_to_it = minded(machine, run, survivors.get(machine.rule.name, []))
        assert given_to_it == minded(machine, run, rows), machine.rule.name
        assert machine.counters.late - before[machine.rule.name] == late


def test_drawn_programs_reach_every_place_and_condition() -> None:
    """A generator that draws nothing proves nothing."""
    everywhere = flow(499, 5.0, 0.5, source="a", ward="25747", lon=0.0006, lat=0.0005)
    hole = flow(499, 5.0, 0.5, source="b", ward="25747", lon=0.0015, lat=0.0015)
    texts = [
        f"rule: r{number}\ntitle: {{vi: a, en: a}}\nstream: traffic\ntype: traffic.flow\n"
        f"severity: low\nhold: 9s\nwhere: speed_kmh < 20\n{place}"
        for number, place in enumerate(PLACES)
    ]
    program = load({"places.yaml": "\n---\n".join(texts)}, INDEX)
    machines = list(PartitionEngine(program, partition=0)._machines.values())
    spells = [m for m in machines if isinstance(m, SpellMachine)]
    found = Dispatch(spells).survivors(Run([everywhere, hole], None), WATERMARK_US, {}, None)
    reached = {name: [position for position, _, _ in rows] for name, rows in found.items()}
    assert reached == {"r0": [0, 1], "r1": [0], "r2": [0], "r3": [0], "r4": [0, 1], "r5": [0]}


def test_a_predicate_is_paid_for_by_the_first_rule_that_asks_it() -> None:
    head = "title: {vi: a, en: a}\nstream: traffic\ntype: traffic.flow\nseverity: low\nhold: 9s\n"
    text = f"{head}where: speed_kmh < 20"
    program = load({"two.yaml": f"rule: a\n{text}\n---\nrule: b\n{text}\narea: {{kind: zone}}"}, INDEX)
    engine = PartitionEngine(program, partition=0)
    seconds = iter(range(1_000))
    engine.stopwatch = lambda: float(next(seconds))
    engine.on_batch([(0, flow(1, 60.0, 0.1))])
    assert engine.seconds == {"a": pytest.approx(1.0)}
