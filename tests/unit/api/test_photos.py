"""Pictures over HTTP: what is answered, and what an answer with a picture allows a browser to do."""

from collections.abc import AsyncIterator

import pytest

from ioc.api.ports import PhotosFullError
from ioc.ingest.allowance import Allowances
from ioc.photos.check import MAX_BYTES, RULES, PhotoRefused
from ioc.photos.workshop import WorkshopBusy
from ioc.store.photos import Origin
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FakePhotos, FakeUsers, make_deps

STAFF, PUBLIC = "/api/v1/photos", "/api/v1/public/photos"
REASON = "ảnh kết quả, không có người"


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65_536 + 1):
        yield bytes(65_536)


async def test_staff_and_citizens_send_pictures_and_get_a_name_for_each(
    users: FakeUsers, browse: Browser
) -> None:
    photos = FakePhotos()
    async with browse(Role.WARD, make_deps(users, photos=photos)) as client:
        answer = await client.post(STAFF, content=b"picture")
        assert answer.status_code == 201
        assert answer.json() == {"ref": "photo-1", "width": 640, "height": 480, "kept_s": 60.0}
    async with browse(None, make_deps(users, photos=photos)) as client:
        assert (await client.post(PUBLIC, content=b"another")).status_code == 201
        assert (await client.post(STAFF, content=b"picture")).status_code == 401
    assert photos.taken == [(b"picture", Origin.STAFF, "ward-0"), (b"another", Origin.CITIZEN, None)]


@pytest.mark.parametrize("rule", RULES)
async def test_every_refusal_names_its_rule(users: FakeUsers, browse: Browser, rule: str) -> None:
    async with browse(Role.WARD, make_deps(users, photos=FakePhotos(fault=PhotoRefused(rule)))) as client:
        answer = await client.post(STAFF, content=b"x")
    assert answer.status_code == {"max_bytes": 413, "not_an_image": 415}.get(rule, 422)
    (error,) = answer.json()["errors"]
    assert error == {"field": "body", "rule": rule, "detail": RULES[rule]}


async def test_a_picture_that_is_too_large_is_refused_whether_it_says_so_or_not(
    users: FakeUsers, browse: Browser
) -> None:
    photos = FakePhotos()
    async with browse(None, make_deps(users, photos=photos)) as client:
        for body in (bytes(MAX_BYTES + 1), chunks(MAX_BYTES), bytes(4 * MAX_BYTES)):
            answer = await client.post(PUBLIC, content=body)
            assert answer.status_code == 413
            assert answer.json()["errors"][0]["rule"] == "max_bytes"
    assert photos.taken == []


async def test_no_place_and_no_room_are_told_apart(users: FakeUsers, browse: Browser) -> None:
    async with browse(Role.WARD, make_deps(users, photos=FakePhotos(fault=WorkshopBusy()))) as client:
        answer = await client.post(STAFF, content=b"x")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    full = FakePhotos(fault=PhotosFullError("total_bytes", "There is no room."))
    async with browse(Role.WARD, make_deps(users, photos=full)) as client:
        answer = await client.post(STAFF, content=b"x")
        assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (507, "total_bytes")


async def test_an_address_sends_only_so_many_pictures(users: FakeUsers, browse: Browser) -> None:
    photos = FakePhotos()
    deps = make_deps(users, photos=photos, public_photos=Allowances(1 / 60, 2))
    async with browse(None, deps) as client:
        answers = [await client.post(PUBLIC, content=b"x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["retry-after"] == "60"
    assert len(photos.taken) == 2


async def test_a_picture_can_do_nothing_in_a_browser_but_be_seen(users: FakeUsers, browse: Browser) -> None:
    async with browse(Role.WARD, make_deps(users)) as client:
        answer = await client.get(f"{STAFF}/photo-1")
        assert (answer.content, answer.headers["content-type"]) == (b"whole", "image/jpeg")
        assert (await client.get(f"{STAFF}/photo-1?small=true")).content == b"small"
        assert (await client.get(f"{STAFF}/photo-2")).status_code == 404
    told = answer.headers
    assert told["content-security-policy"] == "default-src 'none'; sandbox"
    assert told["x-content-type-options"] == "nosniff"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert told["content-disposition"] == 'inline; filename="ioc-photo-1.jpg"'
    assert told["cache-control"] == "no-store"


async def test_the_public_sees_a_picture_only_while_an_operator_lets_it(
    users: FakeUsers, browse: Browser
) -> None:
    deps = make_deps(users)
    async with browse(None, deps) as public, browse(Role.OPERATOR, deps) as operator:
        assert (await public.get(f"{PUBLIC}/photo-1")).status_code == 404
        path = f"{STAFF}/photo-1/release"
        assert (await operator.post(path, json={"released": True, "reason": "ok"})).status_code == 422
        answer = await operator.post(path, json={"released": True, "reason": REASON})
        assert (answer.status_code, answer.json()["released"]) == (200, True)
        shown = await public.get(f"{PUBLIC}/photo-1")
        assert shown.content == b"whole"
        assert shown.headers["cross-origin-resource-policy"] == "cross-origin", "others' pages may show it"
        await operator.post(path, json={"released": False, "reason": REASON})
        assert (await public.get(f"{PUBLIC}/photo-1")).status_code == 404
    async with browse(Role.WARD, deps) as ward:
        assert (await ward.post(path, json={"released": True, "reason": REASON})).status_code == 403


async def test_an_incidents_pictures_are_seen_where_the_incident_is(browse: Browser) -> None:
    async with browse(Role.WARD) as client:
        (item,) = (await client.get("/api/v1/incidents/inc-1/photos")).json()["items"]
        assert (item["ref"], item["origin"], item["released"]) == ("photo-1", "citizen", False)
        assert (await client.get("/api/v1/incidents/inc-2/photos")).status_code == 404
