"""Waking any number of waiting readers without losing a wake-up."""

import asyncio


class Wakeup:
    """Take a ticket, look for work, and only then wait on the ticket: what happens in between still wakes."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Return what the next `wake` will set."""
        return self._event

    def wake(self) -> None:
        """Wake everybody who holds the present ticket."""
        self._event.set()
        self._event = asyncio.Event()


async def happened(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait up to `timeout_s` seconds and return whether `event` was set."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
