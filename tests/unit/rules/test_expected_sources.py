"""Whom silence rules by source listen for, as the registry changes and where there are too many."""

from collections.abc import Mapping

import pytest

from ioc.app.rules.expected import of_partition, unwatched
from ioc.eventlog.port import partition_of
from ioc.model.events import TrafficFlow
from ioc.model.incidents import Cleared, Effect, Raised
from ioc.model.places import Device, DeviceKind
from ioc.rules import ExpectedSource, PartitionEngine
from ioc.rules.silence import FOREVER_US, REMOVED, Away
from tests.unit.rules.scenes import count, event, play, rule, told, us, with_ticks

SILENT = rule("stream: camera\nabsence: 90s\n")
IN_WARD = rule("stream: camera\nabsence: 90s\nward: w1\n")
CAMERA = ExpectedSource("camera", "w1", 106.5, 11.0)


def keys(effects: list[Effect]) -> list[str]:
    return [effect.key for effect in effects if isinstance(effect, Raised)]


# too many ---------------------------------------------------------------------------------------------------


def test_devices_beyond_the_bound_of_keys_are_counted_until_they_are_watched() -> None:
    sources = {f"cam-{n}": CAMERA for n in range(5)}
    engine = PartitionEngine(SILENT, partition=0, max_keys=3, expected_sources=sources)
    assert (engine.key_counts, engine.unwatched_counts) == ({"it": 3}, {"it": 2})
    assert keys(play(engine, with_ticks([], 95))) == ["cam-0", "cam-1", "cam-2"]
    engine.expect(dict.fromkeys(("cam-2", "cam-3", "cam-4"), CAMERA))
    assert engine.unwatched_counts == {"it": 0}
    restored = PartitionEngine.restore(
        SILENT, 0, engine.drain_changes(), max_keys=3, expected_sources=sources
    )
    assert restored.unwatched_counts == {"it": 2}


def test_a_device_forgotten_to_make_room_counts_as_unwatched() -> None:
    engine = PartitionEngine(SILENT, partition=0, max_keys=1, expected_sources={"cam": CAMERA})
    play(engine, with_ticks([count(1, source="new")], 2))
    assert (engine.counters["it"].evicted, engine.unwatched_counts) == (1, {"it": 1})


def test_devices_no_rule_is_about_are_not_counted() -> None:
    elsewhere = {"a": CAMERA._replace(ward="w2"), "d": CAMERA._replace(stream="traffic")}
    engine = PartitionEngine(IN_WARD, partition=0, max_keys=1, expected_sources={**elsewhere, "b": CAMERA})
    assert (engine.key_counts, engine.unwatched_counts) == ({"it": 1}, {"it": 0})
    assert PartitionEngine(
        rule("stream: camera\nhaving: count > 2 within 9s\n"), partition=0
    ).unwatched_counts == {"it": 0}


def test_a_push_can_tell_how_many_devices_a_rule_would_not_watch() -> None:
    cameras = [camera(f"cam-{n}", "w1") for n in range(5)]
    assert unwatched(SILENT, cameras, 2, nowhere, {}, max_keys=3) == {"it": 2}
    assert unwatched(SILENT, cameras, 2, nowhere, {}) == {}
    assert (
        unwatched(rule("stream: camera\nabsence: 90s\nby: [ward]\n"), cameras, 2, nowhere, {}, max_keys=3)
        == {}
    )


# the registry changes ---------------------------------------------------------------------------------------


def test_a_device_that_moves_out_of_the_rules_ward_is_not_missed_there() -> None:
    engine = PartitionEngine(IN_WARD, partition=0, expected_sources={"a": CAMERA, "b": CAMERA})
    play(engine, with_ticks([count(1, source="a", ward="w1")], 10))
    engine.expect({"a": CAMERA._replace(ward="w2"), "b": CAMERA})
    talking = [count(at, source="a", ward="w2") for at in range(11, 200, 5)]
    assert keys(play(engine, with_ticks(talking, 200, since=11))) == ["b"]


def test_a_rule_that_is_about_another_ward_from_now_on_lets_go_of_the_devices_of_the_former() -> None:
    engine = PartitionEngine(IN_WARD, partition=0, expected_sources={"a": CAMERA})
    assert told(play(engine, with_ticks([], 95))) == ["90 raised"]
    engine.adopt(rule("stream: camera\nabsence: 90s\nward: w2\n"))
    assert told(engine.on_batch([])) == ["95 cleared"]
    assert engine.key_counts == {"it": 0}


@pytest.mark.parametrize("promised", [True, False])
def test_a_device_removed_for_good_is_forgotten_and_not_missed_when_the_registry_has_forgotten_it(
    promised: bool,
) -> None:
    gone = CAMERA._replace(away=(Away(us(60), FOREVER_US, REMOVED),), promised=promised)
    engine = PartitionEngine(SILENT, partition=0, expected_sources={"a": gone})
    assert keys(play(engine, with_ticks([count(5, source="a", ward="w1")], 62))) == []
    assert (engine.key_counts, engine.unwatched_counts) == ({"it": 0}, {"it": 0})
    restored = PartitionEngine.restore(SILENT, 0, engine.drain_changes(), expected_sources={"a": gone})
    assert (restored.key_counts, restored.unwatched_counts) == ({"it": 0}, {"it": 0})
    restored.expect({})
    assert keys(play(restored, with_ticks([], 400, since=63))) == []


# partitions -------------------------------------------------------------------------------------------------


def camera(name: str, ward: str | None, **more: object) -> Device:
    chosen: Mapping[str, object] = {"expected_interval_s": 10.0, **more}
    return Device(id=name, kind=DeviceKind.CAMERA, name=name, ward=ward, **chosen)  # type: ignore[arg-type]


def nowhere(_lon: float, _lat: float) -> str | None:
    return None


HERE = next(f"w{n}" for n in range(99) if partition_of(f"w{n}", 2) == 0)
THERE = next(f"w{n}" for n in range(99) if partition_of(f"w{n}", 2) == 1)


@pytest.mark.parametrize("promise_s", [10.0, None])
def test_a_device_whose_ward_is_corrected_is_not_missed_where_it_spoke_before(
    promise_s: float | None,
) -> None:
    before = camera("a", HERE, expected_interval_s=promise_s)
    after = camera("a", THERE, expected_interval_s=promise_s)
    engine = PartitionEngine(SILENT, partition=0, expected_sources=of_partition([before], 0, 2, nowhere, {}))
    play(engine, with_ticks([count(1, source="a", ward=HERE)], 10))
    moved = of_partition([after], 0, 2, nowhere, {})
    restored = PartitionEngine.restore(SILENT, 0, engine.drain_changes(), expected_sources=moved)
    engine.expect(moved)
    late = count(11, source="a", ward=HERE)
    for running in (engine, restored):
        assert keys(play(running, with_ticks([late], 200, since=11))) == []
        assert running.key_counts == {"it": 0}


@pytest.mark.parametrize("by", ["[source]", "[lane, source]"])
def test_an_incident_does_not_wait_for_the_all_clear_of_a_device_whose_ward_was_corrected(by: str) -> None:
    body = (
        f"stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 9\nclear_when: speed_kmh > 30\nby: {by}\n"
    )
    program = rule(body + "hold: 5s\n")
    engine = PartitionEngine(program, partition=0)
    events = [event(1, TrafficFlow(speed_kmh=5, lane="1"), source=name, ward=HERE) for name in ("a", "b")]
    assert told(play(engine, with_ticks(events, 10))) == ["1 raised", "1 raised"]
    moved = {"a": ExpectedSource("traffic", here=False)}
    restored = PartitionEngine.restore(program, 0, engine.drain_changes(), expected_sources=moved)
    engine.expect(moved)
    for running in (engine, restored):
        effects = running.on_batch([])
        assert [effect.reason for effect in effects if isinstance(effect, Cleared)] == ["device moved"]
        assert running.key_counts == {"it": 1}


def test_a_device_that_tells_where_it_is_is_listened_for_wherever_it_speaks() -> None:
    bus = camera("bus", THERE, expected_interval_s=None, trusts_position=True)
    sources = of_partition([bus], 0, 2, nowhere, {})
    engine = PartitionEngine(SILENT, partition=0, expected_sources=sources)
    assert keys(play(engine, with_ticks([count(1, source="bus", ward=HERE)], 120))) == ["bus"]
