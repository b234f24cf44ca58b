"""What is counted of devices, and that who sends nonsense is throttled alone and recovers by itself."""

import json

import pytest

from ioc.ingest.device_counts import DeviceCounter, DeviceTally
from ioc.ingest.error_budget import MAX_HOLD_S, ErrorBudgets
from ioc.ingest.limits import IngestLimits
from ioc.ingest.ports import DeviceDisabled, TooFast
from ioc.model.times import SECOND_US, format_us
from tests.unit.ingest.fakes import CAMERA, GATEWAY, NOW_US, PORTAL, City, body, cloud_event, snapshot

LIMITS = IngestLimits(error_least_events=20)
NONSENSE = b"\n".join([b"{"] * 20)


def tally(city: City, device_id: str) -> DeviceTally:
    return {each.device_id: each for each in city.service.device_counts.take()}[device_id]


def at(seconds: float) -> str:
    return format_us(NOW_US + int(seconds * SECOND_US))


async def test_a_devices_events_faults_and_clock_are_counted() -> None:
    city = City()
    for second in range(5):  # its clock is two seconds behind
        city.clock.now_us = NOW_US + second * SECOND_US
        event = cloud_event(second, source="portal", time=at(second - 2), lon=0, lat=0)
        await city.service.accept(PORTAL, body(event))
    await city.service.accept(PORTAL, body(cloud_event(0, source="portal")))  # a repeat counts nothing
    await city.service.accept(PORTAL, b"{")
    found = tally(city, "portal")
    assert (found.events, found.refused, found.refusal, found.positions) == (5, 1, "json", 5)
    assert (found.skew_us, found.event_us, found.seen_us) == (
        2 * SECOND_US,
        city.clock.now_us,
        city.clock.now_us,
    )
    assert city.metric("ioc_ingest_positions_total", finding="position_zero") == 5


async def test_the_clock_is_measured_by_the_median_so_one_late_body_does_not_move_it() -> None:
    city = City()
    for number, late_s in enumerate((1, 1, 3600, 1, 1)):
        await city.service.accept(CAMERA, body(cloud_event(number, time=at(-late_s))))
    assert tally(city, "cam-1").skew_us == SECOND_US


async def test_backward_and_repeated_times_are_counted_and_taken() -> None:
    city = City()
    events = [cloud_event(n, time=at(s)) for n, s in enumerate((-9, -8, -8, -10, -7))]
    answer = await city.service.accept(CAMERA, body(*events))
    assert answer.accepted == 5
    found = tally(city, "cam-1")
    assert (found.backward, found.repeated) == (1, 1)
    assert city.metric("ioc_ingest_times_total", finding="backward") == 1
    assert city.metric("ioc_ingest_times_total", finding="repeated") == 1


async def test_a_refused_event_is_its_senders_and_a_taken_one_its_sources() -> None:
    city = City()
    lines = body(cloud_event(1), cloud_event(2, source="portal"))
    await city.service.accept(GATEWAY, lines)
    tallies = {each.device_id: each for each in city.service.device_counts.take()}
    assert set(tallies) == {"gw-1", "cam-1"}
    assert (tallies["gw-1"].events, tallies["gw-1"].refused) == (0, 1)
    assert (tallies["cam-1"].events, tallies["cam-1"].refused) == (1, 0)


async def test_what_could_not_be_stored_is_added_to_what_came_meanwhile() -> None:
    city = City()
    await city.service.accept(CAMERA, body(cloud_event(1)) + b"\n{")
    counts: DeviceCounter = city.service.device_counts
    taken = counts.take()
    await city.service.accept(CAMERA, body(cloud_event(2)))
    counts.give_back(taken)
    found = tally(city, "cam-1")
    assert (found.events, found.refused, found.refusal, len(found.skews_us)) == (2, 1, "json", 2)
    assert counts.take() == []


async def test_who_sends_nonsense_is_throttled_alone_is_told_so_and_recovers() -> None:
    city = City(LIMITS)
    await city.service.accept(GATEWAY, NONSENSE)
    with pytest.raises(TooFast) as caught:
        await city.service.accept(GATEWAY, body(cloud_event(1)))
    assert 0 < caught.value.retry_after_s <= MAX_HOLD_S
    assert city.metric("ioc_ingest_refused_total", transport="http", reason="throttled") == 1
    assert city.metric("ioc_ingest_throttled_devices") == 1
    assert (await city.service.accept(CAMERA, body(cloud_event(2)))).accepted == 1
    for number in range(3, 400):  # mended, it sends one event every two seconds
        city.clock.now_us += 2 * SECOND_US
        event = cloud_event(number, time=format_us(city.clock.now_us))
        try:
            await city.service.accept(GATEWAY, body(event))
        except TooFast:
            continue
        if not city.service.budgets.throttled:
            break
    assert not city.service.budgets.throttled
    assert city.metric("ioc_ingest_throttled_devices") == 0
    assert city.clock.now_us < NOW_US + 300 * SECOND_US
    assert (await city.service.accept(GATEWAY, body(cloud_event(500)))).accepted == 1


def test_a_throttled_device_that_falls_silent_is_forgiven_and_one_that_goes_on_is_not() -> None:
    budgets, now_us = ErrorBudgets(LIMITS), NOW_US
    for _ in range(600):
        now_us += SECOND_US
        if not budgets.hold_s("d", now_us):
            budgets.note("d", 0, 20, now_us)
    assert budgets.throttled == {"d"}
    now_us += 240 * SECOND_US
    assert budgets.hold_s("d", now_us) == 0.0
    assert budgets.throttled == set()


def test_a_few_faults_among_many_events_throttle_nobody() -> None:
    budgets = ErrorBudgets(LIMITS)
    for second in range(600):
        assert not budgets.note("d", 60, 40, NOW_US + second * SECOND_US)
    assert budgets.throttled == set()
    for second in range(600, 1200):  # few and all wrong: too few to judge
        assert not budgets.note("e", 0, 1, NOW_US + second * 10 * SECOND_US)


def test_a_clock_set_back_neither_throttles_nor_frees() -> None:
    budgets = ErrorBudgets(LIMITS)
    budgets.note("d", 0, 30, NOW_US)
    assert 0 < budgets.hold_s("d", NOW_US - 3600 * SECOND_US) <= MAX_HOLD_S


async def test_a_broker_that_serves_many_never_waits_for_the_throttled_one() -> None:
    city = City(LIMITS)
    await city.service.accept(GATEWAY, NONSENSE, transport="subscriber", wait=True)
    raw = body(cloud_event(1))
    # Not by the clock: whoever waited would wait for real.
    answer = await city.service.accept(GATEWAY, raw, transport="subscriber", wait=True)
    assert [rejected.rule for rejected in answer.rejected] == ["throttled"]
    assert (city.quarantine.rows[-1].raw, city.quarantine.rows[-1].reason) == (raw, "throttled")
    assert city.log.records == []


def test_unsound_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="error_share"):
        IngestLimits(error_share=1.0)


async def test_bodies_that_are_too_large_count_as_refused() -> None:
    city = City(IngestLimits(max_events_per_request=2, error_least_events=20))
    with pytest.raises(Exception, match="3 events"):
        await city.service.accept(CAMERA, json.dumps([cloud_event(n) for n in range(3)]).encode())
    assert tally(city, "cam-1").refused == 1


async def test_a_gateway_is_not_throttled_for_the_disabled_device_that_it_sends_for() -> None:
    city = City(LIMITS)
    city.registry.replace(snapshot(None, "cam-1"))
    for number in range(3):
        events = b"\n".join(body(cloud_event(f"{number}-{each}")) for each in range(20))
        answer = await city.service.accept(GATEWAY, events)
        assert {rejected.rule for rejected in answer.rejected} == {"device_disabled"}
    assert city.service.budgets.throttled == set()
    assert city.metric("ioc_ingest_rejections_total", rule="device_disabled") == 60


async def test_what_a_disabled_device_sends_where_nobody_answers_is_counted_and_forgotten() -> None:
    city = City(LIMITS)
    city.registry.replace(snapshot(None, "cam-1"))
    bodies = [body(cloud_event(each)) for each in range(3)]
    answers = await city.service.accept_all(CAMERA, bodies, transport="subscriber", wait=True)
    assert [answer.rejected[0].rule for answer in answers] == ["device_disabled"] * 3
    assert (city.log.records, city.quarantine.rows) == ([], [])
    assert tally(city, "cam-1").refused == 3
    with pytest.raises(DeviceDisabled):
        await city.service.accept(CAMERA, bodies[0])
