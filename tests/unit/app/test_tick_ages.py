"""Ticks of every partition count: one whose clock stands still is seen though the others go on."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from ioc.app.clock import Ticker, now_us
from ioc.app.core import Core
from ioc.app.feed.state_lane import StateLane
from ioc.app.readiness import MAX_TICK_AGE_S, Readiness
from ioc.app.rules.tick_ages import TickAges
from ioc.eventlog.memory import MemoryLog
from ioc.eventlog.port import LogRetryable
from ioc.model.events import Event
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import SECOND_US


def test_the_partition_whose_tick_is_oldest_decides() -> None:
    ages = TickAges(0)
    ages.seen(0, 30 * SECOND_US)
    ages.seen(1, 20 * SECOND_US)
    assert ages.oldest_s((0, 1), 31 * SECOND_US) == 11
    assert ages.oldest_s((0, 1, 2), 31 * SECOND_US) == 31, "one without any tick is as old as the start"


def test_an_older_tick_read_again_changes_nothing() -> None:
    ages = TickAges(0)
    ages.seen(0, 30 * SECOND_US)
    ages.seen(0, 5 * SECOND_US)
    assert ages.oldest_s((0,), 31 * SECOND_US) == 1


class MovingLog:
    """A log whose ends move with every question, as if events flowed."""

    def __init__(self) -> None:
        self._end = 0

    async def ends(self, topic: str) -> dict[int, int]:
        self._end += 1
        return {0: self._end}


@pytest.mark.parametrize(("age_s", "ok"), [(1.0, True), (MAX_TICK_AGE_S + 5, False)])
async def test_events_that_flow_do_not_hide_a_clock_that_stands_still(age_s: float, ok: bool) -> None:
    ages = TickAges(0)
    ages.seen(0, now_us() - round(age_s * SECOND_US))
    core = cast("Core", SimpleNamespace(log=MovingLog()))
    assert (await Readiness(core, ages).log()).ok is ok


class Sink:
    def apply_event(self, event: Event) -> None:
        raise AssertionError("no event was appended")


async def test_who_follows_the_log_and_who_ticks_note_the_ticks_of_every_partition() -> None:
    log = MemoryLog()
    await log.create_topic(EVENTS_TOPIC, 2)
    followed, written = TickAges(0), TickAges(0)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(StateLane(log, Sink(), followed).run()),
            group.create_task(Ticker(log, LogRetryable, written).run()),
        ]
        async with asyncio.timeout(30):
            # What is waited for lies in a dictionary, which wakes nobody.
            while max(ages.oldest_s((0, 1), now_us()) for ages in (followed, written)) > 10:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
