"""The audit log is anchored outside the database; what was told before there was a chain is part of it."""

from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from ioc.app.audit_keeper import AnchorFileError, AuditKeeper, read_anchors
from ioc.store.audit import Area, read_heads, record, verify
from ioc.store.embedded import Dsns
from ioc.store.migrate import migrate
from ioc.store.pool import open_pool
from tests.integration.store.test_incidents import NOW_US


async def test_only_areas_with_new_entries_are_written_and_a_new_keeper_goes_on(
    database: Dsns, tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere" / "anchors.jsonl"
    async with open_pool(database.app, name="test") as pool:

        async def tell(area: Area) -> None:
            async with pool.connection() as connection:
                await record(connection, area, actor="an", op="try", subject="x")

        keeper = AuditKeeper(pool, path, 3_600.0, lambda: NOW_US)
        assert await keeper.anchor() == 0 and not path.exists()
        await tell(Area.ACCESS)
        await tell(Area.PERSONAL)
        assert await keeper.anchor() == 2
        await tell(Area.ACCESS)
        assert await AuditKeeper(pool, path, 3_600.0, lambda: NOW_US).anchor() == 1
        assert await keeper.anchor() == 1, "another process wrote it, which it does not know"
        anchors = read_anchors(path)
        assert [(anchor.area, anchor.seq) for anchor in anchors][:3] == [
            ("access", 1), ("personal", 1), ("access", 2),
        ]  # fmt: skip
        assert path.stat().st_mode & 0o077 == 0
        async with pool.connection() as connection:
            assert set(await read_heads(connection)) <= set(anchors)
            assert (await verify(connection, anchors)).intact
    path.write_text(path.read_text() + "nonsense\n")
    with pytest.raises(AnchorFileError, match=":5:"):
        read_anchors(path)


async def test_history_from_before_the_chain_enters_it(empty_database: Dsns) -> None:
    dsns = empty_database
    folder = files("ioc.store").joinpath("migrations")
    with psycopg.connect(dsns.admin, autocommit=True) as admin:
        admin.execute(
            "CREATE TABLE schema_migration (name text PRIMARY KEY, applied_at timestamptz DEFAULT now())"
        )
        for name in sorted(
            each.name for each in folder.iterdir() if each.name < "0080" and ".hypertables." not in each.name
        ):
            admin.execute(folder.joinpath(name).read_text("utf-8").encode())
            admin.execute("INSERT INTO schema_migration (name) VALUES (%s)", (name,))
        for number, ward in ((1, "25747"), (2, None)):
            admin.execute(
                "INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title,"
                " why, opened, detected, updated, ward) VALUES (%s, 2, 'r', %s, 'c', 'high', 'active',"
                " 'new', '{}', '{}', now(), now(), now(), %s)",
                (f"inc-{number}", str(number), ward),
            )
            for rev in (1, 2):
                admin.execute(
                    "INSERT INTO incident_audit (incident_id, rev, at, actor, op, note)"
                    " VALUES (%s, %s, now(), 'an', 'raised', 'ghi chú')",
                    (f"inc-{number}", rev),
                )
    assert "0081_audit.sql" in migrate(dsns.admin)
    async with open_pool(dsns.app, name="test") as pool, pool.connection() as connection:
        found = await verify(connection, [])
        heads = {(head.area, head.seq) for head in await read_heads(connection)}
    assert (found.intact, found.entries) == (True, 4)
    assert heads == {("ward:25747", 2), ("city", 2)}
