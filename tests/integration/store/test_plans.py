"""What is asked again and again reads no table from end to end that grows with every incident."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from ioc.model.incidents import OPEN_HANDLINGS, Condition, Handling
from ioc.model.times import HOUR_US, from_us
from ioc.store.embedded import Dsns
from ioc.store.incidents import read_ended_ids, read_going_on, read_live, write_changes
from ioc.store.playback import PlaybackRange, read_revisions
from ioc.store.privacy import mask_finished
from tests.integration.store.test_incidents import NOW_US, change, incident

Connection = psycopg.AsyncConnection[Any]

MANY = """
    INSERT INTO incident SELECT (jsonb_populate_record(i, jsonb_build_object(
        'id', 'inc-m' || n, 'key', 'm' || n, 'masked_rev', i.rev,
        'updated', i.updated - n * interval '1 minute'))).*
    FROM incident i, generate_series(1, 5000) n
"""
MANY_CHANGES = """
    INSERT INTO incident_change ("offset", incident_id, rev, ward, at, doc)
    SELECT c."offset" + n, c.incident_id, c.rev + n, c.ward, c.at + n * interval '1 minute', c.doc
    FROM incident_change c, generate_series(1, 5000) n
"""


@pytest.fixture
async def many(database: Dsns) -> None:
    """Many finished incidents, all masked, and their changes."""
    admin = await psycopg.AsyncConnection.connect(database.admin, options="-c ioc.scope=service")
    async with admin:
        done = incident(1, condition=Condition.CLEARED, handling=Handling.CLOSED)
        await write_changes(admin, [change(done)])
        await admin.execute("SET LOCAL session_replication_role = replica")  # without the figures' trigger
        await admin.execute(MANY)
        await admin.execute(MANY_CHANGES)
        await admin.execute("ANALYZE incident, incident_change")


async def live(connection: Connection) -> None:
    await read_live(connection, from_us(NOW_US - HOUR_US), 100)


async def played_back(connection: Connection) -> None:
    await read_revisions(connection, PlaybackRange(from_us=NOW_US, to_us=NOW_US + HOUR_US), 0, 10)


async def masked(connection: Connection) -> None:
    await mask_finished(connection, str, from_us(NOW_US))


async def ended(connection: Connection) -> None:
    await read_ended_ids(connection, [("congestion", "m7")], from_us(NOW_US))


async def going_on(connection: Connection) -> None:
    await read_going_on(connection, (from_us(NOW_US), "inc-m7"), 500)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("asked", [live, played_back, masked, ended, going_on])
async def test_only_what_is_asked_for_is_read(
    database: Dsns, asked: Callable[[Connection], Awaitable[None]]
) -> None:
    dsn, options = (database.admin if asked is masked else database.app), "-c ioc.scope=service"
    async with await psycopg.AsyncConnection.connect(dsn, options=options) as connection:
        for _ in range(8):  # from the sixth time on a statement has a plan for all parameters
            await asked(connection)
        found = await connection.execute(
            "SELECT relname, seq_scan FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('incident', 'incident_change')"
        )
        assert dict(await found.fetchall()) == {"incident": 0, "incident_change": 0}


async def test_a_console_starts_from_every_kind_of_incident(database: Dsns) -> None:
    rows = [
        incident(n, handling=handling, merged_into="inc-0000" if handling is Handling.MERGED else None)
        for n, handling in enumerate(Handling)
    ]
    options = "-c ioc.scope=service"
    async with await psycopg.AsyncConnection.connect(database.app, options=options) as connection:
        await write_changes(connection, [change(row) for row in rows])
        found = await read_live(connection, from_us(NOW_US), 100)
        assert {row.handling for row in found} == set(Handling)
        later = await read_live(connection, from_us(NOW_US + 1), 100)
        assert {row.handling for row in later} == set(OPEN_HANDLINGS)
