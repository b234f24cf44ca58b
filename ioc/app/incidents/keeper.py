"""What becomes of incidents by the passing of time: closed, escalated, off the shelf, opened again."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import Counter

from ioc.app.clock import now_us
from ioc.app.incidents.log_line import log_change
from ioc.app.retry import RETRYABLE
from ioc.incidents.effects import close_returned, escalate, unshelve_due
from ioc.incidents.policies import Policies
from ioc.incidents.proof import still_there
from ioc.model.incidents import Change
from ioc.model.times import SECOND_US, from_us
from ioc.store import incidents as rows
from ioc.store.pool import Pool

KEEPER_INTERVAL_S: Final = 5.0
KEEPER_BATCH: Final = 500

_log = structlog.get_logger()
_escalations = Counter("ioc_incident_escalations_total", "Escalation steps taken", ["level"])


class IncidentKeeper:
    """Closes what went away untouched, escalates what is due, ends shelving, opens what goes on."""

    def __init__(self, pool: Pool, close_after_s: int, policies: Callable[[], Policies] = Policies) -> None:
        self._pool = pool
        self._close_after_s = close_after_s
        self._policies = policies
        self._proved_to: tuple[datetime, str] | None = None

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep(now_us())
                await self.remind(now_us())
                await self.prove(now_us())
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

    async def prove(self, at_us: int) -> list[Change]:
        """Open again what goes on though it was resolved; one look takes `KEEPER_BATCH`, the next goes on."""
        policies = self._policies()
        async with self._pool.connection() as connection, connection.transaction():
            seen = await rows.read_going_on(connection, self._proved_to, KEEPER_BATCH)
            due = [incident.id for incident in seen if still_there(incident, policies, at_us)]
            known = await rows.read_for_update(connection, due)
            found = (still_there(incident, policies, at_us) for incident in known.values())
            changes = [change for change in found if change]
            await rows.write_changes(connection, changes)
        whole = len(seen) < KEEPER_BATCH
        last_us = None if whole else seen[-1].resolved_us
        self._proved_to = None if last_us is None else (from_us(last_us), seen[-1].id)
        for change in changes:
            log_change(change)
        return changes
