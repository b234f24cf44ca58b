"""Reports that an earlier version stored, after migration 0113."""

import psycopg

from ioc.store.embedded import Dsns
from ioc.store.migrate import _choose_layout, _migrations, migrate

REPORT = (
    "INSERT INTO citizen_report (id, code_hash, root, service, text, channel, received, digest, idem)"
    " VALUES (%s, %s, %s, 'road', 'x', %s, now(), '', %s)"
)
INCIDENT = (
    "INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title, why, opened,"
    " detected, updated, ward, merged_into) VALUES (%s, 1, %s, %s, 'c', 'high', 'cleared', %s, '{}', '{}',"
    " now(), now(), now(), '25747', %s)"
)


def test_reports_of_an_earlier_version_are_known_as_finished_and_keep_their_keys(
    empty_database: Dsns,
) -> None:
    with psycopg.connect(empty_database.admin, autocommit=True) as connection:
        connection.execute("CREATE TABLE schema_migration (name text PRIMARY KEY, applied_at timestamptz)")
        for each in _migrations(_choose_layout(connection)):
            if each.name < "0113":
                connection.execute(each.read_text("utf-8").encode())
                connection.execute("INSERT INTO schema_migration (name) VALUES (%s)", (each.name,))
        for name, root, channel, idem in (
            ("a", "a", "web", "key"), ("b", "a", "open311", "p1:key"), ("c", "c", "web", None),
            ("d", "d", "web", "other"), ("e", "e", "web", "more"),
        ):  # fmt: skip
            connection.execute(REPORT, (name, name.encode(), root, channel, idem))
        connection.execute(INCIDENT, ("inc-h", "flood", "k", "closed", None))
        for name, handling, head in (("a", "resolved", None), ("d", "new", None), ("e", "merged", "inc-h")):
            row = (f"inc-{name}", "citizen-report", f"citizens|{name}", handling, head)
            connection.execute(INCIDENT, row)

    assert "0113_citizens_kept.sql" in migrate(empty_database.admin)
    with psycopg.connect(empty_database.admin) as connection:
        found = connection.execute("SELECT id, finished, idem FROM citizen_report ORDER BY id").fetchall()
    assert found == [
        ("a", True, "web::key"),
        ("b", True, "open311:p1:key"),
        ("c", False, None),
        ("d", False, "web::other"),
        ("e", True, "web::more"),
    ]
