"""Citizens' reports in PostgreSQL: what was told, by whom it can be followed, answers and votes.

Everything that writes takes a connection, so that the caller decides what shares its transaction.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

from ioc.model.incidents import OPEN_HANDLINGS, Incident
from ioc.store.incidents import read_incident

RULE: Final = "citizen-report"
"""The rule that raises an incident for each leading report."""
SOURCE: Final = "citizens"
"""Source of the events of our own intake; no device can have it, since ids of devices are registered."""
MAX_EARLIER: Final = 300
"""Earlier reports compared with a new one, the latest first."""

_COLUMNS: Final[LiteralString] = (
    "id, root, service, text, address, lon, lat, ward, channel, partner, language, contact, photos, received,"
    " appended, digest, forgotten, separated, media_url, reopen_due, refused, placed_by, place_confidence"
)
_SELECT: Final[LiteralString] = "SELECT " + _COLUMNS + " FROM citizen_report"  # noqa: S608 - names of ours
_VOTES: Final[LiteralString] = (
    "SELECT report_id, incident_id, resolution, satisfied, text, at, reopen_due, refused FROM citizen_vote"
)
OF_INCIDENT: Final[LiteralString] = """
    WHERE root = ANY (ARRAY(SELECT split_part(key, '|', 2) FROM incident
                            WHERE rule = 'citizen-report' AND (id = %(id)s OR merged_into = %(id)s)))
    ORDER BY received, id LIMIT %(limit)s
"""
"""An array, so that the index on `root` is asked first, and who may see a row only of the rows found."""


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One report. Positions in degrees; `contact` is sealed."""

    id: str
    root: str
    service: str
    text: str
    channel: str
    received: datetime
    digest: bytes
    address: str | None = None
    lon: float | None = None
    lat: float | None = None
    ward: str | None = None
    partner: str | None = None
    language: str = "vi"
    contact: bytes | None = None
    photos: list[str] = []
    appended: datetime | None = None
    forgotten: bool = False
    separated: bool = False
    """Taken for the same as another at first, and told to the log anew since."""
    media_url: str | None = None
    reopen_due: bool = False
    """It joined another, and whether that opens its incident again has still to be looked at."""
    refused: datetime | None = None
    """When the log last refused it for good."""
    placed_by: str | None = None
    """How its address gave its place (`ioc/geo/gazetteer.py`); None where its author did, or nobody could."""
    place_confidence: float | None = None


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """A reporter's verdict on one resolution."""

    report_id: str
    incident_id: str
    resolution: int
    satisfied: bool
    at: datetime
    text: str | None = None
    reopen_due: bool = False
    refused: datetime | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody answered one reporter."""

    report_id: str
    at: datetime
    text: str
    author: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The incident of a report: its own, and the one that stands for it where it was merged."""

    own: Incident
    head: Incident | None

    @property
    def acting(self) -> Incident:
        """The incident that people act on."""
        return self.head or self.own


def incident_key(root: str) -> str:
    """Return the key of the incident of a leading report: source and subject, as the rule joins them."""
    return f"{SOURCE}|{root}"


async def add_report(
    connection: AsyncConnection[Any],
    report: ReportRow,
    *,
    code_hash: bytes,
    contact_hash: bytes | None,
    idem: str | None,
) -> bool:
    """Store a report; False where its idempotency key is taken."""
    done = await connection.execute(
        "INSERT INTO citizen_report (id, root, service, text, address, lon, lat, ward, channel, partner,"
        " language, contact, photos, media_url, received, digest, code_hash, contact_hash, idem, reopen_due,"
        " placed_by, place_confidence)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (idem) DO NOTHING",
        (
            report.id, report.root, report.service, report.text, report.address, report.lon, report.lat,
            report.ward, report.channel, report.partner, report.language, report.contact, report.photos,
            report.media_url, report.received, report.digest, code_hash, contact_hash, idem,
            report.reopen_due, report.placed_by, report.place_confidence,
        ),
    )  # fmt: skip
    return done.rowcount == 1


async def _one(connection: AsyncConnection[Any], where: LiteralString, value: object) -> ReportRow | None:
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(_SELECT + " WHERE " + where, (value,))
        return await cursor.fetchone()


async def read_report(connection: AsyncConnection[Any], report_id: str) -> ReportRow | None:
    """Return one report."""
    return await _one(connection, "id = %s", report_id)


async def read_by_code(connection: AsyncConnection[Any], code_hash: bytes) -> ReportRow | None:
    """Return the report that a tracking code follows."""
    return await _one(connection, "code_hash = %s", code_hash)


async def read_by_idem(connection: AsyncConnection[Any], idem: str) -> ReportRow | None:
    """Return the report that was sent under an idempotency key."""
    return await _one(connection, "idem = %s", idem)


async def renew_code(connection: AsyncConnection[Any], report_id: str, code_hash: bytes) -> None:
    """Give a report another tracking code: a repeat of its sending never heard the first."""
    await connection.execute("UPDATE citizen_report SET code_hash = %s WHERE id = %s", (code_hash, report_id))


async def lock_root(connection: AsyncConnection[Any], root: str) -> None:
    """Hold off, until the transaction ends, whatever raises or changes the incident of a leading report."""
    await connection.execute("SELECT ioc_lock_root(%s)", (root,))


async def lock_contact(connection: AsyncConnection[Any], contact_hash: bytes) -> None:
    """Hold off, until the transaction ends, others who count the reports of a contact."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtext('citizen_contact'), hashtext(%s))", (contact_hash.hex(),)
    )


async def count_of_contact(connection: AsyncConnection[Any], contact_hash: bytes, since: datetime) -> int:
    """Return how many reports one contact has sent since `since`."""
    found = await connection.execute(
        "SELECT count(*) FROM citizen_report WHERE contact_hash = %s AND received >= %s",
        (contact_hash, since),
    )
    row = await found.fetchone()
    return row[0] if row else 0


async def read_earlier(
    connection: AsyncConnection[Any],
    service: str,
    since: datetime,
    *,
    box: tuple[float, float, float, float] | None,
    with_address: bool,
) -> list[ReportRow]:
    """Return reports of a service since `since` in a box (west, south, east, north), or with an address."""
    west, south, east, north = box or (None, None, None, None)
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE service = %s AND received >= %s AND NOT forgotten"
            " AND ((lon BETWEEN %s AND %s AND lat BETWEEN %s AND %s) OR (%s AND address IS NOT NULL))"
            " ORDER BY received DESC LIMIT %s",
            (service, since, west, east, south, north, with_address, MAX_EARLIER),
        )
        return await cursor.fetchall()


async def read_standing(connection: AsyncConnection[Any], root: str) -> Standing | None:
    """Return the incident of a leading report, None while its rule has not seen it."""
    found = await connection.execute(
        "SELECT id, merged_into FROM incident WHERE rule = 'citizen-report' AND key = %s"
        " ORDER BY opened DESC LIMIT 1",
        (incident_key(root),),
    )
    row = await found.fetchone()
    own = await read_incident(connection, row[0]) if row else None
    if row is None or own is None:
        return None
    return Standing(own=own, head=await read_incident(connection, row[1]) if row[1] else None)


async def read_of_incident(connection: AsyncConnection[Any], incident_id: str, limit: int) -> list[ReportRow]:
    """Return the reports of an incident and of what is merged into it, the earliest first."""
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(
            _SELECT + OF_INCIDENT,
            {"id": incident_id, "limit": limit},
        )
        return await cursor.fetchall()


async def ids_of_incident(connection: AsyncConnection[Any], incident_id: str, limit: int) -> list[str]:
    """Return the numbers of the reports of an incident and of what is merged into it, the earliest first."""
    asked: LiteralString = "SELECT id FROM citizen_report" + OF_INCIDENT  # noqa: S608 - a text of ours
    found = await connection.execute(asked, {"id": incident_id, "limit": limit})
    return [report_id async for (report_id,) in found]


# between the row and the log --------------------------------------------------------------------------------


async def read_waiting(
    connection: AsyncConnection[Any], before: datetime, again: datetime, limit: int
) -> list[ReportRow]:
    """Return reports from before `before` that the log has not, the oldest first.

    What it refused for good is among them where that was before `again`.
    """
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE appended IS NULL AND received < %s AND (refused IS NULL OR refused < %s)"
            " ORDER BY received LIMIT %s",
            (before, again, limit),
        )
        return await cursor.fetchall()


async def mark_refused(connection: AsyncConnection[Any], row: ReportRow | Vote, at: datetime) -> bool:
    """Note that the log refuses the event of a report or vote for good.

    False where somebody noted so since the row was read.
    """
    if isinstance(row, ReportRow):
        done = await connection.execute(
            "UPDATE citizen_report SET refused = %s WHERE id = %s AND refused IS NOT DISTINCT FROM %s",
            (at, row.id, row.refused),
        )
    else:
        done = await connection.execute(
            "UPDATE citizen_vote SET refused = %s WHERE report_id = %s AND incident_id = %s"
            " AND resolution = %s AND refused IS NOT DISTINCT FROM %s",
            (at, row.report_id, row.incident_id, row.resolution, row.refused),
        )
    return done.rowcount == 1


async def mark_appended(connection: AsyncConnection[Any], reports: Sequence[ReportRow]) -> None:
    """Note that the log has these reports as they were read; one taken apart since is told to it anew."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE citizen_report SET appended = now()"
            " WHERE id = %s AND separated = %s AND appended IS NULL",
            [(report.id, report.separated) for report in reports],
        )


async def lead_itself(connection: AsyncConnection[Any], report_id: str) -> None:
    """Take a report out of the group it was put into; the log is told again."""
    await connection.execute(
        "UPDATE citizen_report SET root = id, appended = NULL, separated = true, finished = false,"
        " reopen_due = false WHERE id = %s AND root <> id",
        (report_id,),
    )


# answers and votes ------------------------------------------------------------------------------------------


async def add_answers(
    connection: AsyncConnection[Any],
    report_ids: Sequence[str],
    at: datetime,
    text: str,
    author: str,
    idem: str | None = None,
) -> int:
    """Answer several reporters alike, each once under one idempotency key; return how many."""
    done = await connection.execute(
        "INSERT INTO citizen_answer (report_id, at, text, author, idem)"
        " SELECT id, %s, %s, %s, %s FROM unnest(%s::text[]) AS id ON CONFLICT DO NOTHING",
        (at, text, author, idem, list(report_ids)),
    )
    return done.rowcount


async def answered_under(
    connection: AsyncConnection[Any], report_id: str, idem: str
) -> tuple[str, int] | None:
    """Return what a reporter was answered under a key, and how many others with them; else None."""
    found = await connection.execute(
        "SELECT text, (SELECT count(*) FROM citizen_answer same WHERE same.idem = a.idem)"
        " FROM citizen_answer a WHERE report_id = %s AND idem = %s",
        (report_id, idem),
    )
    row = await found.fetchone()
    return (row[0], row[1]) if row else None


async def read_answers(connection: AsyncConnection[Any], report_ids: Sequence[str]) -> list[Answer]:
    """Return what reporters were answered, the earliest first."""
    async with connection.cursor(row_factory=class_row(Answer)) as cursor:
        await cursor.execute(
            "SELECT report_id, at, text, author FROM citizen_answer WHERE report_id = ANY(%s) ORDER BY at",
            (list(report_ids),),
        )
        return await cursor.fetchall()


async def add_vote(connection: AsyncConnection[Any], vote: Vote) -> bool:
    """Store a vote; False where this reporter has voted on this resolution."""
    done = await connection.execute(
        "INSERT INTO citizen_vote (report_id, incident_id, resolution, satisfied, text, at, reopen_due)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (
            vote.report_id, vote.incident_id, vote.resolution, vote.satisfied, vote.text, vote.at,
            vote.reopen_due,
        ),
    )  # fmt: skip
    return done.rowcount == 1


async def read_votes(connection: AsyncConnection[Any], report_ids: Sequence[str]) -> list[Vote]:
    """Return the votes of reporters, the earliest first."""
    async with connection.cursor(row_factory=class_row(Vote)) as cursor:
        await cursor.execute(
            _VOTES + " WHERE report_id = ANY(%s) ORDER BY at",
            (list(report_ids),),
        )
        return await cursor.fetchall()


async def count_dissatisfied(connection: AsyncConnection[Any], incident_id: str, resolution: int) -> int:
    """Return how many reporters are not content with a resolution."""
    found = await connection.execute(
        "SELECT count(*) FROM citizen_vote WHERE incident_id = %s AND resolution = %s AND NOT satisfied",
        (incident_id, resolution),
    )
    row = await found.fetchone()
    return row[0] if row else 0


async def read_waiting_votes(
    connection: AsyncConnection[Any], before: datetime, again: datetime, limit: int
) -> list[Vote]:
    """Return votes that the log has not, chosen like reports in `read_waiting`."""
    async with connection.cursor(row_factory=class_row(Vote)) as cursor:
        await cursor.execute(
            _VOTES + " WHERE appended IS NULL AND at < %s AND (refused IS NULL OR refused < %s)"
            " ORDER BY at LIMIT %s",
            (before, again, limit),
        )
        return await cursor.fetchall()


async def mark_votes_appended(connection: AsyncConnection[Any], votes: Sequence[Vote]) -> None:
    """Note that the log has these votes."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE citizen_vote SET appended = now()"
            " WHERE report_id = %s AND incident_id = %s AND resolution = %s",
            [(vote.report_id, vote.incident_id, vote.resolution) for vote in votes],
        )


# what may open an incident again ----------------------------------------------------------------------------


async def read_reopening(connection: AsyncConnection[Any], before: datetime, limit: int) -> list[ReportRow]:
    """Return reports from before `before` that may open their incident again, the oldest first."""
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE reopen_due AND received < %s ORDER BY received LIMIT %s", (before, limit)
        )
        return await cursor.fetchall()


async def read_reopening_votes(connection: AsyncConnection[Any], before: datetime, limit: int) -> list[Vote]:
    """Return votes from before `before` that may open their incident again, the oldest first."""
    async with connection.cursor(row_factory=class_row(Vote)) as cursor:
        await cursor.execute(_VOTES + " WHERE reopen_due AND at < %s ORDER BY at LIMIT %s", (before, limit))
        return await cursor.fetchall()


async def mark_looked_at(connection: AsyncConnection[Any], row: ReportRow | Vote) -> None:
    """Note that it has been decided whether a report or vote opens its incident again."""
    if isinstance(row, ReportRow):
        await connection.execute("UPDATE citizen_report SET reopen_due = false WHERE id = %s", (row.id,))
        return
    await connection.execute(
        "UPDATE citizen_vote SET reopen_due = false"
        " WHERE report_id = %s AND incident_id = %s AND resolution = %s",
        (row.report_id, row.incident_id, row.resolution),
    )


# personal data ----------------------------------------------------------------------------------------------

FORGET_ROWS: Final = 500


async def forget_reporters(
    connection: AsyncConnection[Any], mask: Callable[[str], str], before: datetime
) -> int:
    """Forget who sent a slice of the reports before `before`, and mask what they wrote; return how many."""
    found = await connection.execute(
        "SELECT id, text, address FROM citizen_report WHERE NOT forgotten AND received < %s"
        " ORDER BY received LIMIT %s FOR UPDATE",
        (before, FORGET_ROWS),
    )
    told = await found.fetchall()
    await _mask_reports(connection, mask, told)
    await connection.execute(
        "UPDATE citizen_report SET forgotten = true, contact = NULL, contact_hash = NULL, media_url = NULL"
        " WHERE id = ANY(%s)",
        ([report_id for report_id, _, _ in told],),
    )
    return len(told)


async def erase_reporter(
    connection: AsyncConnection[Any], mask: Callable[[str], str], contact_hash: bytes | None, pattern: str
) -> int:
    """Forget a contact, and mask the reports that came with it or say `pattern`; return how many.

    So are those of which an answer or a vote says it. Pictures that the person sent are deleted.
    """
    found = await connection.execute(
        "SELECT id, text, address FROM citizen_report WHERE contact_hash = %(contact)s OR text ~* %(p)s"
        " OR address ~* %(p)s OR id IN (SELECT report_id FROM citizen_answer WHERE text ~* %(p)s"
        " UNION ALL SELECT report_id FROM citizen_vote WHERE text ~* %(p)s) FOR UPDATE",
        {"contact": contact_hash, "p": pattern},
    )
    told = await found.fetchall()
    await connection.execute(
        "DELETE FROM photo WHERE report_id IN (SELECT id FROM citizen_report WHERE contact_hash = %s)",
        (contact_hash,),
    )
    await _mask_reports(connection, mask, told)
    await connection.execute(
        "UPDATE citizen_report SET forgotten = true, contact = NULL, contact_hash = NULL, media_url = NULL"
        " WHERE contact_hash = %s",
        (contact_hash,),
    )
    return len(told)


async def _mask_reports(
    connection: AsyncConnection[Any],
    mask: Callable[[str], str],
    told: Sequence[tuple[str, str, str | None]],
) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE citizen_report SET text = %s, address = %s WHERE id = %s",
            [
                (mask(text), None if address is None else mask(address), report_id)
                for report_id, text, address in told
            ],
        )
    await _mask_texts(connection, mask, [report_id for report_id, _, _ in told])


async def _mask_texts(
    connection: AsyncConnection[Any], mask: Callable[[str], str], report_ids: Sequence[str]
) -> None:
    """Mask what reporters were answered and what they said of the result."""
    answers = await read_answers(connection, report_ids)
    votes = await read_votes(connection, report_ids)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE citizen_answer SET text = %s WHERE report_id = %s AND at = %s",
            [(mask(answer.text), answer.report_id, answer.at) for answer in answers],
        )
        await cursor.executemany(
            "UPDATE citizen_vote SET text = %s WHERE report_id = %s AND incident_id = %s AND resolution = %s",
            [
                (mask(vote.text), vote.report_id, vote.incident_id, vote.resolution)
                for vote in votes
                if vote.text is not None
            ],
        )


# what everybody may see -------------------------------------------------------------------------------------


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """Reports of one ward and service since the board's beginning; times in seconds."""

    ward: str | None
    category: str
    received: int
    open: int
    done: int
    rejected: int
    overdue: int
    within_due: int
    """Of those done, how many in time."""
    median_done_s: float | None


class PublicReport(msgspec.Struct, frozen=True, kw_only=True):
    """A leading report without anything that tells of a person."""

    id: str
    service: str
    ward: str | None
    lon: float | None
    lat: float | None
    received: datetime
    handling: str | None
    reports: int
    """How many reporters tell of it."""


_BOARD: Final[LiteralString] = """
    SELECT own.ward, own.category, count(*) AS received,
        count(*) FILTER (WHERE i.handling = ANY(%(open)s)) AS open,
        count(*) FILTER (WHERE i.handling IN ('resolved', 'closed')) AS done,
        count(*) FILTER (WHERE i.handling = 'rejected') AS rejected,
        count(*) FILTER (WHERE i.handling = ANY(%(open)s) AND i.resolve_due < now() AND i.paused IS NULL)
            AS overdue,
        count(*) FILTER (WHERE i.handling IN ('resolved', 'closed')
                         AND (i.resolve_due IS NULL OR i.resolved <= i.resolve_due)) AS within_due,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM i.resolved - own.opened))
            FILTER (WHERE i.handling IN ('resolved', 'closed')) AS median_done_s
    FROM incident own JOIN incident i ON i.id = coalesce(own.merged_into, own.id)
    WHERE own.rule = 'citizen-report' AND own.opened >= %(since)s GROUP BY own.ward, own.category
"""


async def read_board(connection: AsyncConnection[Any], since: datetime) -> list[BoardRow]:
    """Return what became of reports since `since`, by ward and service; a merged one as its head."""
    async with connection.cursor(row_factory=class_row(BoardRow)) as cursor:
        await cursor.execute(_BOARD, {"since": since, "open": [str(each) for each in OPEN_HANDLINGS]})
        return await cursor.fetchall()


async def read_public(connection: AsyncConnection[Any], since: datetime, limit: int) -> list[PublicReport]:
    """Return leading reports since `since`, the latest first."""
    async with connection.cursor(row_factory=class_row(PublicReport)) as cursor:
        await cursor.execute(
            "SELECT r.id, r.service, coalesce(i.ward, r.ward) AS ward, r.lon, r.lat, r.received, i.handling,"
            " (SELECT count(*) FROM citizen_report same WHERE same.root = r.id) AS reports"
            " FROM citizen_report r"
            " LEFT JOIN incident own ON own.rule = 'citizen-report' AND own.key = 'citizens|' || r.id"
            " LEFT JOIN incident i ON i.id = coalesce(own.merged_into, own.id)"
            " WHERE r.root = r.id AND r.received >= %s ORDER BY r.received DESC, r.id DESC LIMIT %s",
            (since, limit),
        )
        return await cursor.fetchall()


async def read_satisfaction(connection: AsyncConnection[Any], since: datetime) -> tuple[int, int]:
    """Return how many votes there were since `since`, and how many were content."""
    found = await connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE satisfied) FROM citizen_vote WHERE at >= %s", (since,)
    )
    row = await found.fetchone()
    return (row[0], row[1]) if row else (0, 0)
