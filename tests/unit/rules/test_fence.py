"""What subjects do at borders: z1 and z2 are neighbours, 111 m wide; places are metres east of z1."""

import pytest
from msgspec.structs import replace

from ioc.geo.index import AreaIndex
from ioc.geo.zones import metres_between
from ioc.model.incidents import Raised, Updated
from ioc.model.texts import Text
from ioc.rules import PartitionEngine
from tests.unit.rules.scenes import Item, count, play, rule, timeline, told, us, with_ticks, zone

INDEX = AreaIndex([zone("z1", 106.0, 0.0), zone("z2", 106.001, 0.0)])
DEGREE_M = 111_195.08


def at(time: float, metres: float, **more: object) -> Item:
    more = {"subject": "car", "lon": 106.0 + metres / DEGREE_M, "lat": 0.0005, **more}
    return count(time, **more)  # type: ignore[arg-type]


def lines(when: str, events: list[Item], until: float = 60, *, more: str = "", fence: str = "") -> list[str]:
    area = "" if "area:" in fence else "area: {kind: zone}, "
    body = f"stream: camera\ntype: camera.count\nfence: {{when: {when}, {area}{fence}}}\n{more}"
    return timeline(rule(body, index=INDEX), events, until)  # type: ignore[arg-type]


HOLD = "hold: 5s\n"
# out: -50 m    z1: 50 m    z2: 150 m    out: 300 m


@pytest.mark.parametrize(
    ("when", "events", "expected"),
    [
        #  0out  10in  20out     seconds, watermark 2 s later
        ("enters", [at(0, -50), at(10, 50), at(20, -50)], ["13 raised", "17 cleared"]),
        ("leaves", [at(0, -50), at(10, 50), at(20, -50)], ["23 raised", "27 cleared"]),
        ("inside", [at(0, -50), at(10, 50), at(20, -50)], ["13 raised", "27 cleared"]),
        #  0in                   the first position makes no transition, but is inside
        ("enters", [at(0, 50)], []),
        ("leaves", [at(0, -50)], []),
        ("inside", [at(0, 50), at(20, -50)], ["3 raised", "27 cleared"]),
        #  10z1  12z2            neighbours: leaves one, enters the other
        ("enters", [at(0, -50), at(10, 50), at(12, 150)], ["13 raised", "19 cleared"]),
        ("leaves", [at(10, 50), at(12, 150)], ["15 raised", "19 cleared"]),
        #  out of order by arrival only
        ("enters", [at(10, 50), at(9, -50, arrives=10.5)], ["13 raised", "17 cleared"]),
        #  late: 0out comes when the watermark is past it
        ("enters", [at(10, 50), at(0, -50, arrives=11)], []),
        #  duplicate positions change nothing
        ("enters", [at(0, -50), at(10, 50), at(10, 50)], ["13 raised", "17 cleared"]),
        #  one moment, outside and inside: the exit is applied first, whatever comes first
        ("enters", [at(0, 50), at(5, 60), at(5, -50)], ["8 raised", "12 cleared"]),
        ("leaves", [at(0, 50), at(5, 60), at(5, -50)], ["8 raised", "12 cleared"]),
        ("leaves", [at(0, 50), at(5, -50), at(5, 60)], ["8 raised", "12 cleared"]),
        #  a border belongs to the area
        ("enters", [at(0, -50), at(5, 0)], ["8 raised", "12 cleared"]),
        #  crosses: in, out, and through without a position inside
        ("crosses", [at(0, -50), at(10, 50)], ["13 raised", "17 cleared"]),
        ("crosses", [at(0, 50), at(10, -50)], ["13 raised", "17 cleared"]),
        ("crosses", [at(0, -50), at(10, 300)], ["13 raised", "17 cleared"]),
        ("crosses", [at(0, -50), at(10, -90)], []),
        #  a leg of more than five minutes says nothing about the way
        ("crosses", [at(0, -50), at(310, 300)], []),
        #  another subject is another track; no position, no statement
        ("enters", [at(0, -50), at(10, 50, subject="b")], []),
        ("enters", [at(0, -50), at(10, 50, lon=None)], []),
    ],
)
def test_transitions(when: str, events: list[Item], expected: list[str]) -> None:
    assert lines(when, events, 320 if "310" in str(events) else 60, more=HOLD) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0in  5in  10in        fires at 10, when the watermark shows it
        ([at(0, 50), at(5, 50)], ["12 raised"]),
        #  0in    10out          the boundary: ten seconds are over at 10
        ([at(0, 50), at(10, -50)], ["12 raised", "13 cleared"]),
        #  0in  9out             not long enough
        ([at(0, 50), at(9, -50)], []),
        #  0z1  6z2  16          ten seconds in one area are asked
        ([at(0, 50), at(6, 150), at(15, -50)], []),
        ([at(0, 50), at(6, 150)], ["18 raised"]),
        #  9out comes too late to prevent it
        ([at(0, 50), at(9, -50, arrives=12.5), at(20, -50)], ["12 raised", "23 cleared"]),
    ],
)
def test_a_subject_dwells(events: list[Item], expected: list[str]) -> None:
    assert lines("dwells 10s", events, 40) == expected


def test_the_first_position_may_be_an_entry() -> None:
    assert lines("enters", [at(0, 50)], more=HOLD, fence="initial: outside") == ["3 raised", "7 cleared"]


def test_a_subject_stays_inside_within_the_margin() -> None:
    #  jitter at the border: 5 m out is inside still, 25 m is not
    jitter = [at(0, 5), at(1, -5), at(2, 5), at(3, -5), at(4, -25), at(5, -5)]
    assert lines("leaves", jitter, more=HOLD, fence="margin_m: 20") == ["7 raised", "11 cleared"]
    assert lines("inside", jitter, fence="margin_m: 20") == ["3 raised", "7 cleared"]
    assert lines("inside", jitter) == ["3 raised", "4 cleared", "5 raised", "6 cleared"]
    #  the neighbour begins where the margin ends
    move = [at(0, 105), at(1, 115), at(2, 135)]
    area = "area: {kind: zone, code: z2}, margin_m: 20, "
    assert lines("enters", move, more=HOLD, fence=area) == ["4 raised", "8 cleared"]
    assert lines("leaves", move, more=HOLD, fence="margin_m: 20") == ["5 raised", "9 cleared"]


def test_a_lost_subject_is_forgotten_and_its_episode_ends() -> None:
    program = rule(
        "stream: camera\ntype: camera.count\nfence: {when: inside, area: {kind: zone}, lost: 30s}\n",
        index=INDEX,
    )
    engine = PartitionEngine(program, partition=0)
    assert told(play(engine, with_ticks([at(0, 50)], 40))) == ["3 raised", "32 cleared"]  # type: ignore[list-item]
    assert engine.key_counts == {"it": 0}


def test_an_incident_names_its_area() -> None:
    program = rule(
        "stream: camera\ntype: camera.count\nfence: {when: dwells 10s, area: {kind: zone}}\n", index=INDEX
    )
    raised = play(PartitionEngine(program, partition=0), with_ticks([at(1, 150)], 20))[0]  # type: ignore[list-item]
    assert isinstance(raised, Raised)
    assert (raised.key, raised.opened_us, raised.lat) == ("car", us(1), 0.0005)
    assert [(e.name, e.value, e.op, e.threshold) for e in raised.why.evidence] == [
        ("fence", "z2", "dwells", None),
        ("inside", 10.0, ">=", 10.0),
    ]
    assert raised.why.summary == Text(
        "Ở trong vùng z2 từ 10 giây (ngưỡng 10 giây)", "Inside zone z2 for 10 s (threshold 10 s)"
    )


def test_distances() -> None:
    assert metres_between(106.0, 0.0, 106.001, 0.0) == pytest.approx(111.195, abs=0.001)
    assert metres_between(106.7, 10.8, 106.7, 10.8) == 0.0


def test_a_leg_across_the_antimeridian_crosses_nothing_on_the_other_side_of_the_earth() -> None:
    legs = [at(0, 0, lon=179.999, lat=0.0005), at(10, 0, lon=-179.999, lat=0.0005)]
    assert lines("crosses", legs, more=HOLD) == []


@pytest.mark.parametrize("lat", [90.0, -90.0])
def test_a_subject_at_a_pole_is_outside(lat: float) -> None:
    assert lines("inside", [at(0, 50), at(10, 0, lat=lat)], more=HOLD) == ["3 raised", "17 cleared"]


# codes of several kinds -------------------------------------------------------------------------------------

CROSSING = [at(0, -50), at(10, 50), at(20, 150), at(30, 300)]


def shared_index() -> AreaIndex:
    """A ward and a road section side by side that have one code."""
    ward = replace(zone("101", 106.0, 0.0), kind="ward", name=Text("phường", "the ward"))
    road = replace(zone("101", 106.001, 0.0), kind="road", name=Text("đoạn", "the section"))
    return AreaIndex([ward, road])


@pytest.mark.parametrize(
    ("area", "raised"),
    [
        ("{code: 101}", ["Entered the ward", "Entered the section"]),
        ("{kind: road, code: 101}", ["Entered the section"]),
        ('{code: "road:101"}', ["Entered the section"]),
        ('{code: ["ward:101", 101]}', ["Entered the ward", "Entered the section"]),
    ],
)
def test_areas_of_one_code_and_several_kinds_are_told_apart(area: str, raised: list[str]) -> None:
    body = f"stream: camera\ntype: camera.count\nfence: {{when: enters, area: {area}}}\n{HOLD}"
    program = rule(body, index=shared_index())
    effects = play(PartitionEngine(program, partition=0), with_ticks(CROSSING, 60))  # type: ignore[arg-type]
    said = [effect.why.summary.en for effect in effects if isinstance(effect, (Raised, Updated))]
    assert said == raised


@pytest.mark.parametrize(
    ("area", "matched"), [("{code: 101}", 2), ('{code: "ward:101"}', 1), ('{code: "road:101"}', 1)]
)
def test_a_code_with_its_kind_chooses_one_area(area: str, matched: int) -> None:
    body = f"stream: camera\ntype: camera.count\nwhere: people >= 0\nhold: 5s\narea: {area}\n"
    engine = PartitionEngine(rule(body, index=shared_index()), partition=0)
    play(engine, with_ticks(CROSSING, 60))  # type: ignore[arg-type]
    assert engine.counters["it"].matched == matched
