"""Finishes what a crash or a log that is away left undone between a citizen's word and what follows.

    read what waits ─► append ─► note that the log has it

Each is a transaction or call of its own, so that a slow log holds no connection and no lock. A crash in
between, or another process at the same work, offers an event again under its id: the log knows it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge

from ioc.app.citizens.reopening import Reopening
from ioc.app.citizens.report_events import Log, append_events, event_of, event_of_vote
from ioc.app.retry import with_retry
from ioc.eventlog.port import LogRejected
from ioc.incidents.policies import Policies
from ioc.model.events import Event, encode_event
from ioc.model.times import to_us
from ioc.store import reports as rows
from ioc.store.pool import Pool
from ioc.store.quarantine import NewQuarantined, Quarantine

INTERVAL_S: Final = 2.0
BATCH: Final = 100
GRACE: Final = timedelta(seconds=5)
"""Whoever took a report finishes it at once; the keeper does not race with that."""
AGAIN: Final = timedelta(minutes=10)
"""What the log refused for good is offered again: a right or a setting may have been at fault."""

_log = structlog.get_logger()
_waiting = Gauge("ioc_citizen_reports_waiting", "Reports and votes that the log had not at the last look")
_refused = Counter("ioc_citizen_refused_by_log_total", "Reports and votes that the log refused for good")


class _Told(NamedTuple):
    """A report or vote and the event that tells of it."""

    row: rows.ReportRow | rows.Vote
    event: Event


class ReportKeeper:
    """Looks for what is undone, the oldest first."""

    def __init__(
        self,
        pool: Pool,
        log: Log,
        policies: Callable[[], Policies],
        reopening: Reopening,
        quarantine: Quarantine,
    ) -> None:
        self._pool = pool
        self._log = log
        self._policies = policies
        self._reopening = reopening
        self._quarantine = quarantine

    async def run(self) -> None:
        """Look every `INTERVAL_S` until cancelled."""
        await with_retry("reports", self._keep)

    async def _keep(self) -> None:
        while True:
            while await self.step(datetime.now(UTC)) == BATCH:
                pass
            await self.reopen(datetime.now(UTC))
            await asyncio.sleep(INTERVAL_S)

    async def step(self, now: datetime) -> int:
        """Append one batch and return how many rows it was. Raises `LogRetryable`."""
        policy = self._policies().citizens
        async with self._pool.connection() as connection:
            reports = await rows.read_waiting(connection, now - GRACE, now - AGAIN, BATCH)
            votes = await rows.read_waiting_votes(connection, now - GRACE, now - AGAIN, BATCH)
            known = [(vote, await rows.read_report(connection, vote.report_id)) for vote in votes]
        _waiting.set(len(reports) + len(votes))
        told = [_Told(report, event_of(report, policy)) for report in reports]
        told += [_Told(vote, event_of_vote(vote, report)) for vote, report in known if report]
        await self._append(told, now)
        return max(len(reports), len(votes))

    async def _append(self, told: Sequence[_Told], now: datetime) -> None:
        """Append what the log takes, halving what it refuses until the culprits stand alone."""
        if not told:
            return
        try:
            await append_events(self._log, [each.event for each in told])
        except LogRejected as error:
            if len(told) == 1:
                await self._set_aside(told[0], now, error)
                return
            middle = len(told) // 2
            await self._append(told[:middle], now)
            await self._append(told[middle:], now)
            return
        async with self._pool.connection() as connection:
            await rows.mark_appended(connection, [t.row for t in told if isinstance(t.row, rows.ReportRow)])
            await rows.mark_votes_appended(connection, [t.row for t in told if isinstance(t.row, rows.Vote)])

    async def _set_aside(self, told: _Told, now: datetime, error: LogRejected) -> None:
        """Note that the log refuses it; the first to note so puts it into quarantine."""
        poison = NewQuarantined(
            received_us=to_us(now),
            reason="poison",
            raw=encode_event(told.event),
            detail=str(error),
            source=told.event.source,
            event_id=told.event.id,
        )
        async with self._pool.connection() as connection:
            if not await rows.mark_refused(connection, told.row, now) or told.row.refused is not None:
                return
            await self._quarantine.add(connection, [poison])
        _refused.inc()
        _log.error("the log refuses what a citizen told", event_id=told.event.id, error=str(error))

    async def reopen(self, now: datetime) -> None:
        """Decide what a crash left undecided: whether reports and votes open their incidents again."""
        async with self._pool.connection() as connection:
            reports = await rows.read_reopening(connection, now - GRACE, BATCH)
            votes = await rows.read_reopening_votes(connection, now - GRACE, BATCH)
        for report in reports:
            await self._reopening.after_report(report)
        for vote in votes:
            await self._reopening.after_vote(vote)
