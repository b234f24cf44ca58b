"""What personal data is kept for what, how long, and what then becomes of it.

    purpose      what                               kept                      then
    log          every event as it came             log.retention_s           deleted (`ioc/eventlog`)
    plates       plates in camera history           privacy.plate_s           a keyed token in their place
    camera       camera history                     30 days at most           deleted (`ioc/store`)
    contacts     who sent a report, its words       privacy.contact_s         forgotten; words masked
    reporters    the same at the citizens' counter  privacy.contact_s         forgotten; words masked
    incidents    texts of finished incidents        privacy.incident_text_s   masked, so are history's notes
    photos       pictures of finished incidents     privacy.photo_s           deleted
    unclaimed    pictures nothing refers to         …unclaimed_photo_s        deleted
    quarantine   refused messages as they came      privacy.quarantine_s      deleted
    audit        who did or saw what                always                    the law asks for 12 months

Faces are in live camera pictures only, which are passed on and never stored. Jobs run every hour and tell the
audit log what they changed. A person's request to erase is answered within 2 working days and done within 15
days (Decree 356/2025); `ioc erasure` keeps the deadlines.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection

from ioc.app.retry import RETRYABLE
from ioc.app.settings.sections import PrivacySettings
from ioc.incidents.calendar import WorkingCalendar
from ioc.model.times import CITY_ZONE
from ioc.store import audit, photos
from ioc.store import privacy as rows
from ioc.store.pool import Pool
from ioc.store.reports import forget_reporters
from ioc.stream.masking import mask_text, mask_words

ANSWER_WORKING_DAYS: Final = 2
DONE_DAYS: Final = 15
INTERVAL_S: Final = 3_600.0
MAX_SLICES: Final = 200
"""Slices of one job in one round; what is left waits for the next."""
_FIRST_S: Final = 30.0
_KEY_BYTES: Final = 32

_log = structlog.get_logger()
_changed = Counter("ioc_retention_changed_total", "Rows that retention masked or deleted", ["purpose"])
_overdue = Gauge("ioc_privacy_requests_overdue", "Requests about personal data past a legal deadline")

Job = Callable[[AsyncConnection[Any], datetime], Awaitable[int]]


class PrivacyKeyError(ValueError):
    """The key of plates' tokens cannot be used; with another one old plates would match no more."""


def read_key(path: Path) -> bytes:
    """Return a key of this installation; make one at the first use, readable by its owner only.

    Raises:
        PrivacyKeyError: the file does not hold a key.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise PrivacyKeyError(f"{path}: expected the {_KEY_BYTES} bytes of a key: restore it from a backup")
    return key


def _make_key(path: Path) -> None:
    """Put a whole key into place at once; where another process was first, its key stays."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # for its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def answer_due(
    received: datetime, calendar: WorkingCalendar, working_days: int = ANSWER_WORKING_DAYS
) -> datetime:
    """Return the end of the last working day for an answer; the day on which it came does not count."""
    day = received.astimezone(CITY_ZONE).date()
    while working_days:
        day += timedelta(days=1)
        if calendar.is_working_day(day):
            working_days -= 1
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=CITY_ZONE)


class Retention:
    """Carries out every purpose's job."""

    def __init__(self, pool: Pool, settings: PrivacySettings, key: bytes) -> None:
        self._pool = pool
        self.kept: dict[str, timedelta] = {
            "plates": timedelta(seconds=settings.plate_s),
            "contacts": timedelta(seconds=settings.contact_s),
            "reporters": timedelta(seconds=settings.contact_s),
            "incidents": timedelta(seconds=settings.incident_text_s),
            "photos": timedelta(seconds=settings.photo_s),
            "unclaimed": timedelta(seconds=settings.unclaimed_photo_s),
            "quarantine": timedelta(seconds=settings.quarantine_s),
        }
        self._jobs: dict[str, Job] = {
            "plates": lambda connection, before: rows.hide_plates(connection, key, before),
            "contacts": lambda connection, before: rows.forget_contacts(connection, mask_words, before),
            "reporters": lambda connection, before: forget_reporters(connection, mask_words, before),
            "incidents": lambda connection, before: rows.mask_finished(connection, mask_text, before),
            "photos": photos.forget_old,
            "unclaimed": photos.forget_unclaimed,
            "quarantine": rows.forget_quarantined,
        }

    async def run(self) -> None:
        """Make a round every hour until cancelled."""
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                await self.round(datetime.now(UTC))
                await self._count_overdue(datetime.now(UTC))
            except RETRYABLE as error:
                _log.warning("retention waits for the database", error=str(error))
            await asyncio.sleep(INTERVAL_S)

    async def round(self, now: datetime) -> dict[str, int]:
        """Do what is due at `now`, at most `MAX_SLICES` slices of each; return what changed, by purpose."""
        changed = {purpose: await self._work(purpose, now) for purpose in self._jobs}
        async with self._pool.connection() as connection:
            for purpose, count in changed.items():
                await rows.note_run(connection, purpose, now, count)
            if any(changed.values()):
                await audit.record(
                    connection,
                    audit.Area.RETENTION,
                    actor="retention",
                    op="retention_run",
                    subject="all",
                    details={purpose: count for purpose, count in changed.items() if count},
                )
        return changed

    async def _work(self, purpose: str, now: datetime) -> int:
        total = 0
        for _ in range(MAX_SLICES):
            async with self._pool.connection() as connection:
                done = await self._jobs[purpose](connection, now - self.kept[purpose])
            if not done:
                break
            total += done
            _changed.labels(purpose).inc(done)
        return total

    async def report(self, now: datetime) -> list[dict[str, object]]:
        """Return per purpose how long it is kept, the oldest there is, what is overdue, and the last run."""
        async with self._pool.connection() as connection:
            runs = await rows.last_runs(connection)
            found: list[dict[str, object]] = []
            for purpose, kept in self.kept.items():
                oldest, overdue = await rows.standing(connection, purpose, now - kept)
                ran = runs.get(purpose)
                found.append(
                    {
                        "purpose": purpose,
                        "kept_days": kept / timedelta(days=1),
                        "oldest": oldest.isoformat() if oldest else None,
                        "ends": (oldest + kept).isoformat() if oldest else None,
                        "overdue": overdue,
                        "last_run": ran[0].isoformat() if ran else None,
                        "changed_then": ran[1] if ran else None,
                    }
                )
        return found

    async def _count_overdue(self, now: datetime) -> None:
        async with self._pool.connection() as connection:
            pending = await rows.list_requests(connection, open_only=True)
        late = [r for r in pending if r.done_due < now or (r.answered is None and r.answer_due < now)]
        _overdue.set(len(late))
        if late:
            _log.error(
                "requests about personal data are past a legal deadline", requests=[r.id for r in late]
            )
