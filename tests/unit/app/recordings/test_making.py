"""When a live recording ends: at the tick of its end, at a stop, or where nobody keeps the log's clock."""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest

from ioc.app.recordings import making
from ioc.app.recordings.entries import Entry
from ioc.app.recordings.files import make_header
from ioc.app.recordings.frames import FrameWriter
from ioc.app.recordings.selection import Selection
from ioc.model.records import Tick
from ioc.model.times import SECOND_US

END_US = 1_000 * SECOND_US


async def entries(*found: list[Entry]) -> AsyncIterator[list[Entry]]:
    for each in found:
        yield each
    raise AssertionError("the recording should have ended by now")


async def made(now_us: int, *found: list[Entry]) -> tuple[str, int]:
    writer = FrameWriter(io.BytesIO(), make_header(0))
    why = await making.record(
        entries(*found),
        writer,
        Selection(to_us=END_US),
        asyncio.Event(),
        lambda _: None,
        lambda: now_us,
    )
    return why, writer.close().ticks


async def test_a_recording_ends_where_its_time_is_over_and_no_tick_comes_to_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "STILL_S", 0.0)
    assert await made(END_US, [Tick(SECOND_US)], [], []) == (making.STOOD_STILL, 1)


async def test_a_recording_waits_for_the_tick_of_its_end_while_others_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "STILL_S", 60.0)
    late = END_US + 60 * SECOND_US
    assert await made(late, [Tick(SECOND_US)], [], [Tick(END_US)]) == ("", 2)


async def test_a_recording_whose_time_is_not_over_waits_through_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "STILL_S", 0.0)
    assert await made(END_US - 1, [], [], [Tick(END_US)]) == ("", 1)
