"""Open311 over HTTP: keys, languages, refusals and what is passed on to the citizens' counter."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx
import msgspec
import psycopg
import pytest
from defusedxml.ElementTree import fromstring

from ioc.api.access_table import TokenScope
from ioc.api.citizen_ports import QuotaError, UnfitReportError
from ioc.api.intake import IntakeLimits
from ioc.incidents.citizens import ReportStatus
from tests.unit.api.conftest import Browser
from tests.unit.api.fake_counter import CODE, REPORT, FakeCitizens, FakeRequests, fake_counter
from tests.unit.api.fakes import CITY, FakeTokens, FakeUsers, make_deps

PREFIX = "/open311/v2"
FORM = {"service_code": "light", "lat": "10.98", "long": "106.65", "description": "Đèn không sáng"}
XML, JSON = "text/xml; charset=utf-8", "application/json; charset=utf-8"


class Desk:
    """The interface over fakes, asked by nobody known, and a partner's key."""

    def __init__(self, users: FakeUsers, browse: Browser, **changes: object) -> None:
        self.tokens = FakeTokens()
        self.key = self.tokens.add(TokenScope.REPORTS_WRITE.value)
        self.citizens, self.requests = FakeCitizens(), FakeRequests()
        counter = fake_counter(citizens=self.citizens, requests=self.requests, **changes)  # type: ignore[arg-type]
        deps = make_deps(users, tokens=self.tokens, counter=counter)
        self.client = browse(None, deps, header=False)

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(PREFIX + path)

    async def post(
        self, changes: dict[str, str] | None = None, kind: str = "json", **headers: str
    ) -> httpx.Response:
        form = {"api_key": self.key} | FORM | (changes or {})
        return await self.client.post(f"{PREFIX}/requests.{kind}", data=form, headers=headers)


@pytest.fixture
def desk(users: FakeUsers, browse: Browser) -> Desk:
    return Desk(users, browse)


def told(answer: httpx.Response) -> list[tuple[int, str]]:
    return [(error["code"], error["description"]) for error in answer.json()]


async def test_each_document_comes_as_json_and_as_xml(desk: Desk) -> None:
    for path, root in {
        "/discovery": "discovery",
        "/services": "services",
        "/services/flood": "service_definition",
        "/requests": "service_requests",
        f"/requests/{REPORT.id}": "service_requests",
        f"/tokens/{CODE}": "service_requests",
    }.items():
        as_json, as_xml = await desk.get(f"{path}.json"), await desk.get(f"{path}.xml")
        assert (as_json.status_code, as_json.headers["content-type"]) == (200, JSON), path
        assert (as_xml.status_code, as_xml.headers["content-type"]) == (200, XML), path
        assert fromstring(as_xml.content).tag == root
        assert isinstance(as_json.json(), dict if path in ("/discovery", "/services/flood") else list)


async def test_a_partners_report_comes_to_the_counter_and_its_author_gets_a_code(desk: Desk) -> None:
    answer = await desk.post({"phone": "0912345678", "attribute[pole]": "T-12"})
    assert answer.status_code == 201, answer.text
    (created,) = answer.json()
    assert created["service_request_id"] == REPORT.id and CODE in created["service_notice"]
    (submission,) = desk.citizens.told
    assert submission.text == "Đèn không sáng\nSố trụ đèn: T-12"
    assert (submission.channel, submission.partner) == ("open311", "reports:write")
    assert (submission.lon, submission.lat, submission.contact) == (106.65, 10.98, "0912345678")


async def test_a_report_without_words_is_told_in_those_of_its_service(desk: Desk) -> None:
    assert (await desk.post({"description": ""})).status_code == 201
    assert desk.citizens.told[0].text == "Đèn đường, đèn tín hiệu hỏng"


async def test_only_a_key_for_reports_in_the_body_opens_the_counter(desk: Desk) -> None:
    other = desk.tokens.add(TokenScope.HISTORY.value)
    for key in ("", "ioct_unknown", other, "x" * 10_000):
        answer = await desk.post({"api_key": key})
        assert (answer.status_code, told(answer)[0][0]) == (403, 403), key[:20]
    form = urlencode(FORM)
    answer = await desk.client.post(
        f"{PREFIX}/requests.json?api_key={desk.key}",
        content=form,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 403, "addresses are logged"
    assert desk.citizens.told == []


async def test_everything_wrong_is_told_in_the_specifications_form(desk: Desk) -> None:
    answer = await desk.post({"lat": "", "email": "x"}, kind="xml")
    assert (answer.status_code, answer.headers["content-type"]) == (400, XML)
    errors = fromstring(answer.content)
    assert [error.findtext("code") for error in errors] == ["400", "400"]
    assert "lat và long" in (errors[0].findtext("description") or "")
    english = await desk.client.get(f"{PREFIX}/requests.json?status=x&locale=en")
    assert told(english) == [(400, "status: expected open or closed")]
    assert told(await desk.get("/requests.json?status=x")) == [(400, "status: phải là open hoặc closed")]


@pytest.mark.parametrize("path", ["/services/aliens", "/requests/261128-0", "/tokens/AAAAA-AAAAA-A"])
async def test_what_does_not_exist_is_404(desk: Desk, path: str) -> None:
    answer = await desk.get(f"{path}.json")
    assert (answer.status_code, told(answer)[0][0]) == (404, 404)


@pytest.mark.parametrize("path", ["/services.csv", "/requests/1%00.csv", "/requests/" + "x" * 41 + ".json"])
async def test_an_address_that_cannot_be_is_400(desk: Desk, path: str) -> None:
    assert (await desk.get(path)).status_code == 400


@pytest.mark.parametrize(
    ("fault", "status", "part"),
    [
        (UnfitReportError("lon", "in_city", "x"), 400, "ngoài thành phố"),
        (UnfitReportError("lon", "in_ward", "x"), 400, "không thuộc phường"),
        (UnfitReportError("service", "service", "x"), 404, "service_code"),
        (UnfitReportError("photos", "photo_unknown", "not there"), 400, "photos: not there"),
        (QuotaError(60), 429, "chờ"),
    ],
)
async def test_what_the_counter_refuses_is_told_in_the_specifications_names(
    desk: Desk, fault: UnfitReportError | QuotaError, status: int, part: str
) -> None:
    desk.citizens.fault = fault
    answer = await desk.post()
    ((code, description),) = told(answer)
    assert (answer.status_code, code) == (status, status)
    assert part in description
    assert answer.headers.get("retry-after") == ("60" if status == 429 else None)


async def test_a_partner_sends_only_so_many_and_everybody_looks_only_so_often(
    users: FakeUsers, browse: Browser
) -> None:
    desk = Desk(users, browse, limits=IntakeLimits(partner=2, looks=2))
    assert [(await desk.post()).status_code for _ in range(3)] == [201, 201, 429]
    answers = [await desk.get(f"/tokens/{CODE}.json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0


async def test_a_jurisdiction_that_is_not_ours_is_404(users: FakeUsers, browse: Browser) -> None:
    desk = Desk(users, browse, jurisdiction="binhduong.gov.vn")
    assert (await desk.get("/services.json?jurisdiction_id=sfgov.org")).status_code == 404
    assert (await desk.post({"jurisdiction_id": "sfgov.org"})).status_code == 404
    for path in ("/services.json", "/services.json?jurisdiction_id=binhduong.gov.vn"):
        assert (await desk.get(path)).status_code == 200


async def test_a_key_of_the_sender_makes_a_repeat_known(desk: Desk) -> None:
    await desk.post(**{"idempotency-key": "0123456789abcdef"})
    assert desk.citizens.told[0].idem == "0123456789abcdef"
    assert (await desk.post(**{"idempotency-key": "short"})).status_code == 400


async def test_a_body_that_is_no_form_is_400(desk: Desk) -> None:
    for content_type in (
        "application/json",
        "text/xml",
        "multipart/form-data; boundary=x",
        "multipart/mixed",
    ):
        answer = await desk.client.post(
            f"{PREFIX}/requests.json", content=b"<!DOCTYPE x>", headers={"content-type": content_type}
        )
        assert answer.status_code == 400


async def test_a_body_that_is_too_large_is_413_whether_it_says_so_or_not(desk: Desk) -> None:
    form = {"description": "x" * 100_000}
    assert told(await desk.post(form))[0][0] == 413

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    answer = await desk.client.post(
        f"{PREFIX}/requests.json",
        content=endless(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, told(answer)[0][0]) == (413, 413)


async def test_a_database_that_is_away_is_503(desk: Desk) -> None:
    desk.requests.fault = psycopg.OperationalError("away")
    answer = await desk.get("/requests.json")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_report_is_shown_with_its_status_in_words_and_whole_seconds(desk: Desk) -> None:
    (shown,) = (await desk.get("/requests.json?locale=en")).json()
    assert (shown["status"], shown["status_notes"]) == ("open", "Received.")
    assert shown["service_name"] == "Street or traffic light out"
    assert "." not in shown["requested_datetime"]
    for status in ReportStatus:
        desk.requests.known = [msgspec.structs.replace(REPORT, status=status, service="gone")]
        (shown,) = (await desk.get("/requests.json")).json()
        assert (shown["status"] == "closed") == (status in (ReportStatus.DONE, ReportStatus.REJECTED))
        assert shown["status_notes"] and shown["service_name"] == "gone"


async def test_the_interface_names_its_own_address(desk: Desk) -> None:
    found = (await desk.get("/discovery.json")).json()
    assert found["endpoints"][0]["url"] == "http://ioc.test/open311/v2"
    assert found["endpoints"][0]["formats"] == ["application/json", "text/xml"]


@pytest.mark.parametrize(("demo", "kind"), [(True, "test"), (False, "production")])
async def test_a_demonstration_says_that_its_reports_are_a_test(
    users: FakeUsers, browse: Browser, demo: bool, kind: str
) -> None:
    city = msgspec.structs.replace(CITY, demo=demo)
    deps = make_deps(users, counter=fake_counter(), city=lambda: city)
    async with browse(None, deps) as client:
        found = (await client.get(f"{PREFIX}/discovery.json")).json()
    assert found["endpoints"][0]["type"] == kind
