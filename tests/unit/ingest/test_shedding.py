"""Under overload what matters least is thinned, nothing falls silent, and every event is accounted for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.ingest.decoders.base import Decoded
from ioc.ingest.ports import Unavailable
from ioc.ingest.shedding import CALM_LOOKS, KEEP_S, LEAST_BEHIND, Level, LoadGauge, Progress, Shedder
from ioc.model.events import CameraCount
from ioc.model.times import SECOND_US, format_us
from tests.unit.ingest.fakes import NOW_US, City, body, cloud_event

COUNT = {"type": "camera.count", "data": {"people": 3}}
FLOW = {"type": "traffic.flow", "source": "det-1", "data": {"speed_kmh": 40.0}}


async def answers(city: City, *bodies: bytes) -> list[dict[str, int]]:
    device = city.registry.device("gw-1")
    assert device is not None
    taken = await city.service.accept_all(device, bodies)
    return [{"accepted": each.accepted, "shed": each.shed or 0} for each in taken]


async def test_alarms_are_all_taken_while_the_rest_is_thinned_and_every_event_is_told() -> None:
    city = City()
    city.service.shedder.level = Level.MEASUREMENTS
    alarms = [cloud_event(n) for n in range(20)]
    counts = [cloud_event(100 + n, **COUNT) for n in range(20)]
    flows = [cloud_event(200 + n, **FLOW) for n in range(20)]
    assert await answers(city, body(*alarms, *counts, *flows)) == [{"accepted": 22, "shed": 38}]
    assert len(city.log.records) == 22
    assert city.metric("ioc_ingest_shed_events_total", type="camera.count") == 19
    assert city.metric("ioc_ingest_shed_events_total", type="traffic.flow") == 19


async def test_a_thinned_source_is_heard_of_again_before_it_counts_as_silent() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    for second in range(4 * KEEP_S):
        city.clock.now_us = NOW_US + second * SECOND_US
        await answers(city, body(cloud_event(second, **COUNT)))
    assert len(city.log.records) == 4


async def test_the_first_level_leaves_measurements_alone_and_no_level_leaves_everything() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    assert await answers(city, body(*[cloud_event(n, **FLOW) for n in range(9)])) == [
        {"accepted": 9, "shed": 0}
    ]
    city.service.shedder.level = Level.NOTHING
    assert await answers(city, body(*[cloud_event(n, **COUNT) for n in range(9)])) == [
        {"accepted": 9, "shed": 0}
    ]


async def test_what_nobody_may_send_is_refused_and_not_shed() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    sent = [cloud_event(n, **COUNT | {"source": f"ghost-{n % 2}"}) for n in range(4)]
    device = city.registry.device("gw-1")
    assert device is not None
    answer = await city.service.accept(device, body(*sent))
    assert (len(answer.rejected), answer.shed or 0) == (4, 0)


def looks(gauge: LoadGauge, *progress: tuple[int, int], step_s: float = 1.0) -> list[int]:
    """Levels after looks at a group that has taken and is behind by so many records."""
    return [
        gauge.look({"rules": Progress(*each)}, round((at + 1) * step_s * SECOND_US))
        for at, each in enumerate(progress)
    ]


def test_a_group_that_falls_further_behind_than_allowed_is_overload_and_each_look_sheds_more() -> None:
    growing = [(n * 10_000, n * 12_000) for n in range(1, 7)]
    assert looks(LoadGauge(3), *growing) == [0, 0, 1, 2, 2, 2]


def test_a_group_that_catches_up_or_stands_still_is_none() -> None:
    assert set(looks(LoadGauge(3), *[(n * 10_000, 900_000 - n) for n in range(1, 20)])) == {0}
    assert set(looks(LoadGauge(3), *[(10_000, n * 100_000) for n in range(1, 20)])) == {0}


def test_few_events_are_no_overload_however_slowly_they_go() -> None:
    assert set(looks(LoadGauge(3), *[(n, n + LEAST_BEHIND - 30) for n in range(1, 20)])) == {0}


def test_a_level_is_left_step_by_step_once_it_has_been_calm() -> None:
    gauge = LoadGauge(3)
    assert looks(gauge, *[(n * 10_000, n * 12_000) for n in range(1, 7)])[-1] == 2
    calm = [
        gauge.look({"rules": Progress(60_000 + n * 10_000, 0)}, (7 + n) * SECOND_US)
        for n in range(2 * CALM_LOOKS)
    ]
    assert calm == [2] * (CALM_LOOKS - 1) + [1] * CALM_LOOKS + [0]


def count_event(number: int) -> Decoded:
    data = CameraCount(people=1)
    return Decoded(line=1, id=str(number), source="cam-1", time_us=NOW_US, data=data, raw=b"")


@given(st.lists(st.integers(0, 60), max_size=60))
def test_whoever_sends_is_heard_at_least_every_interval(seconds: list[int]) -> None:
    shedder = Shedder()
    shedder.level = Level.ANALYTICS
    heard_s = 0
    for second in sorted(seconds):
        if not shedder.leaves_out(count_event(second), NOW_US + second * SECOND_US):
            heard_s = second
        assert second - heard_s < KEEP_S


def test_a_clock_put_back_silences_nobody() -> None:
    shedder = Shedder()
    shedder.level = Level.ANALYTICS
    assert not shedder.leaves_out(count_event(1), NOW_US)
    assert not shedder.leaves_out(count_event(2), NOW_US - 3600 * SECOND_US)


async def test_an_event_that_could_not_be_stored_keeps_no_other_out() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    city.log.down = True
    with pytest.raises(Unavailable):
        await answers(city, body(cloud_event(1, **COUNT)))
    city.log.down = False
    assert await answers(city, body(cloud_event(1, **COUNT))) == [{"accepted": 1, "shed": 0}]
    assert await answers(city, body(cloud_event(2, **COUNT))) == [{"accepted": 0, "shed": 1}]


async def test_an_event_that_is_refused_keeps_no_other_out() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    ahead = cloud_event(1, time=format_us(NOW_US + 3600 * SECOND_US), **COUNT)
    assert await answers(city, body(ahead, cloud_event(2, **COUNT))) == [{"accepted": 1, "shed": 0}]


async def test_a_sender_without_authority_silences_no_source_of_others() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    stranger = city.registry.device("det-1")
    assert stranger is not None
    answer = await city.service.accept(stranger, body(cloud_event(1, **COUNT)))
    assert [rejected.rule for rejected in answer.rejected] == ["may_send_for"]
    assert await answers(city, body(cloud_event(2, **COUNT))) == [{"accepted": 1, "shed": 0}]


async def test_a_repeat_keeps_nothing_new_out() -> None:
    city = City()
    city.service.shedder.level = Level.ANALYTICS
    known = body(cloud_event(1, **COUNT))
    await answers(city, known)
    city.clock.now_us = NOW_US + 2 * KEEP_S * SECOND_US
    device = city.registry.device("gw-1")
    assert device is not None
    assert (await city.service.accept(device, known)).duplicate == 1
    assert await answers(city, body(cloud_event(2, **COUNT))) == [{"accepted": 1, "shed": 0}]
