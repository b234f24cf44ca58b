"""The clock of an installation that relives a recording: it is told the time, and never reads it."""

import asyncio
from typing import Final

from ioc.app.clock import TICK_INTERVAL_US, TickLog
from ioc.ingest.ports import BodyRefused, Unavailable
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import HOUR_US, format_us

MAX_STEP_US: Final = HOUR_US
"""Most that time may pass at once: every second of it is a tick in every partition."""


class ToldClock:
    """Says the time that the sender of the recording told last, and ticks the seconds in between.

    What a ticker does by the wall clock happens here before a time is acknowledged. So the order of ticks and
    events in the log is the sender's own, and two equal recordings make two equal logs.
    """

    def __init__(self, log: TickLog, retryable: type[Exception]) -> None:
        self._log = log
        self._retryable = retryable
        self._now_us: int | None = None
        self._turn = asyncio.Lock()

    def __call__(self) -> int:
        """Return the time told last.

        Raises:
            Unavailable: none was told yet.
        """
        if self._now_us is None:
            raise Unavailable("clock")
        return self._now_us

    async def tell(self, now_us: int) -> int:
        """Let it be `now_us`, once the ticks up to then are durable; return how many those were.

        Raises:
            BodyRefused: it is before the time told last, or more than `MAX_STEP_US` after it.
            Unavailable: the log takes nothing now; tell the same time again.
        """
        async with self._turn:
            last_us = self._now_us
            if last_us is None:
                last_us = now_us - 1
            elif now_us < last_us:
                raise BodyRefused(400, "forward", f"it is {format_us(last_us)} already", "now")
            if now_us - last_us > MAX_STEP_US:
                detail = f"more than {MAX_STEP_US // HOUR_US} h after {format_us(last_us)}"
                raise BodyRefused(400, "max_step", detail, "now")
            first_us = last_us - last_us % TICK_INTERVAL_US + TICK_INTERVAL_US
            ticks = range(first_us, now_us + 1, TICK_INTERVAL_US)
            for tick_us in ticks:
                try:
                    await self._log.append_ticks(EVENTS_TOPIC, tick_us)
                except self._retryable as error:
                    raise Unavailable("log") from error
                self._now_us = tick_us
            self._now_us = now_us
            return len(ticks)
