"""Pictures within a report: with it or not at all, and with its incident whoever comes first."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from ioc.api.citizen_ports import QuotaError, Submission, UnfitReportError
from ioc.api.georeport_input import RequestQuery
from ioc.app.citizens.public_requests import StoredRequests
from ioc.app.photos import StoredPhotos
from ioc.app.settings.sections import PhotoSettings
from ioc.incidents.policies import Policies
from ioc.photos.check import PhotoRefused
from ioc.store.photos import Origin, claim_for_report, put
from ioc.store.reports import ReportRow, add_report
from ioc.store.row_scope import SERVICE, RowScope, ScopedPool, acting_as
from ioc.store.users import Person, Role
from tests.integration.app.counter_room import HOLE, OWN, Log, counter, fetch, raise_incident
from tests.unit.photos import samples

PICTURE = samples.phone_photo()
SENT = Submission(
    channel="open311", partner="p1", service="road", text="Ổ gà lớn", lon=106.65, lat=10.98,
    pictures=(PICTURE, samples.png()), idem="idem-000000000001",
)  # fmt: skip
AN = Person(username="an", name="An", role=Role.OPERATOR, wards=None)
CLAIMED = "SELECT ref, report_id, incident_id FROM photo ORDER BY ref"


async def test_pictures_are_stored_anew_with_their_report_which_names_them(pool: ScopedPool) -> None:
    receipt = await counter(pool, Log()).submit(SENT)
    stored = await fetch(pool, "SELECT ref, report_id, picture FROM photo")
    ((named,),) = await fetch(pool, "SELECT photos FROM citizen_report")
    assert {ref for ref, _, _ in stored} == set(named) and len(named) == 2
    assert {report_id for _, report_id, _ in stored} == {receipt.id}
    for _, _, picture in stored:
        assert bytes(picture).startswith(b"\xff\xd8\xff") and b"Xiaomi" not in bytes(picture)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (samples.bomb(), "max_pixels"),
        (samples.zip_behind(), "polyglot"),
        (samples.gif_that_is_a_script(), "not_an_image"),
        (samples.jpeg(640, 480)[:2_000], "broken"),
    ],
)
async def test_of_a_report_with_a_picture_that_is_refused_nothing_is_kept(
    pool: ScopedPool, data: bytes, rule: str
) -> None:
    log = Log()
    with pytest.raises(PhotoRefused) as caught:
        await counter(pool, log).submit(msgspec.structs.replace(SENT, pictures=(PICTURE, data)))
    assert caught.value.rule == rule
    assert await fetch(pool, "SELECT id FROM citizen_report") == await fetch(pool, CLAIMED) == log.told == []


async def test_of_a_report_that_is_refused_no_picture_is_kept(pool: ScopedPool) -> None:
    desk = counter(pool, Log(), per_contact=0)
    with pytest.raises(QuotaError):
        await desk.submit(msgspec.structs.replace(SENT, contact="0912345678"))
    with pytest.raises(UnfitReportError):
        await desk.submit(msgspec.structs.replace(SENT, joins="261128-nothing"))
    with pytest.raises(UnfitReportError):
        await desk.submit(msgspec.structs.replace(SENT, photos=("0" * 32,)))
    assert await fetch(pool, CLAIMED) == await fetch(pool, "SELECT id FROM citizen_report") == []


async def test_a_repeat_brings_its_pictures_once_and_another_picture_is_no_repeat(pool: ScopedPool) -> None:
    desk = counter(pool, Log())
    first, again = await desk.submit(SENT), await desk.submit(SENT)
    assert (again.id, len(await fetch(pool, CLAIMED))) == (first.id, 2)
    with pytest.raises(UnfitReportError) as caught:
        await desk.submit(msgspec.structs.replace(SENT, pictures=(PICTURE,)))
    assert caught.value.rule == "idem_reused"
    async with asyncio.TaskGroup() as group:
        same = msgspec.structs.replace(SENT, idem="idem-000000000002", lon=106.60)
        sent = [group.create_task(desk.submit(same)) for _ in range(3)]
    assert len({each.result().id for each in sent}) == 1
    assert len(await fetch(pool, CLAIMED)) == 4


async def test_the_public_finds_a_picture_of_its_report_once_it_is_released(pool: ScopedPool) -> None:
    receipt = await counter(pool, Log()).submit(SENT)
    requests, now = StoredRequests(pool, Policies), datetime.now(UTC)
    photos = StoredPhotos(pool, PhotoSettings(), kept_s=60.0)

    async def shown() -> str | None:
        (found,) = await requests.find(RequestQuery(ids=(receipt.id,), start=now, end=now))
        return found.photo

    assert await shown() is None
    ((first, *_), (second, *_)) = await fetch(pool, CLAIMED)
    for ref, released, expected in ((second, True, second), (first, True, first), (first, False, second)):
        with acting_as(RowScope.of_person("an", None)):
            await photos.release(ref, AN, "không có người", released=released)
        assert await shown() in ({first, second} if expected == first else {expected})


async def test_a_picture_finds_the_incident_that_is_raised_while_its_report_joins(pool: ScopedPool) -> None:
    leader = (await counter(pool, Log()).submit(HOLE)).id
    joining = ReportRow(
        id="r2", root=leader, service="road", text="ổ gà", channel="web", ward=OWN,
        received=datetime.now(UTC), digest=b"d",
    )  # fmt: skip
    blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        async with pool.of(SERVICE).connection() as connection, connection.transaction():
            made = await StoredPhotos(pool, PhotoSettings(), kept_s=60.0).make(PICTURE, Origin.CITIZEN)
            info = await put(connection, made, Origin.CITIZEN, None)
            await add_report(connection, joining, code_hash=b"c", contact_hash=None, idem=None)
            assert await claim_for_report(connection, [info.ref], "r2")
            # The rule raises the incident before the report that joins has been committed.
            raising = group.create_task(raise_incident(pool, leader))
            while not raising.done() and await fetch(pool, blocked) == [(0,)]:
                pass
        await raising
    assert await fetch(pool, CLAIMED) == [(info.ref, "r2", f"inc-{leader}")]


async def test_citizens_and_staff_have_room_of_their_own_for_pictures_of_nothing_yet(
    pool: ScopedPool,
) -> None:
    photos = StoredPhotos(pool, PhotoSettings(unclaimed=1), kept_s=86_400.0)
    await photos.take(PICTURE, Origin.CITIZEN, None)
    await photos.take(PICTURE, Origin.STAFF, "an")
    await counter(pool, Log()).submit(SENT)
    assert len(await fetch(pool, CLAIMED)) == 4
