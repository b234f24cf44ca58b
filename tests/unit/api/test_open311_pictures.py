"""Pictures within a report by Open311, over HTTP: who may send them, how much, and how each refusal reads."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from defusedxml.ElementTree import fromstring

from ioc.api.citizen_ports import QuotaError
from ioc.api.georeport_form import MAX_PICTURES
from ioc.api.intake import IntakeLimits
from ioc.api.open311 import _PICTURE_FAULTS
from ioc.api.ports import PhotosFullError
from ioc.photos.check import MAX_BYTES, RULES, PhotoRefused
from ioc.photos.workshop import WorkshopBusy
from tests.unit.api.conftest import Browser
from tests.unit.api.fake_counter import CODE, REPORT, FakeCitizens, FakeRequests, fake_counter
from tests.unit.api.fakes import FakePhotos, FakeTokens, FakeUsers, make_deps
from tests.unit.api.test_georeport_form import TYPE, body, field, part

ADDRESS = "/open311/v2/requests"
FORM = {"service_code": "light", "lat": "10.98", "long": "106.65", "description": "Đèn không sáng"}
FILE = 'form-data; name="media"; filename="a.jpg"'


class Desk:
    """The interface over fakes, and a partner's key."""

    def __init__(self, users: FakeUsers, browse: Browser, **changes: Any) -> None:
        self.tokens = FakeTokens()
        self.key = self.tokens.add("reports:write")
        self.citizens, self.photos, self.requests = FakeCitizens(), FakePhotos(), FakeRequests()
        limits = changes.pop("limits", None)
        counter = fake_counter(citizens=self.citizens, requests=self.requests, limits=limits)
        deps = make_deps(
            users, tokens=self.tokens, counter=counter, photos=changes.get("photos", self.photos)
        )
        self.client = browse(None, deps, header=False)

    async def post(
        self, *pictures: bytes, kind: str = "json", query: str = "?locale=en", **changes: str
    ) -> httpx.Response:
        return await self.client.post(
            f"{ADDRESS}.{kind}{query}",
            data={"api_key": self.key} | FORM | changes,
            files=[("media", (f"{n}.jpg", data, "image/jpeg")) for n, data in enumerate(pictures)],
        )

    async def post_raw(self, *parts: bytes) -> httpx.Response:
        return await self.client.post(
            f"{ADDRESS}.json?locale=en", content=body(*parts), headers={"content-type": TYPE}
        )


@pytest.fixture
def desk(users: FakeUsers, browse: Browser) -> Desk:
    return Desk(users, browse)


def told(answer: httpx.Response) -> list[tuple[int, str]]:
    return [(error["code"], error["description"]) for error in answer.json()]


async def test_a_report_and_its_pictures_come_to_the_counter_as_one(desk: Desk) -> None:
    answer = await desk.post(b"one", b"two", **{"attribute[pole]": "T-12"})
    assert answer.status_code == 201, answer.text
    (created,) = answer.json()
    assert created["service_request_id"] == REPORT.id and CODE in created["service_notice"]
    as_xml = await desk.post(b"one", kind="xml")
    assert fromstring(as_xml.content).findtext("request/service_request_id") == REPORT.id
    first, second = desk.citizens.told
    assert (first.pictures, second.pictures) == ((b"one", b"two"), (b"one",))
    assert first.text == "Đèn không sáng\nNumber on the pole: T-12"


async def test_a_form_in_parts_without_a_picture_is_a_report_like_any_other(desk: Desk) -> None:
    parts = [field(name, value.encode()) for name, value in ({"api_key": desk.key} | FORM).items()]
    empty = part('form-data; name="media"; filename=""', b"")
    assert (await desk.post_raw(*parts, empty)).status_code == 201
    assert desk.citizens.told[0].pictures == ()


async def test_the_key_comes_before_the_pictures_which_are_not_read_from_strangers(desk: Desk) -> None:
    read = 0

    async def endless(first: bytes) -> AsyncIterator[bytes]:
        nonlocal read
        yield first
        while True:
            read += 1
            yield b"x" * 65_536

    start = part(FILE, b"x" * 10)[:-2]
    for before in (b"", field("api_key", b"ioct_unknown")):
        read = 0
        answer = await desk.client.post(
            f"{ADDRESS}.json?locale=en", content=endless(before + start), headers={"content-type": TYPE}
        )
        assert (answer.status_code, told(answer)[0][0]) == (403, 403)
        assert "before media" in told(answer)[0][1]
        assert read < 3 + MAX_BYTES / 65_536, "what is read on is thrown away, within a bound"
    fields = [field(name, value.encode()) for name, value in FORM.items()]
    late = await desk.post_raw(*fields, part(FILE, b"x"), field("api_key", desk.key.encode()))
    assert late.status_code == 403 and desk.citizens.told == []


async def test_more_than_a_picture_may_have_is_413_whether_it_says_so_or_not(desk: Desk) -> None:
    answer = await desk.post(b"x" * MAX_BYTES, b"x")
    assert told(answer) == [(413, "media: the pictures of one report have at most 10 MB together")]
    in_vietnamese = await desk.post(b"x" * (MAX_BYTES + 1), kind="xml", query="")
    assert in_vietnamese.status_code == 413
    assert "tổng cộng nhiều nhất 10 MB" in str(
        fromstring(in_vietnamese.content).findtext("error/description")
    )
    too_long = await desk.post(b"x", description="x" * 70_000)
    assert (too_long.status_code, told(too_long)[0][0]) == (413, 413)
    assert (await desk.post(*[b"x"] * (MAX_PICTURES + 1))).status_code == 400
    assert desk.citizens.told == []


@pytest.mark.parametrize("rule", RULES)
async def test_each_rule_that_refuses_a_picture_is_told_in_words_of_both_languages(
    desk: Desk, rule: str
) -> None:
    desk.citizens.fault = PhotoRefused(rule)
    english, vietnamese = await desk.post(b"x"), await desk.post(b"x", query="")
    status = 413 if rule == "max_bytes" else 400
    assert told(english) == [(status, f"media: {_PICTURE_FAULTS[rule].en}")]
    assert told(vietnamese) == [(status, f"media: {_PICTURE_FAULTS[rule].vi}")]


async def test_a_counter_with_no_hands_or_room_free_says_when_to_come_again(desk: Desk) -> None:
    desk.photos.fault = WorkshopBusy()
    busy = await desk.post(b"x")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
    assert (await desk.client.post(f"{ADDRESS}.json", data={"api_key": desk.key} | FORM)).status_code == 201
    desk.photos.fault = None
    desk.citizens.fault = PhotosFullError("total_bytes", "full")
    assert (await desk.post(b"x")).status_code == 507
    desk.citizens.fault = QuotaError(60)
    assert (await desk.post(b"x")).headers["retry-after"] == "60"


async def test_where_no_pictures_are_taken_reports_without_them_are(
    users: FakeUsers, browse: Browser
) -> None:
    desk = Desk(users, browse, photos=None)
    assert told(await desk.post(b"x")) == [(400, "media: pictures are not taken here")]
    assert (await desk.client.post(f"{ADDRESS}.json", data={"api_key": desk.key} | FORM)).status_code == 201


async def test_a_report_counts_before_its_pictures_are_read(users: FakeUsers, browse: Browser) -> None:
    desk = Desk(users, browse, limits=IntakeLimits(partner=1))
    assert [(await desk.post(b"x")).status_code for _ in range(2)] == [201, 429]


async def test_the_public_finds_a_released_picture_under_the_address_of_the_report(desk: Desk) -> None:
    (shown,) = (await desk.client.get(f"{ADDRESS}.json")).json()
    assert shown["media_url"] is None
    desk.requests.show_photo("photo-1")
    (shown,) = (await desk.client.get(f"{ADDRESS}.json")).json()
    assert shown["media_url"] == "http://ioc.test/api/v1/public/photos/photo-1"
    as_xml = fromstring((await desk.client.get(f"{ADDRESS}/{REPORT.id}.xml")).content)
    assert as_xml.findtext("request/media_url") == shown["media_url"]


async def test_the_document_names_both_forms_of_sending(desk: Desk) -> None:
    document = (await desk.client.get("/api/v1/openapi.json")).json()
    sending = document["paths"]["/open311/v2/requests.{kind}"]["post"]["requestBody"]["content"]
    assert set(sending) == {"application/x-www-form-urlencoded", "multipart/form-data"}
    assert sending["multipart/form-data"]["schema"]["properties"]["media"]["maxItems"] == MAX_PICTURES
