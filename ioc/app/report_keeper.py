"""Sees to it that the log hears of every report and vote, whatever happened between row and append."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import Gauge

from ioc.app.report_events import Log, append_events, event_of, event_of_vote
from ioc.app.retry import with_retry
from ioc.incidents.policies import Policies
from ioc.store import reports as rows
from ioc.store.pool import Pool

INTERVAL_S: Final = 2.0
BATCH: Final = 100
GRACE: Final = timedelta(seconds=5)
"""Whoever took a report appends it at once; the keeper does not race with that."""

_waiting = Gauge("ioc_citizen_reports_waiting", "Reports and votes that the log had not at the last look")


class ReportKeeper:
    """Appends what is missing, the oldest first; several processes share the work by locks on the rows."""

    def __init__(self, pool: Pool, log: Log, policies: Callable[[], Policies]) -> None:
        self._pool = pool
        self._log = log
        self._policies = policies

    async def run(self) -> None:
        """Look every `INTERVAL_S` until cancelled."""
        await with_retry("reports", self._keep)

    async def _keep(self) -> None:
        while True:
            while await self.step(datetime.now(UTC)) == BATCH:
                pass
            await asyncio.sleep(INTERVAL_S)

    async def step(self, now: datetime) -> int:
        """Append one batch and return how many rows it was. Raises `LogError`."""
        policy = self._policies().citizens
        async with self._pool.connection() as connection, connection.transaction():
            reports = await rows.read_waiting(connection, now - GRACE, BATCH)
            votes = await rows.read_waiting_votes(connection, now - GRACE, BATCH)
            known = [(vote, await rows.read_report(connection, vote.report_id)) for vote in votes]
            _waiting.set(len(reports) + len(votes))
            events = [event_of(report, policy) for report in reports]
            events += [event_of_vote(vote, report) for vote, report in known if report]
            if not events:
                return 0
            await append_events(self._log, events)
            await rows.mark_appended(connection, reports)
            await rows.mark_votes_appended(connection, votes)
        return max(len(reports), len(votes))
