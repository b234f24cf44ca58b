"""What becomes of incidents by the passing of time: closed, escalated, taken off the shelf."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import Counter

from ioc.app.clock import now_us
from ioc.app.incident_log import log_change
from ioc.app.retry import RETRYABLE
from ioc.incidents.effects import close_returned, escalate, unshelve_due
from ioc.incidents.policies import Policies
from ioc.model.incidents import Change
from ioc.model.times import SECOND_US, from_us
from ioc.store import incidents as rows
from ioc.store.pool import Pool

KEEPER_INTERVAL_S: Final = 5.0
KEEPER_BATCH: Final = 500

_log = structlog.get_logger()
_escalations = Counter("ioc_incident_escalations_total", "Escalation steps taken", ["level"])


class IncidentKeeper:
    """Closes incidents that went away untouched, escalates what is due, ends shelving."""

    def __init__(self, pool: Pool, close_after_s: int, policies: Callable[[], Policies] = Policies) -> None:
        self._pool = pool
        self._close_after_s = close_after_s
        self._policies = policies

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep(now_us())
                await self.remind(now_us())
            except RETRYABLE as error:
                _log.warning("incident sweep failed, it will be tried again", error=str(error))
            await asyncio.sleep(KEEPER_INTERVAL_S)

    async def sweep(self, at_us: int) -> int:
        """Close what is due at `at_us`, at most `KEEPER_BATCH`, and return how many."""
        async with self._pool.connection() as connection, connection.transaction():
            before = from_us(at_us - self._close_after_s * SECOND_US)
            ids = await rows.read_returned(connection, before, KEEPER_BATCH)
            known = await rows.read_for_update(connection, ids)
            found = (
                close_returned(incident, now_us=at_us, after_s=self._close_after_s)
                for incident in known.values()
            )
            changes = [change for change in found if change]
            await rows.write_changes(connection, changes)
        for change in changes:
            log_change(change)
        return len(changes)

    async def remind(self, at_us: int) -> list[Change]:
        """Take the escalation steps due at `at_us` and end shelving; `KEEPER_BATCH` each at most.

        An incident comes off the shelf before it is escalated: both may be due at once.
        """
        changes: list[Change] = []
        async with self._pool.connection() as connection, connection.transaction():
            ids = await rows.read_due(connection, from_us(at_us), KEEPER_BATCH)
            for incident in (await rows.read_for_update(connection, ids)).values():
                back = unshelve_due(incident, at_us)
                step = escalate(back.incident if back else incident, self._policies(), at_us)
                changes += [change for change in (back, step) if change]
            await rows.write_changes(connection, changes)
        for change in changes:
            log_change(change)
            if change.audit.op == "escalate":
                _escalations.labels(str(change.audit.details["level"])).inc()
        return changes
