"""The other side of the counter: people of centre and ward see what citizens told, and answer them."""

from datetime import UTC, datetime
from typing import Any, Final

from psycopg import AsyncConnection

from ioc.api.citizen_ports import FollowedAnswer, ReportInfo, UnfitReportError
from ioc.api.ports import NotFoundError
from ioc.app.personal import record_look
from ioc.app.sealing import Seal
from ioc.store import reports as rows
from ioc.store.photos import leave_incident
from ioc.store.row_scope import SERVICE, ScopedPool
from ioc.store.users import Person
from ioc.stream.masking import MASK, mask_words

MAX_REPORTS_SHOWN: Final = 200
"""Of one incident, the earliest first."""
MAX_ANSWERED: Final = 10_000
"""Reporters of one incident that one answer reaches."""


class ReportDesk:
    """`ioc.api.citizen_ports.Reports` over PostgreSQL: each sees the reports of their own wards."""

    def __init__(self, pool: ScopedPool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal

    async def of_incident(self, incident_id: str) -> list[ReportInfo]:
        """Return the reports of an incident that the person being served may see."""
        async with self._pool.connection() as connection:
            reports = await rows.read_of_incident(connection, incident_id, MAX_REPORTS_SHOWN)
            ids = [report.id for report in reports]
            answers = await rows.read_answers(connection, ids)
            votes = await rows.read_votes(connection, ids)
        return [
            ReportInfo(
                id=report.id,
                root=report.root,
                service=report.service,
                text=mask_words(report.text),
                address=None if report.address is None else mask_words(report.address),
                lon=report.lon,
                lat=report.lat,
                placed_by=report.placed_by,
                place_confidence=report.place_confidence,
                channel=report.channel,
                received=report.received,
                contact=MASK if report.contact else None,
                photos=report.photos,
                media_url=report.media_url,
                answers=[
                    FollowedAnswer(at=each.at, text=each.text)
                    for each in answers
                    if each.report_id == report.id
                ],
                satisfied=next((v.satisfied for v in reversed(votes) if v.report_id == report.id), None),
            )
            for report in reports
        ]

    async def answer(
        self, report_id: str, text: str, *, everybody: bool, author: str, idem: str | None
    ) -> int:
        """Answer one reporter, or all of the same incident; return how many."""
        key = None if idem is None else f"{author}:{idem}"
        async with self._pool.connection() as connection, connection.transaction():
            report = await self._known(connection, report_id)
            if key and (count := await _answered(connection, report_id, text, key)):
                return count
            ids = [report.id]
            standing = await rows.read_standing(connection, report.root) if everybody else None
            if standing:
                ids = await rows.ids_of_incident(connection, standing.acting.id, MAX_ANSWERED)
            count = await rows.add_answers(connection, ids, datetime.now(UTC), text, author, key)
            if not count and key:
                # The same was sent twice at once, and the other was faster.
                count = await _answered(connection, report_id, text, key)
        return count

    async def separate(self, report_id: str) -> None:
        """Let a report that was taken for the same as another stand for itself.

        The keeper tells the log within seconds, and the rule raises an incident of its own.
        """
        async with self._pool.connection() as connection:
            await self._known(connection, report_id)
        # Until its incident is there no ward sees the report, not even the one that asks for this.
        async with self._pool.of(SERVICE).connection() as connection, connection.transaction():
            await rows.lead_itself(connection, report_id)
            await leave_incident(connection, report_id)

    async def contact(self, report_id: str, person: Person, reason: str) -> str | None:
        """Return how to reach a reporter; the look is recorded first."""
        async with self._pool.connection() as connection:
            report = await self._known(connection, report_id)
        async with self._pool.of(SERVICE).connection() as connection:
            await record_look(connection, person, "reporter_unmasked", report_id, reason)
        return self._seal.open(report.contact) if report.contact else None

    async def _known(self, connection: AsyncConnection[Any], report_id: str) -> rows.ReportRow:
        report = await rows.read_report(connection, report_id)
        if report is None:
            raise NotFoundError(report_id)
        return report


async def _answered(connection: AsyncConnection[Any], report_id: str, text: str, key: str) -> int:
    """Return how many were answered under `key` before. Raises `UnfitReportError`."""
    before = await rows.answered_under(connection, report_id, key)
    if before is None:
        return 0
    if before[0] != text:
        raise UnfitReportError("idem", "idem_reused", "this key was used for another answer")
    return before[1]
