"""Pictures on a real PostgreSQL: refused ones leave nothing, kept ones belong to an incident."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ioc.api.ports import NotFoundError, PhotosFullError
from ioc.app.incidents.service import IncidentService
from ioc.app.photos import StoredPhotos
from ioc.app.privacy import Retention
from ioc.app.settings.sections import PhotoSettings, PrivacySettings
from ioc.incidents.commands import Command, Op, Refused
from ioc.model.incidents import Handling
from ioc.photos.check import PhotoRefused
from ioc.store.incidents import write_changes
from ioc.store.photos import Origin, claim_for_report, leave_incident, released_of
from ioc.store.pool import Pool
from ioc.store.reports import ReportRow
from ioc.store.reports import add_report as store_report
from ioc.store.row_scope import NOBODY, SERVICE, RowScope, ScopedPool, acting_as
from ioc.store.users import Person, Role
from tests.integration.store.test_incidents import change, incident
from tests.unit.photos import samples

OWN, FOREIGN = "25747", "25750"
DAY_S = 86_400.0
CUONG = Person(username="cuong", name="Cường", role=Role.WARD, wards=(OWN,))
DUNG = Person(username="dung", name="Dũng", role=Role.WARD, wards=(FOREIGN,))
AN = Person(username="an", name="An", role=Role.OPERATOR, wards=None)
PICTURE = samples.phone_photo()


def keeper(pool: ScopedPool, **settings: int) -> StoredPhotos:
    return StoredPhotos(pool, PhotoSettings(**settings), kept_s=DAY_S)


async def fetch(pool: ScopedPool, statement: str, *values: object) -> list[tuple[Any, ...]]:
    async with pool.of(SERVICE).connection() as connection:
        return await (await connection.execute(statement.encode(), values)).fetchall()


async def run(pool: ScopedPool, statement: str, *values: object) -> None:
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute(statement.encode(), values)


async def add_incident(pool: ScopedPool, ward: str = OWN, number: int = 1) -> str:
    row = incident(number, id=f"inc-{number}", key=f"k{number}", ward=ward, handling=Handling.ACKNOWLEDGED)
    async with pool.of(SERVICE).connection() as connection:
        await write_changes(connection, [change(row)])
    return row.id


def serving(person: Person) -> Any:
    return acting_as(RowScope.of_person(person.username, person.wards))


async def resolve(pool: Pool, incident_id: str, photo: str, idem: str = "idem-0001") -> None:
    command = Command(op=Op.RESOLVE, expect_rev=1, idem=idem, note="đã vá", photo=photo)
    await IncidentService(pool).command(incident_id, command, "cuong")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (samples.bomb(), "max_pixels"),
        (samples.text_bomb(), "broken"),
        (samples.png(6_000, 5_000, "1"), "max_pixels"),
        (samples.jpeg() + bytes(11 << 20), "max_bytes"),
        (samples.gif_that_is_a_script(), "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (samples.zip_behind(), "polyglot"),
        (samples.animated("WEBP"), "animated"),
        (samples.jpeg(640, 480)[:2_000], "broken"),
    ],
    ids=["bomb", "text bomb", "30 MP", "11 MB", "GIF/JS", "SVG", "JPEG/ZIP", "animation", "truncated"],
)
async def test_of_a_refused_picture_nothing_is_stored(pool: ScopedPool, data: bytes, rule: str) -> None:
    with pytest.raises(PhotoRefused) as caught:
        await keeper(pool).take(data, Origin.CITIZEN, None)
    assert caught.value.rule == rule
    assert await fetch(pool, "SELECT ref FROM photo") == []


async def test_a_kept_picture_is_the_one_made_anew_under_a_name_nobody_guesses(pool: ScopedPool) -> None:
    photos = keeper(pool)
    one, two = [await photos.take(PICTURE, Origin.STAFF, "cuong") for _ in range(2)]
    assert len(one.ref) == 32 and one.ref != two.ref
    ((picture, size),) = await fetch(pool, "SELECT picture, bytes FROM photo WHERE ref = %s", one.ref)
    with serving(CUONG):
        assert await photos.read(one.ref, CUONG, small=False) == bytes(picture)
        small = await photos.read(one.ref, CUONG, small=True)
    assert one.bytes == size == len(picture) + len(small)
    assert b"Xiaomi" not in picture


async def test_an_incident_is_resolved_with_a_picture_that_exists_and_is_free(pool: ScopedPool) -> None:
    photos, service = keeper(pool), pool.of(SERVICE)
    first, second = await add_incident(pool), await add_incident(pool, number=2)
    mine = await photos.take(PICTURE, Origin.STAFF, "cuong")
    citizens = await photos.take(PICTURE, Origin.CITIZEN, None)
    for unknown in ("0" * 32, "2026/11/anh-1.jpg", citizens.ref):
        with pytest.raises(Refused) as caught:
            await resolve(service, first, unknown)
        assert (caught.value.rule, caught.value.field) == ("photo_unknown", "args.photo")

    await resolve(service, first, mine.ref)
    await resolve(service, first, mine.ref)  # A repeat is answered, not refused.

    with pytest.raises(Refused):
        await resolve(service, second, mine.ref, "idem-0002")
    with serving(AN):
        assert [info.ref for info in await photos.of_incident(first)] == [mine.ref]
    assert await fetch(pool, "SELECT handling FROM incident ORDER BY id") == [
        ("resolved",),
        ("acknowledged",),
    ]


async def test_a_refused_command_leaves_its_picture_free(pool: ScopedPool) -> None:
    photos, incident_id = keeper(pool), await add_incident(pool)
    mine = await photos.take(PICTURE, Origin.STAFF, "cuong")
    command = Command(op=Op.RESOLVE, expect_rev=1, idem="idem-0001", photo=mine.ref)
    with pytest.raises(Refused, match="note"):
        await IncidentService(pool.of(SERVICE)).command(incident_id, command, "cuong")
    assert await fetch(pool, "SELECT incident_id FROM photo") == [(None,)]


async def test_a_picture_is_seen_by_those_who_see_its_incident_and_by_who_sent_it(pool: ScopedPool) -> None:
    photos, incident_id = keeper(pool), await add_incident(pool)
    sent = await photos.take(PICTURE, Origin.STAFF, "dung")
    reported = await photos.take(PICTURE, Origin.CITIZEN, None)
    await run(pool, "UPDATE photo SET incident_id = %s WHERE ref = %s", incident_id, reported.ref)

    for person, ref, seen in (
        (CUONG, reported.ref, True), (DUNG, reported.ref, False), (AN, reported.ref, True),
        (CUONG, sent.ref, False), (DUNG, sent.ref, True), (AN, sent.ref, True),
    ):  # fmt: skip
        with serving(person):
            if seen:
                assert await photos.read(ref, person, small=True)
            else:
                with pytest.raises(NotFoundError):
                    await photos.read(ref, person, small=True)
                with pytest.raises(NotFoundError):
                    await photos.release(ref, person, "x" * 10, released=True)
    with acting_as(NOBODY), pytest.raises(NotFoundError):
        await photos.read(sent.ref, AN, small=True)


async def test_looks_at_citizens_pictures_and_their_release_are_in_the_audit_log(pool: ScopedPool) -> None:
    photos = keeper(pool)
    sent = await photos.take(PICTURE, Origin.STAFF, "an")
    reported = await photos.take(PICTURE, Origin.CITIZEN, None)
    with serving(AN):
        await photos.read(sent.ref, AN, small=False)
        await photos.read(reported.ref, AN, small=True)
        await photos.read(reported.ref, AN, small=False)
        for released in (True, True, False):
            await photos.release(reported.ref, AN, "không có người", released=released)
    told = await fetch(
        pool, "SELECT op, actor, subject FROM audit_entry WHERE area = 'personal' ORDER BY seq"
    )
    assert told == [(op, "an", reported.ref) for op in ("photo_seen", "photo_released", "photo_withdrawn")]


async def test_the_public_sees_released_pictures_only(pool: ScopedPool) -> None:
    photos = keeper(pool)
    reported = await photos.take(PICTURE, Origin.CITIZEN, None)
    with acting_as(NOBODY), pytest.raises(NotFoundError):
        await photos.read_released(reported.ref, small=False)
    with serving(AN):
        await photos.release(reported.ref, AN, "không có người", released=True)
    with acting_as(NOBODY):
        assert (await photos.read_released(reported.ref, small=False)).startswith(b"\xff\xd8\xff")


async def test_a_report_claims_all_its_pictures_or_none(pool: ScopedPool) -> None:
    photos = keeper(pool)
    one, two = [(await photos.take(PICTURE, Origin.CITIZEN, None)).ref for _ in range(2)]
    staff = (await photos.take(PICTURE, Origin.STAFF, "an")).ref
    async with pool.of(SERVICE).connection() as connection:
        assert not await claim_for_report(connection, [one, staff], "r1")
        assert not await claim_for_report(connection, [one, "0" * 32], "r1")
        assert await claim_for_report(connection, [one, two], "r1")
        assert await claim_for_report(connection, [one, two], "r1"), "a repeat"
        assert not await claim_for_report(connection, [two], "r2")
    assert set(await fetch(pool, "SELECT ref, report_id FROM photo")) == {
        (one, "r1"),
        (two, "r1"),
        (staff, None),
    }


async def test_both_bounds_of_storage_refuse_by_their_name(pool: ScopedPool) -> None:
    with pytest.raises(PhotosFullError) as caught:
        await keeper(pool, total_bytes=100).take(PICTURE, Origin.STAFF, "an")
    assert caught.value.rule == "total_bytes"
    await keeper(pool, unclaimed=1).take(PICTURE, Origin.STAFF, "an")
    with pytest.raises(PhotosFullError) as caught:
        await keeper(pool, unclaimed=1).take(PICTURE, Origin.STAFF, "an")
    assert caught.value.rule == "unclaimed"
    assert len(await fetch(pool, "SELECT ref FROM photo")) == 1
    # What nothing claimed in its time makes room by itself.
    await run(pool, "DELETE FROM photo")
    await StoredPhotos(pool, PhotoSettings(unclaimed=1), kept_s=DAY_S).take(PICTURE, Origin.STAFF, "an")
    await StoredPhotos(pool, PhotoSettings(unclaimed=1), kept_s=1e-6).take(PICTURE, Origin.STAFF, "an")


async def test_pictures_end_on_their_dates_but_not_while_their_incident_is_open(pool: ScopedPool) -> None:
    photos, now = keeper(pool), datetime.now(UTC)
    refs = {
        name: (await photos.take(PICTURE, Origin.CITIZEN, None)).ref
        for name in (
            "unclaimed",
            "reported",
            "of open",
            "of finished",
            "of part of open",
            "of part of finished",
        )
    }
    for number, handling, head in (
        (1, Handling.IN_PROGRESS, None),
        (2, Handling.CLOSED, None),
        (3, Handling.MERGED, "inc-1"),
        (4, Handling.MERGED, "inc-2"),
    ):
        row = incident(
            number, id=f"inc-{number}", key=f"k{number}", ward=OWN, handling=handling, merged_into=head
        )
        async with pool.of(SERVICE).connection() as connection:
            await write_changes(connection, [change(row)])
    await run(pool, "UPDATE photo SET report_id = 'r' WHERE ref <> %s", refs["unclaimed"])
    await run(pool, "UPDATE photo SET incident_id = 'inc-1' WHERE ref = %s", refs["of open"])
    await run(pool, "UPDATE photo SET incident_id = 'inc-2' WHERE ref = %s", refs["of finished"])
    await run(pool, "UPDATE photo SET incident_id = 'inc-3' WHERE ref = %s", refs["of part of open"])
    await run(pool, "UPDATE photo SET incident_id = 'inc-4' WHERE ref = %s", refs["of part of finished"])
    retention = Retention(pool.of(SERVICE), PrivacySettings(), b"k" * 32)

    async def left() -> set[str]:
        names = {ref: name for name, ref in refs.items()}
        return {names[ref] for (ref,) in await fetch(pool, "SELECT ref FROM photo")}

    await retention.round(now + timedelta(hours=23))
    assert await left() == set(refs)
    changed = await retention.round(now + timedelta(days=2))
    assert (changed["unclaimed"], changed["photos"]) == (1, 0)
    assert await left() == set(refs) - {"unclaimed"}
    changed = await retention.round(now + timedelta(days=181))
    assert (changed["unclaimed"], changed["photos"]) == (0, 3)
    assert await left() == {"of open", "of part of open"}
    standing = {row["purpose"]: row["overdue"] for row in await retention.report(now + timedelta(days=181))}
    assert (standing["photos"], standing["unclaimed"]) == (0, 0)


async def add_report(pool: ScopedPool, report_id: str, root: str, refs: list[str]) -> None:
    report = ReportRow(
        id=report_id, root=root, service="road", text="ổ gà", channel="web", ward=OWN, photos=refs,
        received=datetime.now(UTC), digest=b"d",
    )  # fmt: skip
    async with pool.of(SERVICE).connection() as connection:
        await store_report(
            connection, report, code_hash=report_id.encode(), contact_hash=None, idem=f"idem-{report_id}"
        )
        assert await claim_for_report(connection, refs, report_id)


async def test_a_citizens_picture_comes_to_its_incident_and_goes_with_it(pool: ScopedPool) -> None:
    photos = keeper(pool)
    first, second = [(await photos.take(PICTURE, Origin.CITIZEN, None)).ref for _ in range(2)]
    await add_report(pool, "r1", "r1", [first])
    row = incident(
        1, id="inc-1", rule="citizen-report", key="citizens|r1", ward=OWN, handling=Handling.ACKNOWLEDGED
    )
    async with pool.of(SERVICE).connection() as connection:
        await write_changes(connection, [change(row)])
    await add_report(pool, "r2", "r1", [second])

    with serving(CUONG):
        assert [info.ref for info in await photos.of_incident("inc-1")] == [first, second]
    await run(pool, "UPDATE incident SET ward = %s WHERE id = 'inc-1'", FOREIGN)
    for person, shown in ((CUONG, []), (DUNG, [first, second])):
        with serving(person):
            assert [info.ref for info in await photos.of_incident("inc-1")] == shown

    async with pool.of(SERVICE).connection() as connection:
        await leave_incident(connection, "r2")
    assert dict(await fetch(pool, "SELECT ref, incident_id FROM photo")) == {first: "inc-1", second: None}
    with serving(AN):
        await photos.release(first, AN, "không có người", released=True)
    async with pool.of(SERVICE).connection() as connection:
        assert await released_of(connection, "inc-1") == [first]
