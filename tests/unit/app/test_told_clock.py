"""The told clock: every second ticked once, forward only, no time said before its ticks are durable."""

import pytest

from ioc.app.told_clock import MAX_STEP_US, ToldClock
from ioc.ingest.ports import BodyRefused, Unavailable
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import SECOND_US, parse_us

START_US = parse_us("2026-11-23T07:00:00Z")


class LogDown(Exception):
    pass


class Ticks:
    """Notes the seconds ticked; `room` of them are taken before it is down."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.room = 10_000

    async def append_ticks(self, topic: str, now_us: int) -> list[object]:
        assert topic == EVENTS_TOPIC
        if not self.room:
            raise LogDown
        self.room -= 1
        self.seconds.append((now_us - START_US) / SECOND_US)
        return []


def at(seconds: float) -> int:
    return START_US + round(seconds * SECOND_US)


async def test_every_whole_second_is_ticked_once_and_before_it_is_said() -> None:
    log = Ticks()
    clock = ToldClock(log, LogDown)
    assert await clock.tell(at(0)) == 1
    assert await clock.tell(at(0)) == 0
    assert await clock.tell(at(0.5)) == 0
    assert clock() == at(0.5)
    assert await clock.tell(at(3.2)) == 3
    assert log.seconds == [0, 1, 2, 3]
    assert clock() == at(3.2)


async def test_a_first_time_between_two_seconds_waits_for_the_next() -> None:
    log = Ticks()
    clock = ToldClock(log, LogDown)
    assert await clock.tell(at(0.25)) == 0
    assert await clock.tell(at(1)) == 1
    assert log.seconds == [1]


async def test_no_time_is_said_before_one_was_told() -> None:
    with pytest.raises(Unavailable):
        ToldClock(Ticks(), LogDown)()


async def test_time_goes_forward_and_not_by_leaps() -> None:
    clock = ToldClock(Ticks(), LogDown)
    await clock.tell(at(10))
    with pytest.raises(BodyRefused, match="it is 2026-11-23T07:00:10"):
        await clock.tell(at(9))
    with pytest.raises(BodyRefused, match="more than 1 h after"):
        await clock.tell(at(10) + MAX_STEP_US + 1)
    assert clock() == at(10)


async def test_a_log_that_is_down_is_told_and_the_same_time_can_be_told_again() -> None:
    log = Ticks()
    log.room = 2
    clock = ToldClock(log, LogDown)
    await clock.tell(at(0))
    with pytest.raises(Unavailable):
        await clock.tell(at(5))
    assert clock() == at(1)
    log.room = 10
    assert await clock.tell(at(5)) == 4
    assert log.seconds == [0, 1, 2, 3, 4, 5]
