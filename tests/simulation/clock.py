"""The time that every part reads: it moves when the schedule says so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from unittest.mock import patch

from ioc.model.times import SECOND_US, parse_us

START_US: Final = parse_us("2026-11-23T07:00:00+07:00")
_MODULES: Final = (
    "ioc.app.clock",
    "ioc.app.rules.partition",
    "ioc.app.rules.worker",
    "ioc.app.store_worker",
    "ioc.eventlog.append_queue",
)
"""Those on the way of an event that read a clock."""


class Clock:
    """A wall clock that can jump, and an uptime that cannot; takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now_us = START_US
        self.newest_us = START_US
        """The latest that the wall clock has ever shown."""
        self._uptime_us = 0

    def __call__(self) -> int:
        """Return the wall clock in microseconds."""
        return self.now_us

    def pass_time(self, span_us: int) -> None:
        """Let time pass."""
        self.now_us += span_us
        self.newest_us = max(self.newest_us, self.now_us)
        self._uptime_us += span_us

    def jump(self, span_us: int) -> None:
        """Set the wall clock forwards or back."""
        self.now_us += span_us
        self.newest_us = max(self.newest_us, self.now_us)

    def time(self) -> float:
        """As `time.time`."""
        return self.now_us / SECOND_US

    def time_ns(self) -> int:
        """As `time.time_ns`."""
        return self.now_us * 1000

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self._uptime_us / SECOND_US

    perf_counter = monotonic

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Be the clock of the service; and who waits for the database to come back, waits no time."""
        with ExitStack() as stack:
            for module in _MODULES:
                stack.enter_context(patch(f"{module}.time", self))
            stack.enter_context(patch("ioc.app.retry.FIRST_WAIT_S", 0.0))
            yield
