# ruff: noqa: F811 - a fixture is imported and asked for by the same name
"""`ioc receivers list | failed | resend`: what they show and what they let wait again."""

import json

import psycopg

from ioc.store.embedded import Dsns
from tests.integration.app.test_cli import Ioc, ioc  # noqa: F401 - a fixture


def fill(database: Dsns) -> None:
    """Store one webhook with three deliveries that were given up, an hour between them, and one taken."""
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "INSERT INTO receiver (id, kind, target, min_severity, ops, categories, author, secret)"
            " VALUES ('duty', 'webhook', 'https://a.example/in', 'low', '{}', '{}', 'an', 'whsec_c2VjcmV0')"
        )
        connection.execute(
            "INSERT INTO delivery (receiver, notice_id, about, doc, created, state, error, finished,"
            " attempts)"
            " SELECT 'duty', 'inc-' || n || '.1', 'incident', '', '2026-11-29T00:00Z'::timestamptz"
            " + n * interval '1 hour', CASE n WHEN 4 THEN 'sent' ELSE 'failed' END, 'answered 500', now(), 9"
            " FROM generate_series(1, 4) AS n"
        )


def test_failed_deliveries_are_listed_and_sent_again_by_command(ioc: Ioc, database: Dsns) -> None:
    fill(database)
    (listed,) = json.loads(ioc("receivers", "list", "--json")[1])
    assert (listed["id"], listed["enabled"], listed["waiting"]) == ("duty", True, 0)
    assert "whsec_" not in ioc("receivers", "list")[1]

    def failed(*options: str) -> list[str]:
        return [
            row["notice"] for row in json.loads(ioc("receivers", "failed", "duty", "--json", *options)[1])
        ]

    assert failed() == ["inc-3.1", "inc-2.1", "inc-1.1"]
    assert failed("--since", "2026-11-29T02:00:00Z") == ["inc-3.1", "inc-2.1"]
    again = ioc("receivers", "resend", "duty", "--notice", "inc-1.1", "--json")
    assert json.loads(again[1]) == {"receiver": "duty", "again": 1, "left": 0}
    again = ioc("receivers", "resend", "duty", "--since", "2026-11-29T02:30:00Z")
    assert again[1].startswith("1 of 1 failed deliveries to duty wait to be sent again")
    assert failed() == ["inc-2.1"]
    with psycopg.connect(database.admin) as connection:
        told = connection.execute(
            "SELECT actor, subject FROM audit_entry WHERE op = 'deliveries_resent'"
        ).fetchall()
    assert [(actor.startswith("cli:"), subject) for actor, subject in told] == [(True, "duty")] * 2

    code, _, err = ioc("receivers", "resend", "nobody", "--since", "2026-11-29T00:00:00Z")
    assert code == 1 and "there is no receiver 'nobody'" in err
    for wrong in ((), ("--notice", "inc-1.1", "--since", "2026-11-29T00:00:00Z"), ("--since", "yesterday")):
        assert ioc("receivers", "resend", "duty", *wrong)[0] == 2
