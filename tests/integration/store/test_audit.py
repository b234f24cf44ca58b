"""The audit chain shows an edit, a deletion, a reordering and an insertion, done by a superuser."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from ioc.store.audit import Anchor, Area, Verified, count_entries, read_heads, record, verify
from ioc.store.embedded import Dsns
from ioc.store.incidents import write_changes
from ioc.store.pool import Pool
from tests.integration.store.test_incidents import change, incident

FREE_HANDS = "SET session_replication_role = replica"


async def fill(connection: AsyncConnection[Any]) -> None:
    """Three incidents in two wards, and four entries about access with awkward texts."""
    for number, ward in ((1, "25747"), (2, "25747"), (3, "25750")):
        await write_changes(connection, [change(incident(number, id=f"inc-{number}", ward=ward))])
    for subject in ("an", 'tab\t "quote" \\', "Nguyễn Văn Cường \u0001", "zo"):
        await record(
            connection, Area.ACCESS, actor="cli", op="user_added", subject=subject, details={"wards": None}
        )
    await connection.commit()


async def tampered(connection: AsyncConnection[Any], database: Dsns, *statements: str) -> Verified:
    anchors = await read_heads(connection)
    await connection.commit()
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute(FREE_HANDS)
        for statement in statements:
            assert admin.execute(statement.encode()).rowcount > 0, statement
    return await verify(connection, anchors)


async def test_an_untouched_log_is_intact_and_progress_is_told(connection: AsyncConnection[Any]) -> None:
    await fill(connection)
    seen: list[int] = []
    found = await verify(connection, await read_heads(connection), seen.append)
    assert (found.intact, found.entries, found.areas, found.anchors) == (True, 7, 3, 3)
    assert seen == [7] == [await count_entries(connection)]


@pytest.mark.parametrize(
    ("statements", "kinds"),
    [
        (["UPDATE audit_entry SET actor = 'other' WHERE area = 'access' AND seq = 2"], {"edited"}),
        (
            ["UPDATE audit_entry SET recorded = recorded + '1 us' WHERE area = 'access' AND seq = 2"],
            {"edited"},
        ),
        (["""UPDATE audit_entry SET doc = '{"x": 1}' WHERE area = 'access' AND seq = 1"""], {"content"}),
        (["UPDATE incident_audit SET actor = 'other' WHERE incident_id = 'inc-2'"], {"content"}),
        (["DELETE FROM incident_audit WHERE incident_id = 'inc-2'"], {"content"}),
        (["DELETE FROM audit_entry WHERE area = 'access' AND seq = 2"], {"missing"}),
        (["DELETE FROM audit_entry WHERE area = 'access' AND seq = 4"], {"missing"}),
        (["DELETE FROM audit_entry WHERE area = 'ward:25750'"], {"missing", "unchained"}),
        (
            [
                "UPDATE audit_entry SET seq = 9 WHERE area = 'access' AND seq = 2",
                "UPDATE audit_entry SET seq = 2 WHERE area = 'access' AND seq = 3",
                "UPDATE audit_entry SET seq = 3 WHERE area = 'access' AND seq = 9",
            ],
            {"edited"},
        ),
        (
            [
                "INSERT INTO incident_audit (incident_id, rev, at, actor, op)"
                " VALUES ('inc-1', 77, now(), 'nobody', 'comment')"
            ],
            {"unchained"},
        ),
    ],
)
async def test_what_a_superuser_changes_is_found(
    connection: AsyncConnection[Any], database: Dsns, statements: list[str], kinds: set[str]
) -> None:
    await fill(connection)
    found = await tampered(connection, database, *statements)
    assert {finding.kind for finding in found.findings} == kinds


async def test_a_chain_computed_anew_does_not_fit_the_anchor(
    connection: AsyncConnection[Any], database: Dsns
) -> None:
    await fill(connection)
    anchors = await read_heads(connection)
    await connection.commit()
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute(FREE_HANDS)
        kept = admin.execute(
            "DELETE FROM audit_entry WHERE area = 'access' RETURNING seq, actor, op, subject, doc"
        ).fetchall()
        admin.execute("SET session_replication_role = origin")
        for _, actor, op, subject, doc in sorted(kept, key=lambda row: row[0]):
            admin.execute(
                "INSERT INTO audit_entry (area, actor, op, subject, doc) VALUES ('access', %s, %s, %s, %s)",
                ("forged" if subject == "an" else actor, op, subject, psycopg.types.json.Jsonb(doc)),
            )
    assert (await verify(connection, [])).intact, "without anchors it looks like any other"
    found = await verify(connection, anchors)
    assert [(finding.kind, finding.area) for finding in found.findings] == [("rewritten", "access")]


async def test_an_anchored_area_that_is_gone_is_missed(connection: AsyncConnection[Any]) -> None:
    await fill(connection)
    found = await verify(connection, [Anchor("ward:1", 3, "00")])
    assert [(finding.kind, finding.area, finding.seq) for finding in found.findings] == [
        ("missing", "ward:1", 3)
    ]


async def test_the_application_can_only_append(pool: Pool) -> None:
    async with pool.connection() as connection:
        await fill(connection)
    for statement in (
        "UPDATE audit_entry SET actor = 'x'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "UPDATE incident_audit SET actor = 'x'",
        "DELETE FROM incident_audit",
    ):
        async with pool.connection() as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())
            await connection.rollback()


async def test_even_the_owner_meets_the_trigger(connection: AsyncConnection[Any], database: Dsns) -> None:
    await fill(connection)
    with psycopg.connect(database.admin, autocommit=True) as admin:
        for table in ("audit_entry", "incident_audit"):
            for statement in (f"UPDATE {table} SET actor = 'x'", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                    admin.execute(statement.encode())


async def test_writers_at_once_make_one_chain(pool: Pool) -> None:
    async def write(actor: int) -> None:
        for number in range(10):
            async with pool.connection() as connection:
                await record(connection, Area.ACCESS, actor=str(actor), op="try", subject=str(number))

    async with asyncio.TaskGroup() as group:
        for actor in range(4):
            group.create_task(write(actor))
    async with pool.connection() as connection:
        found = await verify(connection, [])
    assert (found.intact, found.entries) == (True, 40)
