"""Each history of the database has a feed epoch of its own, without anybody having to think of it."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ioc.store.embedded import create_database, embedded_postgres, tool
from ioc.store.incidents import read_position
from ioc.store.migrate import migrate

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ioc-e-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def position(dsn: str) -> tuple[str, int]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return await read_position(connection)


def run(program: Path, *arguments: object) -> None:
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


async def test_a_dump_restored_beside_its_original_or_on_another_server_is_another_history(
    folder: Path,
) -> None:
    dump = folder / "ioc.dump"
    with embedded_postgres(folder / "a") as server:
        dsns = create_database(server, "ioc")
        migrate(dsns.admin)
        with psycopg.connect(dsns.admin) as connection:
            connection.execute("UPDATE feed_position SET next_offset = 42")
        original = await position(dsns.app)
        assert await position(dsns.app) == original, "the same history keeps its epoch"
        run(tool(server, "pg_dump"), "-Fc", "-d", dsns.admin, "-f", dump)
        beside = create_database(server, "beside")
        run(tool(server, "pg_restore"), "--exit-on-error", "-d", beside.admin, dump)
        found = [await position(beside.app)]
    with embedded_postgres(folder / "a") as server:
        assert await position(dsns.app) == original, "a restart begins no other history"
    with embedded_postgres(folder / "b") as server:
        other = create_database(server, "ioc")
        run(tool(server, "pg_restore"), "--exit-on-error", "-d", other.admin, dump)
        assert migrate(other.admin) == []
        found.append(await position(other.app))
    assert {offset for _, offset in (*found, original)} == {41}
    assert len({epoch for epoch, _ in (*found, original)}) == 3


async def test_a_standby_that_takes_over_begins_another_history(folder: Path) -> None:
    with embedded_postgres(folder / "main") as main:
        dsns = create_database(main, "ioc")
        migrate(dsns.admin)
        before, _ = await position(dsns.app)
        copied = folder / "backup"
        run(
            tool(main, "pg_basebackup"), "-d", main.get_uri("postgres"), "-D", copied,
            "--write-recovery-conf", "--checkpoint=fast",
        )  # fmt: skip
        (copied / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # of the original's socket, which lies inside
        # Only root copies for somebody else: the server's own user.
        shutil.copystat(folder / "main", copied)
        owner = (folder / "main").stat()
        for path in (copied, *copied.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        with embedded_postgres(copied) as backup:
            standby = backup.get_uri("ioc").replace("postgres:@", "ioc_app:@", 1)
            with psycopg.connect(dsns.admin) as connection:
                connection.execute("UPDATE feed_position SET next_offset = 7")
            deadline_s = time.monotonic() + 60
            while (await position(standby))[1] != 6:
                assert time.monotonic() < deadline_s, "the standby does not follow"
                await asyncio.sleep(0.05)
            with psycopg.connect(backup.get_uri("postgres"), autocommit=True) as connection:
                assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
            epoch, offset = await position(standby)
    assert offset == 6
    assert epoch != before
