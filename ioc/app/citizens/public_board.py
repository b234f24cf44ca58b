"""What everybody may see of citizens' reports: figures and rough places, computed at most once a minute."""

import asyncio
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Final

from ioc.api.citizen_ports import Board, BoardFigures, PublicPlace
from ioc.incidents.citizens import ReportStatus, status_of
from ioc.store import reports as rows
from ioc.store.row_scope import SERVICE, ScopedPool

DAYS: Final = 30
MAX_PLACES: Final = 2_000
FRESH_S: Final = 60.0
PLACE_DIGITS: Final = 3
"""Decimals of a degree that are told: about 110 metres, a street and not a house."""


class PublicBoard:
    """`ioc.api.citizen_ports.PublicBoard` over PostgreSQL."""

    def __init__(self, pool: ScopedPool) -> None:
        self._pool = pool.of(SERVICE)
        self._board: Board | None = None
        self._computed_s = float("-inf")
        self._turn = asyncio.Lock()

    async def board(self) -> Board:
        """Return the board; `at` says how old it is."""
        async with self._turn:
            if self._board is None or time.monotonic() - self._computed_s >= FRESH_S:
                self._board = await self._compute(datetime.now(UTC))
                self._computed_s = time.monotonic()
            return self._board

    async def _compute(self, now: datetime) -> Board:
        since = now - timedelta(days=DAYS)
        async with self._pool.connection() as connection:
            counted = await rows.read_board(connection, since)
            shown = await rows.read_public(connection, since, MAX_PLACES)
            votes, satisfied = await rows.read_satisfaction(connection, since)
        wards: dict[str | None, list[rows.BoardRow]] = defaultdict(list)
        services: dict[str, list[rows.BoardRow]] = defaultdict(list)
        for row in counted:
            wards[row.ward].append(row)
            services[row.category.partition(".")[2]].append(row)
        return Board(
            at=now,
            days=DAYS,
            all=_sum(counted),
            wards={ward: _sum(found) for ward, found in wards.items() if ward is not None},
            services={service: _sum(found) for service, found in services.items() if service},
            votes=votes,
            satisfied=satisfied,
            latest=[_place(report) for report in shown],
        )


def _sum(counted: list[rows.BoardRow]) -> BoardFigures:
    done = sum(row.done for row in counted)
    # The median of medians, weighed: exact medians of a few rows would tell of single reports.
    weighed = sorted((row.median_done_s, row.done) for row in counted if row.median_done_s is not None)
    median_s, seen = None, 0
    for value, weight in weighed:
        median_s, seen = value, seen + weight
        if 2 * seen >= done:
            break
    return BoardFigures(
        received=sum(row.received for row in counted),
        open=sum(row.open for row in counted),
        done=done,
        rejected=sum(row.rejected for row in counted),
        overdue=sum(row.overdue for row in counted),
        within_due=sum(row.within_due for row in counted),
        median_done_s=None if median_s is None else round(median_s),
    )


def _place(report: rows.PublicReport) -> PublicPlace:
    return PublicPlace(
        id=report.id,
        service=report.service,
        ward=report.ward,
        lon=None if report.lon is None else round(report.lon, PLACE_DIGITS),
        lat=None if report.lat is None else round(report.lat, PLACE_DIGITS),
        received=report.received,
        status=status_of(report.handling) if report.handling else ReportStatus.RECEIVED,
        reports=report.reports,
    )
