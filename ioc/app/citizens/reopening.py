"""Incidents that citizens open again: told of anew after they were resolved, or voted down.

What may open one is marked in the row that tells of it, in that row's transaction. The mark goes once the
matter is decided, so that a crash in between leaves it to the keeper (`ioc/app/citizens/report_keeper.py`).
"""

from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import Counter

from ioc.api.ports import Incidents
from ioc.incidents.citizens import may_reopen, resolution_of
from ioc.incidents.commands import Command, Conflict, Op, Refused
from ioc.incidents.policies import Policies
from ioc.model.incidents import Incident
from ioc.model.times import to_us
from ioc.store import reports as rows
from ioc.store.incidents import read_history, read_incident
from ioc.store.row_scope import SERVICE, Pool, acting_as
from ioc.stream.masking import mask_words

ACTOR: Final = "citizens"

_log = structlog.get_logger()
_reopened = Counter("ioc_citizen_reopened_total", "Incidents that citizens opened again", ["by"])


class Reopening:
    """Decides for one report or vote at a time; deciding twice changes nothing."""

    def __init__(self, pool: Pool, incidents: Incidents, policies: Callable[[], Policies]) -> None:
        """Read from `pool` as the service; `incidents` carries it out."""
        self._pool = pool
        self._incidents = incidents
        self._policies = policies

    async def after_report(self, report: rows.ReportRow) -> None:
        """Open the incident of a report again that was resolved before others told of the same."""
        async with self._pool.connection() as connection:
            standing = await rows.read_standing(connection, report.root)
        decided = standing is None or await self._decide(
            standing.acting, to_us(report.received), "report", "Người dân phản ánh vấn đề vẫn còn."
        )
        await self._done(report, decided)

    async def after_vote(self, vote: rows.Vote) -> None:
        """Open an incident again with whose result enough reporters are not satisfied."""
        async with self._pool.connection() as connection:
            incident = await read_incident(connection, vote.incident_id)
            unhappy = await rows.count_dissatisfied(connection, vote.incident_id, vote.resolution)
        decided = True
        if incident and unhappy >= self._policies().citizens.reopen_votes:
            said = f": {mask_words(vote.text)}" if vote.text else "."
            note = f"Người dân chưa hài lòng với kết quả{said}"[:1_000]
            decided = await self._decide(incident, to_us(vote.at), "vote", note, vote.resolution)
        await self._done(vote, decided)

    async def _decide(
        self, incident: Incident, at_us: int, by: str, note: str, resolution: int | None = None
    ) -> bool:
        """Open `incident` again if what was said at `at_us` does; False where it has just changed."""
        async with self._pool.connection() as connection:
            ended = resolution_of(await read_history(connection, incident.id))
        # What was resolved after it had been told of is not meant.
        if ended is None or ended[1] > at_us or resolution not in (None, ended[0]):
            return True
        if not may_reopen(incident, ended[1], at_us, self._policies().citizens):
            return True
        idem = f"{ACTOR}-{incident.id}-{incident.rev}"
        command = Command(op=Op.REOPEN, expect_rev=incident.rev, idem=idem, note=note)
        try:
            with acting_as(SERVICE):
                await self._incidents.command(incident.id, command, ACTOR)
        except Conflict:
            return False
        except Refused as error:
            # It was merged into another meanwhile.
            _log.info("an incident was not opened again", incident=incident.id, error=str(error))
        else:
            _reopened.labels(by).inc()
        return True

    async def _done(self, row: rows.ReportRow | rows.Vote, decided: bool) -> None:
        if not decided:
            return
        async with self._pool.connection() as connection:
            await rows.mark_looked_at(connection, row)
