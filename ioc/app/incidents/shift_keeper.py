"""Keeps the list of a hand-over up to date while one is under way."""

import asyncio
from typing import Final

import structlog

from ioc.app.incidents.shift_service import ShiftService
from ioc.app.retry import RETRYABLE

SHIFT_INTERVAL_S: Final = 2.0

_log = structlog.get_logger()


class ShiftKeeper:
    """Adds what arises during a hand-over to its list."""

    def __init__(self, shifts: ShiftService) -> None:
        self._shifts = shifts

    async def run(self) -> None:
        """Keep it until cancelled."""
        while True:
            try:
                await self._shifts.sync()
            except RETRYABLE as error:
                _log.warning("the hand-over's list waits for the database", error=str(error))
            await asyncio.sleep(SHIFT_INTERVAL_S)
