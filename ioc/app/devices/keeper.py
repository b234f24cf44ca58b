"""Writes down how devices fare: what this process counted, added to what the others did.

What a crash loses is less than `ingest.health_s` of counts: health is for people and alarms, nothing is
decided by it about events.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Gauge

from ioc.app.directory import Directory
from ioc.app.retry import RETRYABLE
from ioc.ingest.device_counts import DeviceCounter, DeviceTally
from ioc.ingest.error_budget import ErrorBudgets
from ioc.ingest.ports import Unavailable
from ioc.model.device_health import Condition, condition
from ioc.model.places import DeviceKind
from ioc.store.device_health import DeviceCounts, add_counts, forget_minutes, read_health
from ioc.store.pool import Pool

LOOK_ROUNDS: Final = 4
"""The devices' conditions are counted every so many rounds."""

_log = structlog.get_logger()
_devices = Gauge("ioc_devices", "Registered devices by kind and condition", ["kind", "condition"])
_uncounted = Gauge("ioc_ingest_uncounted_devices", "Events of devices beyond those whose health is counted")


class DeviceKeeper:
    """One in each process that takes events."""

    def __init__(
        self,
        pool: Pool,
        counter: DeviceCounter,
        budgets: ErrorBudgets,
        directory: Directory,
        clock: Callable[[], int],
        interval_s: float,
    ) -> None:
        self._pool = pool
        self._counter = counter
        self._budgets = budgets
        self._directory = directory
        self._clock = clock
        self._interval_s = interval_s

    async def run(self) -> None:
        """Write until cancelled; what could not be written waits for the next time."""
        rounds = 0
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.write()
                if rounds % LOOK_ROUNDS == 0:
                    await self.look()
                rounds += 1
            except Unavailable:
                # An installation that relives a recording has not been told the time yet, or never is, where
                # the recording goes straight into its log.
                continue
            except RETRYABLE as error:
                _log.warning("device health was not written, it will be tried again", error=str(error))

    async def write(self) -> None:
        """Add what was counted since the last time to what is known."""
        now_us = self._clock()
        tallies = self._counter.take()
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await add_counts(connection, self._counts(tallies, now_us), now_us)
                await forget_minutes(connection, now_us)
        except Exception:
            self._counter.give_back(tallies)
            raise
        _uncounted.set(self._counter.uncounted)

    def _counts(self, tallies: Sequence[DeviceTally], now_us: int) -> list[DeviceCounts]:
        # One that keeps still until its time has come is throttled all the same.
        throttled = {device for device in self._budgets.throttled if self._budgets.hold_s(device, now_us)}
        silent = throttled - {tally.device_id for tally in tallies}
        counts = [
            DeviceCounts(
                device_id=tally.device_id,
                seen_us=tally.seen_us,
                event_us=tally.event_us,
                events=tally.events,
                refused=tally.refused,
                refusal=tally.refusal,
                refused_us=tally.refused_us,
                positions=tally.positions,
                backward=tally.backward,
                repeated=tally.repeated,
                skew_us=tally.skew_us,
                samples=len(tally.skews_us),
                throttled_us=now_us if tally.device_id in self._budgets.throttled else None,
            )
            for tally in tallies
        ]
        return counts + [
            DeviceCounts(device_id=device, seen_us=0, throttled_us=now_us) for device in sorted(silent)
        ]

    async def look(self) -> None:
        """Count the devices by condition, for the metrics."""
        now_us = self._clock()
        async with self._pool.connection() as connection:
            health = await read_health(connection, now_us)
        found = Counter(
            (
                device.kind,
                condition(
                    device,
                    health.get(device.id),
                    now_us,
                    away=self._directory.away(device.id, now_us),
                    disabled=self._directory.registry.disabled(device.id),
                ),
            )
            for device in self._directory.devices
        )
        for kind in DeviceKind:
            for each in Condition:
                _devices.labels(kind.value, each.value).set(found[kind, each])
