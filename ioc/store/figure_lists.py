"""The incidents that a figure is made of, newest first."""

import base64
import binascii
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection
from psycopg.sql import SQL

from ioc.model.incidents import Incident
from ioc.model.times import from_us, to_us
from ioc.store.figures import Scope
from ioc.store.incidents import MAX_PAGE, CursorError, read_by_ids

_OPEN: Final = "handling IN ('new', 'acknowledged', 'assigned', 'in_progress')"
_DUE: Final = (
    "handling NOT IN ('merged', 'rejected') AND paused IS NULL"
    " AND resolve_due >= %(from)s AND resolve_due < %(hour)s"
)
_SINCE: Final = "AND detected >= %(from)s::timestamptz - interval '35 days' AND detected < %(to)s"
"""What an index by the moment of the act would cost every write: acts follow detection within weeks."""


class _List(NamedTuple):
    """What an incident must be, and the moment the list is ordered by."""

    where: LiteralString
    moment: LiteralString
    table: LiteralString = "incident"


_LISTS: Final[dict[str, _List]] = {
    "detected": _List("handling <> 'merged' AND detected >= %(from)s AND detected < %(to)s", "detected"),
    "open": _List(_OPEN, "detected"),
    "overdue": _List(_OPEN + " AND paused IS NULL AND resolve_due < %(to)s", "resolve_due"),
    "due_late": _List(
        _DUE + " AND (" + _OPEN + " OR coalesce(resolved, closed) > resolve_due)", "resolve_due"
    ),
    "due_open": _List(_DUE + " AND " + _OPEN, "resolve_due"),
    "seen_late": _List(
        "handling <> 'merged' AND ack_due >= %(from)s AND ack_due < %(hour)s AND"
        " CASE WHEN acknowledged IS NULL THEN " + _OPEN + " ELSE acknowledged > ack_due END " + _SINCE,
        "detected",
    ),
    "acknowledged": _List(
        "handling <> 'merged' AND acknowledged >= %(from)s AND acknowledged < %(to)s " + _SINCE, "detected"
    ),
    "responded": _List(
        "handling <> 'merged' AND responded >= %(from)s AND responded < %(to)s " + _SINCE, "detected"
    ),
    "resolved": _List(
        "handling IN ('resolved', 'closed') AND resolved >= %(from)s AND resolved < %(to)s", "resolved"
    ),
    "rejected": _List("handling = 'rejected' AND closed >= %(from)s AND closed < %(to)s", "closed"),
    "reopened": _List("at >= %(from)s AND at < %(to)s", "at", "incident_reopened"),
}
SELECTIONS: Final = frozenset(_LISTS)
_PAGE: Final = SQL("""
    SELECT {id}, {moment} FROM {table}
    WHERE {where}
        AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
        AND (%(category)s::text IS NULL OR split_part(category, '.', 1) = %(category)s)
        AND (%(after)s::timestamptz IS NULL OR ({moment}, {id}) < (%(after)s, %(after_id)s))
    ORDER BY {moment} DESC, {id} DESC LIMIT %(limit)s
""")


class ListQuery(NamedTuple):
    """Which incidents of `selection`: of a period, up to its last whole hour where due dates decide."""

    selection: str
    from_us: int
    to_us: int
    hour_us: int
    scope: Scope
    limit: int = 50
    cursor: str | None = None


async def read_listed(
    connection: AsyncConnection[Any], query: ListQuery
) -> tuple[list[Incident], str | None]:
    """Return a page of the incidents, newest first, and the cursor of the next.

    Raises:
        CursorError: the cursor is not one of ours.
    """
    chosen = _LISTS[query.selection]
    identity: LiteralString = "id" if chosen.table == "incident" else "incident_id"
    after, after_id = _parse(query.cursor)
    limit = max(1, min(query.limit, MAX_PAGE))
    statement = _PAGE.format(
        id=SQL(identity), moment=SQL(chosen.moment), table=SQL(chosen.table), where=SQL(chosen.where)
    )
    found = await connection.execute(
        statement,
        {
            "from": from_us(query.from_us), "to": from_us(query.to_us), "hour": from_us(query.hour_us),
            "wards": None if query.scope.wards is None else list(query.scope.wards),
            "category": query.scope.category, "limit": limit + 1,
            "after": None if after is None else from_us(after), "after_id": after_id,
        },
    )  # fmt: skip
    rows = await found.fetchall()
    known = await read_by_ids(connection, [row[0] for row in rows[:limit]])
    # One that was opened again in one ward and handed to another is no longer theirs to see.
    items = [known[row[0]] for row in rows[:limit] if row[0] in known]
    if len(rows) <= limit:
        return items, None
    last_id, moment = rows[limit - 1]
    return items, base64.urlsafe_b64encode(f"{to_us(moment)}|{last_id}".encode()).decode()


def _parse(cursor: str | None) -> tuple[int | None, str | None]:
    if cursor is None:
        return None, None
    try:
        moment_us, _, incident_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        from_us(int(moment_us))
    except (ValueError, binascii.Error, OverflowError) as error:
        raise CursorError("cursor: use the `next` value of the page before, unchanged") from error
    return int(moment_us), incident_id
