"""Personal data ends on its date, on request, and with a record; the audit chain stays intact."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from ioc.app.erasure import ErasureError, answer, carry_out, receive
from ioc.app.privacy import Retention, answer_due, read_key
from ioc.app.sealing import Seal
from ioc.app.settings.sections import PrivacySettings
from ioc.incidents.calendar import WorkingCalendar
from ioc.model.events import CameraPlate, FeedbackReport, FeedbackVote
from ioc.model.incidents import Audit, Change, Condition, Handling
from ioc.model.texts import Text
from ioc.model.times import from_us, to_us
from ioc.store.audit import read_heads, verify
from ioc.store.embedded import Dsns
from ioc.store.incidents import write_changes
from ioc.store.policies import add_policy
from ioc.store.pool import Pool, open_pool
from ioc.store.privacy import UnknownRequestError, erase_in_reports, list_requests, phone_digits, plate_token
from ioc.store.reports import ReportRow, Vote, add_answers, add_report, add_vote
from ioc.store.writer import HistoryWriter
from ioc.stream.masking import mask_words
from tests.integration.store.samples import event
from tests.integration.store.test_incidents import incident

KEY = b"k" * 32
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
OLD, NEW = to_us(NOW - timedelta(days=400)), to_us(NOW - timedelta(hours=1))
NONE = {"photos": 0, "unclaimed": 0, "quarantine": 0}
PHONE, PLATE = "0912 345 678", "61A-123.45"


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test", max_size=4) as opened:
        yield opened


async def rows(pool: Pool, statement: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


def finished(number: int, at_us: int, note: str) -> Change:
    row = msgspec.structs.replace(
        incident(number, id=f"inc-{number}"),
        handling=Handling.CLOSED,
        condition=Condition.CLEARED,
        key=PLATE,
        title=Text(f"Xe {PLATE}", f"Vehicle {PLATE}"),
        note=note,
        updated_us=at_us,
    )
    return Change(
        incident=row, audit=Audit(incident_id=row.id, rev=1, at_us=at_us, actor="an", op="close", note=note)
    )


async def fill(pool: Pool) -> None:
    """An old and a new of everything that tells of people."""
    events = [
        event(n, data, time_us=at_us, received_us=at_us, subject=None)
        for at_us in (OLD, NEW)
        for n, data in enumerate(
            (
                CameraPlate(plate=PLATE, confidence=0.9),
                CameraPlate(plate="61A 12345", confidence=0.9),
                CameraPlate(plate="51F-999.99", confidence=0.9),
                FeedbackReport(
                    category="ổ gà", text=f"Tôi là Trần An, gọi {PHONE}", contact="+84 912-345-678"
                ),
                FeedbackReport(category="ổ gà", text="Đường hỏng", contact="0987 654 321"),
            )
        )
    ]
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, events)
        await write_changes(
            connection,
            [finished(1, OLD, f"gọi {PHONE}"), finished(2, NEW, f"gọi {PHONE}"), finished(3, OLD, "x")],
        )
        for n, (at_us, contact) in enumerate(((OLD, PHONE), (NEW, PHONE), (NEW, "0987 654 321"))):
            report = ReportRow(
                id=f"r-{n}", root=f"r-{n}", service="road", text=f"Tôi là Trần An, gọi {PHONE}",
                channel="web", received=from_us(at_us), digest=b"", contact=Seal(KEY).close(contact),
            )  # fmt: skip
            known = Seal(KEY).recognise(phone_digits(contact))
            await add_report(connection, report, code_hash=bytes([n]), contact_hash=known, idem=None)
            await add_answers(connection, [report.id], from_us(at_us), f"đã gọi {PHONE}", "ward")
            await connection.execute(
                "INSERT INTO photo (ref, origin, width, height, picture, thumb, report_id)"
                " VALUES (%s, 'citizen', 1, 1, '', '', %s)",
                (f"{n:032x}", report.id),
            )


async def intact(pool: Pool) -> bool:
    async with pool.connection() as connection:
        found = await verify(connection, await read_heads(connection))
    assert found.findings == ()
    return found.intact


async def test_what_is_past_its_date_is_masked_and_the_rest_stays(pool: Pool) -> None:
    await fill(pool)
    retention = Retention(pool, PrivacySettings(), KEY)
    before = {row["purpose"]: row["overdue"] for row in await retention.report(NOW)}
    due = {"plates": 3, "contacts": 2, "reporters": 1, "incidents": 2} | NONE
    assert before == due

    changed = await retention.round(NOW)

    assert changed == due
    token, other = plate_token(KEY, PLATE), plate_token(KEY, "51F99999")
    plates = "SELECT plate FROM camera_event WHERE time < now() - interval '30 days' ORDER BY event_id"
    assert await rows(pool, plates) == [(token,), (token,), (other,)], "one plate stays one, however written"
    texts = await rows(pool, "SELECT text, contact FROM feedback_report ORDER BY time, event_id")
    assert texts[0] == ("Tôi là •••, gọi •••678", None)
    assert texts[2] == (f"Tôi là Trần An, gọi {PHONE}", "+84 912-345-678")
    reports = await rows(pool, "SELECT text, contact IS NULL, forgotten FROM citizen_report ORDER BY id")
    assert reports[0] == ("Tôi là •••, gọi •••678", True, True)
    assert reports[1][1:] == (False, False)
    told = dict(await rows(pool, "SELECT id, title ->> 'vi' || note || key FROM incident"))
    assert told == {"inc-1": "Xe 61A•••45gọi •••67861A•••45", "inc-2": f"Xe {PLATE}gọi {PHONE}{PLATE}",
                    "inc-3": "Xe 61A•••45x61A•••45"}  # fmt: skip
    notes = dict(await rows(pool, "SELECT incident_id, note FROM incident_audit"))
    assert notes["inc-1"] == "gọi •••678" and notes["inc-2"] == f"gọi {PHONE}"
    assert {row["overdue"] for row in await retention.report(NOW)} == {0}
    assert await retention.round(NOW) == dict.fromkeys(changed, 0)
    assert await intact(pool)


async def test_a_note_changed_after_it_was_masked_still_shows(pool: Pool, database: Dsns) -> None:
    await fill(pool)
    await Retention(pool, PrivacySettings(), KEY).round(NOW)
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("UPDATE incident_audit SET note = 'forged' WHERE incident_id = 'inc-1'")
    async with pool.connection() as connection:
        found = await verify(connection, [])
    assert [finding.kind for finding in found.findings] == ["content"]


async def test_only_the_function_of_the_retention_may_change_a_note(pool: Pool) -> None:
    await fill(pool)
    async with pool.connection() as connection:
        await connection.execute("SET LOCAL ioc.masking = 'on'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("UPDATE incident_audit SET note = 'x'")
        await connection.rollback()


async def test_a_phone_number_is_erased_wherever_it_stands_and_who_asked_is_forgotten(pool: Pool) -> None:
    await fill(pool)
    async with pool.connection() as connection:
        number, by, done = await receive(
            connection, "phone", "+84 912 345678", key=KEY, now=NOW, by="cli:x", note="thư"
        )
        assert (by.date().isoformat(), done) == ("2026-11-27", NOW + timedelta(days=15))
        await answer(connection, number, now=NOW, by="cli:x")
        erased = await carry_out(connection, number, key=KEY, seal=Seal(KEY), now=NOW, by="cli:x")
    assert erased == {"reports": 2, "citizens' reports": 3, "incidents": 2}
    kept = await rows(pool, "SELECT id FROM citizen_report WHERE contact IS NOT NULL")
    assert kept == [("r-2",)], "who only named the number stays known"
    assert await rows(pool, "SELECT report_id FROM photo") == [("r-2",)]
    everything = str(
        await rows(pool, "SELECT * FROM feedback_report, incident_audit a, incident i, audit_entry e")
        + await rows(pool, "SELECT text, address FROM citizen_report")
        + await rows(pool, "SELECT text FROM citizen_answer")
        + await rows(pool, "SELECT * FROM privacy_request")
    )
    assert "345 678" not in everything and "345678" not in everything and "345-678" not in everything
    assert "0987 654 321" in everything, "nobody else's"
    async with pool.connection() as connection:
        assert await list_requests(connection, open_only=True) == []
        with pytest.raises(UnknownRequestError):
            await carry_out(connection, number, key=KEY, seal=Seal(KEY), now=NOW, by="cli:x")
    assert await intact(pool)


async def test_a_number_that_a_digit_of_another_script_follows_is_erased_too(pool: Pool) -> None:
    text = "gọi 0912 .. 345 .. 678٣"  # what letters and digits are, the database judges by its own locale
    async with pool.connection() as connection, asyncio.timeout(20):
        await HistoryWriter().write(connection, [event(1, FeedbackReport(category="ổ gà", text=text))])
        assert await erase_in_reports(connection, mask_words, "phone", PHONE) == 1
    assert await rows(pool, "SELECT text FROM feedback_report") == [("gọi •••٣",)]


async def test_a_plate_is_erased_in_plain_text_and_as_a_token(pool: Pool) -> None:
    await fill(pool)
    await Retention(pool, PrivacySettings(), KEY).round(NOW)
    async with pool.connection() as connection:
        number, _, _ = await receive(connection, "plate", "61a12345", key=KEY, now=NOW, by="x", note="")
        erased = await carry_out(connection, number, key=KEY, seal=Seal(KEY), now=NOW, by="x")
    assert erased == {"camera readings": 4, "reports": 0, "citizens' reports": 0, "incidents": 1}
    left = await rows(pool, "SELECT DISTINCT plate FROM camera_event ORDER BY 1")
    assert left == [("51F-999.99",), ("h:",), (plate_token(KEY, "51F-999.99"),)]


async def test_words_of_citizens_who_left_no_contact_are_masked_in_history_too(pool: Pool) -> None:
    words = f"Tôi là Trần An, gọi {PHONE}"
    told = (
        FeedbackReport(category="road", text=words),
        FeedbackVote(report_id="r-1", satisfied=False, text=words),
    )
    async with pool.connection() as connection:
        events = [event(n, each, time_us=OLD, subject="r-1") for n, each in enumerate(told)]
        await HistoryWriter().write(connection, [*events, event(9, told[0], time_us=NEW, subject="r-2")])
    retention = Retention(pool, PrivacySettings(), KEY)
    assert (await retention.round(NOW))["contacts"] == 2
    kept = "SELECT text, subject FROM feedback_report ORDER BY time, event_id"
    assert await rows(pool, kept) == [("Tôi là •••, gọi •••678", None)] * 2 + [(words, "r-2")]
    assert (await retention.round(NOW))["contacts"] == 0, "once"


@pytest.mark.parametrize(("kind", "subject"), [("phone", PHONE), ("plate", PLATE)])
async def test_whom_others_named_in_a_report_an_answer_or_a_vote_is_erased_there(
    pool: Pool, kind: str, subject: str
) -> None:
    async with pool.connection() as connection:
        await HistoryWriter().write(
            connection, [event(1, FeedbackReport(category="road", text=f"x {subject}"))]
        )
        for n, text in enumerate((f"xe của {subject}", "Đường hỏng", "Đường hỏng")):
            report = ReportRow(
                id=f"r-{n}", root=f"r-{n}", service="road", text=text, channel="web", received=NOW, digest=b""
            )
            await add_report(connection, report, code_hash=bytes([n]), contact_hash=None, idem=None)
        await add_answers(connection, ["r-1"], NOW, f"đã hỏi {subject}", "ward")
        await write_changes(connection, [finished(1, NEW, "x")])
        await add_vote(
            connection,
            Vote(report_id="r-2", incident_id="inc-1", resolution=1, satisfied=False, at=NOW, text=subject),
        )
        number, _, _ = await receive(connection, kind, subject, key=KEY, now=NOW, by="x", note="")
        erased = await carry_out(connection, number, key=KEY, seal=Seal(KEY), now=NOW, by="x")
    assert (erased["reports"], erased["citizens' reports"]) == (1, 3)
    left = str(
        await rows(pool, "SELECT text FROM citizen_report UNION ALL SELECT text FROM citizen_answer")
        + await rows(pool, "SELECT text FROM citizen_vote UNION ALL SELECT text FROM feedback_report")
    )
    assert subject not in left and "Đường hỏng" in left


async def test_what_is_no_number_or_plate_is_refused(pool: Pool) -> None:
    async with pool.connection() as connection:
        for kind, subject in (("phone", "0912"), ("phone", "1" * 30), ("plate", "61"), ("plate", "x" * 21)):
            with pytest.raises(ErasureError, match=kind):
                await receive(connection, kind, subject, key=KEY, now=NOW, by="x", note="")


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-11-25T08:00:00+07:00", "2026-11-27"),  # Wednesday
        ("2026-11-27T23:30:00+07:00", "2026-12-01"),  # Friday
        ("2026-11-27T17:30:00+00:00", "2026-12-01"),  # already Saturday in Viet Nam
        ("2026-04-29T08:00:00+07:00", "2026-05-05"),  # before two holidays and a weekend
    ],
)
def test_an_answer_is_due_by_the_vietnamese_working_calendar(received: str, due: str) -> None:
    assert answer_due(datetime.fromisoformat(received), WorkingCalendar()).date().isoformat() == due


async def test_an_answer_is_due_by_the_working_days_of_the_policy_in_force(pool: Pool) -> None:
    days = {"days_off": ["2026-11-26"], "make_up_days": ["2026-11-28"]}
    async with pool.connection() as connection:
        await add_policy(connection, "calendar", days, author="x", reason="x", expect_version=0)
        _, due, _ = await receive(connection, "plate", "61a12345", key=KEY, now=NOW, by="x", note="")
    assert due.date().isoformat() == "2026-11-28", "Friday, and the Saturday that makes up for Thursday"


def test_the_key_is_made_once_for_its_owner_only_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "plate.key"
    key = read_key(path)
    assert len(key) == 32 and read_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="restore it"):
        read_key(path)


def test_two_processes_that_make_the_key_at_once_use_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "plate.key", list[bytes]()

    def while_another_comes_first(size: int) -> bytes:
        monkeypatch.undo()
        other.append(read_key(path))
        return b"k" * size

    monkeypatch.setattr(secrets, "token_bytes", while_another_comes_first)
    assert [read_key(path)] == other
    assert list(tmp_path.iterdir()) == [path]


def test_plates_of_one_vehicle_have_one_token_that_tells_nothing() -> None:
    assert plate_token(KEY, "61A-123.45") == plate_token(KEY, "61a 12345") != plate_token(KEY, "61A-123.46")
    assert plate_token(KEY, "61A-123.45") != plate_token(b"o" * 32, "61A-123.45")
    assert "61A" not in plate_token(KEY, "61A-123.45")
