# ruff: noqa: F811 - a fixture is imported and asked for by the same name
"""`ioc users | tokens | devices rotate-key | audit`: what they change, print and record."""

import json
from pathlib import Path

import psycopg
import pytest

from ioc.app.settings import load_settings
from ioc.store.embedded import Dsns
from tests.integration.app.test_cli import Ioc, ioc  # noqa: F401 - a fixture

AUDIT = "SELECT actor, op, subject FROM audit_entry WHERE area = 'access' ORDER BY seq"


def rows(database: Dsns, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.admin) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_a_persons_rights_are_changed_by_command_and_recorded(ioc: Ioc, database: Dsns) -> None:
    assert ioc("users", "add", "an", "--role", "ward", "--ward", "25747")[0] == 0
    assert json.loads(ioc("users", "access", "an", "--role", "operator", "--json")[1]) == {
        "user": "an", "role": "operator", "wards": None,
    }  # fmt: skip
    changed = json.loads(ioc("users", "password", "an", "--random", "--json")[1])
    assert len(changed["password"]) == 14
    assert ioc("users", "disable", "an")[0] == 0
    assert json.loads(ioc("users", "list", "--json")[1])[0]["disabled"] is True
    assert ioc("users", "enable", "an")[0] == 0
    assert json.loads(ioc("users", "log-out", "an", "--json")[1]) == {"user": "an", "sessions": 0}
    told = rows(database, AUDIT)
    assert [op for _, op, _ in told] == [
        "user_added", "access_changed", "password_changed", "user_disabled", "user_enabled", "sessions_ended",
    ]  # fmt: skip
    assert {actor for actor, _, _ in told}.pop().startswith("cli:")  # type: ignore[attr-defined]
    code, _, err = ioc("users", "access", "nobody", "--role", "operator")
    assert code == 1 and "there is no user 'nobody'" in err


def test_a_second_factor_is_asked_for_and_taken_away_by_command(ioc: Ioc) -> None:
    def standing() -> object:
        return json.loads(ioc("users", "list", "--json")[1])[0]["second_factor"]

    assert ioc("users", "add", "an")[0] == 0
    assert standing() == "none"
    asked = json.loads(ioc("users", "second-factor", " AN", "--json")[1])
    assert (asked, standing()) == ({"user": "an", "second_factor": True}, "demanded")
    assert "demanded" in ioc("users", "list")[1]
    assert ioc("users", "second-factor", "an", "--off")[0] == 0
    assert standing() == "none"
    code, _, err = ioc("users", "second-factor", "nobody")
    assert code == 1 and "there is no user 'nobody'" in err


def test_a_token_is_shown_once_and_ends_when_revoked(ioc: Ioc, database: Dsns) -> None:
    issued = json.loads(
        ioc("tokens", "issue", "partner", "--scope", "incidents:read", "--days", "1", "--json")[1]
    )
    assert issued["token"].startswith("ioct_")
    assert issued["token"] not in str(rows(database, "SELECT * FROM api_token"))
    code, _, err = ioc("tokens", "issue", "partner", "--scope", "places")
    assert code == 1 and "there is or was a token 'partner'" in err
    assert ioc("tokens", "revoke", "partner")[0] == 0
    (listed,) = json.loads(ioc("tokens", "list", "--json")[1])
    assert (listed["id"], listed["scopes"], listed["revoked"] is None) == ("partner", "incidents:read", False)
    assert ioc("tokens", "revoke", "other")[0] == 1
    assert ioc("tokens", "issue", "x", "--scope", "places")[0] == 1
    assert ioc("tokens", "issue", "long", "--scope", "places", "--days", "999")[0] == 1


def test_two_keys_are_valid_while_a_device_changes_to_the_new_one(ioc: Ioc, database: Dsns) -> None:
    valid = (
        "SELECT count(*) FROM device_key WHERE revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > now())"
    )
    first = json.loads(ioc("devices", "add", "gw", "--json")[1])["key"]
    second = json.loads(ioc("devices", "rotate-key", "gw", "--json")[1])
    assert second["key"] != first and second["old_key_ends"] is not None
    assert rows(database, valid) == [(2,)]
    third = json.loads(ioc("devices", "rotate-key", "gw", "--overlap-hours", "1", "--json")[1])
    assert rows(database, valid) == [(2,)], "the first key ended when the third came"
    assert third["old_key_ends"] < second["old_key_ends"]
    assert ioc("devices", "rotate-key", "gw", "--overlap-hours", "0")[0] == 0
    assert rows(database, valid) == [(1,)]
    assert ioc("devices", "rotate-key", "nothing")[0] == 1


def test_verify_says_intact_and_then_what_was_changed(ioc: Ioc, database: Dsns, tmp_path: Path) -> None:
    for name in ("an", "binh"):
        assert ioc("users", "add", name)[0] == 0
    code, out, _ = ioc("audit", "verify", "--json")
    assert (code, json.loads(out)["intact"], json.loads(out)["entries"]) == (0, True, 2)
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit_entry SET actor = 'somebody else' WHERE seq = 1")
    code, out, _ = ioc("audit", "verify", "--json")
    assert code == 1
    assert [finding["kind"] for finding in json.loads(out)["findings"]] == ["edited"]
    code, out, _ = ioc("audit", "verify")
    assert code == 1 and "NOT intact" in out
    broken = tmp_path / "anchors.jsonl"
    broken.write_text('{"area": 1}\n')
    code, _, err = ioc("audit", "verify", "--anchors", str(broken))
    assert code == 1 and f"{broken}:1" in err


@pytest.mark.parametrize("place", [None, "elsewhere.jsonl"])
def test_anchors_stand_in_the_data_folder_unless_told_otherwise(tmp_path: Path, place: str | None) -> None:
    settings = load_settings(
        None, data=tmp_path, **({"audit": {"anchors": tmp_path / place}} if place else {})
    )
    assert settings.anchors_file == tmp_path / (place or "audit-anchors.jsonl")


def test_retention_and_erasure_are_run_and_reported_by_command(ioc: Ioc, database: Dsns) -> None:
    report = json.loads(ioc("retention", "report", "--json")[1])
    assert {row["purpose"]: row["overdue"] for row in report} == dict.fromkeys(
        ("plates", "contacts", "reporters", "incidents", "photos", "unclaimed", "quarantine"), 0
    )
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO camera_event (time, received, event_id, source, type, plate)"
            " VALUES (now() - interval '8 d', now(), 'e', 'c', 'camera.plate', '61A-123.45')"
        )
    changed = json.loads(ioc("retention", "run", "--json")[1])
    assert changed[0] == {"purpose": "plates", "changed": 1}
    taken = json.loads(ioc("erasure", "add", "--plate", "61A 12345", "--note", "thư", "--json")[1])
    assert taken["answer_due"] < taken["done_due"]
    (pending,) = json.loads(ioc("erasure", "list", "--json")[1])
    assert (pending["id"], pending["answered"], pending["overdue"]) == (taken["id"], None, False)
    assert ioc("erasure", "answer", str(taken["id"]))[0] == 0
    done = json.loads(ioc("erasure", "run", str(taken["id"]), "--json")[1])
    assert done["erased"] == {"camera readings": 1, "reports": 0, "citizens' reports": 0, "incidents": 0}
    assert json.loads(ioc("erasure", "list", "--json")[1]) == []
    assert len(json.loads(ioc("erasure", "list", "--all", "--json")[1])) == 1
    for wrong in (("add",), ("add", "--phone", "1", "--plate", "x"), ("add", "--phone", "12"), ("run", "99")):
        code, _, err = ioc("erasure", *wrong)
        assert code == 1 and err.startswith("error: "), wrong
    assert ioc("audit", "verify")[0] == 0


def test_an_export_is_masked_unless_a_reason_is_given_and_recorded(ioc: Ioc, database: Dsns) -> None:
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title, why,"
            " opened, detected, updated, note) VALUES ('inc-1', 1, 'r', '61A-123.45', 'c', 'high', 'active',"
            " 'new', %s, %s, now(), now(), now(), 'gọi 0912 345 678')",
            (
                json.dumps({"vi": "Xe 61A-123.45", "en": "x"}),
                json.dumps({"rule_version": "1", "summary": {"vi": "a", "en": "b"}}),
            ),
        )
    masked = ioc("export", "incidents")[1]
    assert "61A•••45" in masked and "•••678" in masked
    assert "123.45" not in masked and "345 678" not in masked
    assert "gọi 0912 345 678" in ioc("export", "incidents", "--unmasked", "giao cho công an theo văn bản")[1]
    told = rows(database, "SELECT op, doc ->> 'reason' FROM audit_entry WHERE area = 'personal'")
    assert told == [("incidents_exported_unmasked", "giao cho công an theo văn bản")]
