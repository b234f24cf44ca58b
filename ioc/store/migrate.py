"""Apply `migrations/*.sql` in the order of their numbers, each once, each in its own transaction."""

from importlib.resources import files

import psycopg

_LOCK_KEY = 0x10C


def migrate(admin_dsn: str) -> list[str]:
    """Bring the database of `admin_dsn` up to date and return the names of the migrations applied now."""
    applied: list[str] = []
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        # Several processes may start at once; the second waits here and then finds nothing to do.
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            "name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {name for (name,) in connection.execute("SELECT name FROM schema_migration")}
        for resource in sorted(files("ioc.store").joinpath("migrations").iterdir(), key=lambda r: r.name):
            if not resource.name.endswith(".sql") or resource.name in done:
                continue
            with connection.transaction():
                # The text is a file of ours, never input.
                connection.execute(resource.read_text("utf-8").encode())
                connection.execute("INSERT INTO schema_migration (name) VALUES (%s)", (resource.name,))
            applied.append(resource.name)
    return applied
