"""Recordings made: from the log, and from one another."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from ioc.app.clock import now_us as clock_now_us
from ioc.app.recordings.entries import Entry
from ioc.app.recordings.files import Reader, Writer
from ioc.app.recordings.frames import Footer
from ioc.app.recordings.selection import Selection

FLUSH_S: Final = 10.0
"""What a live recording loses at most to a power cut."""
STILL_S: Final = 10.0
"""Nothing for so long once the time is over by our clock: nobody keeps the log's, no tick will end it."""
STOPPED: Final = "stopped"
STOOD_STILL: Final = "the log's clock stood still"


async def record(
    entries: AsyncIterator[list[Entry]],
    writer: Writer,
    selection: Selection,
    stop: asyncio.Event,
    tell: Callable[[int], None],
    now_us: Callable[[], int] = clock_now_us,
) -> str:
    """Write what is wanted of `entries` until they end, the time is over, or `stop` is set; return why.

    What waits for the footer is written by the caller, who knows what was lost.
    """
    flushed_s = came_s = time.monotonic()
    async for found in entries:
        came_s = time.monotonic() if found else came_s
        wanted = [entry for entry in found if selection.in_time(entry) and selection.wants(entry)]
        await asyncio.to_thread(writer.write, wanted)
        if time.monotonic() - flushed_s > FLUSH_S:
            flushed_s = time.monotonic()
            await asyncio.to_thread(writer.flush)
        tell(writer.events)
        if _is_over(found, selection):
            return ""
        if stop.is_set():
            return STOPPED
        over = selection.to_us is not None and now_us() >= selection.to_us
        if over and time.monotonic() - came_s > STILL_S:
            return STOOD_STILL
    return ""


def rewrite(
    reader: Reader,
    writer: Writer,
    selection: Selection,
    change: Callable[[Entry], Entry],
    tell: Callable[[int], None],
) -> Footer:
    """Write what is wanted of one recording, changed, into another, and return its footer."""
    for found in reader.entries():
        writer.write([change(e) for e in found if selection.in_time(e) and selection.wants(e)])
        tell(reader.position)
        if _is_over(found, selection):
            return writer.close()
    before = reader.footer
    return writer.close(
        lost=before.lost if before else 0, ended=reader.cut_off or (before.ended if before else "")
    )


def _is_over(found: list[Entry], selection: Selection) -> bool:
    return any(selection.is_over(entry) for entry in found)
