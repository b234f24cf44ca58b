"""Open311 through the whole service: a partner's report, its incident, its end, and nothing personal."""

import time
from collections.abc import Iterator

import httpx
import pytest
from defusedxml.ElementTree import fromstring
from typer.testing import CliRunner

from benchmarks.service import Service
from ioc.app.cli.main import app
from tests.acceptance.test_citizens import act, incident_of
from tests.unit.photos import samples

pytestmark = pytest.mark.slow
PHONE, NAME = "0912 345 678", "Nguyễn Thị Hoa"
FORM = {
    "service_code": "flood", "lat": "10.9805", "long": "106.6514", "attribute[depth]": "knee",
    "description": f"Tôi là {NAME}, số {PHONE}: nước ngập <b>đến đầu gối</b> & không rút",
    "phone": PHONE, "first_name": "Hoa", "last_name": "Nguyễn Thị", "email": "hoa@example.vn",
    "address_string": "12 Yersin", "media_url": "https://pictures.example/1.jpg",
}  # fmt: skip


@pytest.fixture
def open311(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{service.url}/open311/v2", timeout=60) as client:
        yield client


@pytest.fixture
def key(service: Service) -> str:
    arguments = [
        "tokens",
        "issue",
        "partner",
        "--scope",
        "reports:write",
        "--data",
        str(service.data),
        "--json",
    ]
    issued = CliRunner().invoke(app, arguments)
    assert issued.exit_code == 0, issued.output
    return str(httpx.Response(200, content=issued.stdout).json()["token"])


def ids(open311: httpx.Client, **query: str) -> list[str]:
    answer = open311.get("/requests.json", params=query)
    assert answer.status_code == 200, answer.text
    return [found["service_request_id"] for found in answer.json()]


def test_a_partners_report_is_an_incident_and_everybody_sees_its_end_but_nothing_of_its_author(
    service: Service, open311: httpx.Client, key: str
) -> None:
    again = {"Idempotency-Key": "partner-report-0001"}
    answers = [open311.post("/requests.json", data=FORM | {"api_key": key}, headers=again) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    (created,), (repeated,) = (answer.json() for answer in answers)
    report_id = created["service_request_id"]
    assert repeated["service_request_id"] == report_id, "sent twice, told once"
    code = repeated["service_notice"].rpartition(" ")[2]
    (found,) = open311.get(f"/tokens/{code}.json").json()
    assert found == {"service_request_id": report_id, "token": code}

    elsewhere = open311.post("/requests.xml?locale=en", data=FORM | {"api_key": key, "long": "100"})
    assert "outside the city" in str(fromstring(elsewhere.content).findtext("error/description"))

    with httpx.Client(
        base_url=f"{service.url}/api/v1", headers=service.login("supervisor"), timeout=60
    ) as desk:
        incident = incident_of(desk, report_id)
        assert incident["category"] == "citizen.flood"
        (told,) = desk.get(f"/incidents/{incident['id']}/reports").json()["items"]
        assert told["media_url"] == FORM["media_url"] and told["text"].endswith("Mức ngập: Đến đầu gối")
        unmasked = desk.post(f"/reports/{report_id}/unmask", json={"reason": "gọi lại hỏi vị trí chính xác"})
        assert unmasked.json() == {"contact": f"{PHONE}, hoa@example.vn, {NAME}"}
        deadline_s = time.monotonic() + 60
        while not (shown := open311.get(f"/requests/{report_id}.json").json()[0])["expected_datetime"]:
            assert time.monotonic() < deadline_s, shown
        assert shown["status"] == "open" and (shown["lat"], shown["long"]) == (10.98, 106.651)
        assert report_id in ids(open311, status="open", service_code="flood,light")
        assert report_id not in ids(open311, status="closed")
        assert report_id not in ids(open311, service_code="light")
        assert report_id not in ids(open311, end_date="2026-01-01T00:00:00Z")
        act(desk, incident["id"], "resolve", note=f"đã thông cống, gọi {PHONE}", override="diễn tập")
    assert ids(open311, status="closed") == [report_id]
    assert ids(open311, service_request_id=f"{report_id},nothing") == [report_id]
    assert ids(open311, page="2", page_size="1", status="closed") == []

    as_xml = open311.get(f"/requests/{report_id}.xml")
    description = fromstring(as_xml.content, forbid_dtd=True).findtext("request/description")
    assert "<b>đến đầu gối</b> & không rút" in str(description), "words, not elements"
    listed = open311.get("/requests.json").text
    for answer in (as_xml.text, listed, httpx.get(f"{service.url}/metrics").text, service.output.read_text()):
        for secret in (
            PHONE,
            "Thị Hoa",
            "hoa@example.vn",
            "Yersin",
            "pictures.example",
            "thông cống",
            code,
            key,
        ):
            assert secret not in answer, secret


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_a_partners_picture_is_seen_by_staff_and_by_everybody_once_it_is_released(
    service: Service, open311: httpx.Client, key: str, kind: str
) -> None:
    def send(*pictures: bytes) -> httpx.Response:
        return open311.post(
            f"/requests.{kind}",
            data=FORM | {"api_key": key, "media_url": ""},
            files=[("media", ("a.jpg", picture, "image/jpeg")) for picture in pictures],
        )

    def value(answer: httpx.Response, name: str) -> str | None:
        if kind == "json":
            found = answer.json()[0].get(name)
        else:
            found = fromstring(answer.content, forbid_dtd=True).findtext(f"*/{name}")
        return str(found) if found else None

    before = ids(open311)
    for fault, status in (
        (samples.bomb(), 400), (samples.zip_behind(), 400), (b"<svg/>", 400), (bytes(11 << 20), 413),
    ):  # fmt: skip
        refused = send(samples.jpeg(), fault)
        assert (refused.status_code, value(refused, "code")) == (status, str(status))
        assert str(value(refused, "description")).startswith("media: ")
    assert ids(open311) == before, "nothing of it was kept"

    taken = send(samples.phone_photo())
    assert taken.status_code == 201, taken.text
    report_id = str(value(taken, "service_request_id"))
    address = f"/requests/{report_id}.{kind}"
    assert value(open311.get(address), "media_url") is None
    with httpx.Client(
        base_url=f"{service.url}/api/v1", headers=service.login("supervisor"), timeout=60
    ) as desk:
        (photo,) = desk.get(f"/incidents/{incident_of(desk, report_id)['id']}/photos").json()["items"]
        release = {"released": True, "reason": "không thấy mặt người và biển số"}
        assert desk.post(f"/photos/{photo['ref']}/release", json=release).status_code == 200
    picture = httpx.get(str(value(open311.get(address), "media_url")))
    assert picture.status_code == 200 and picture.content.startswith(b"\xff\xd8\xff")
    assert b"Exif" not in picture.content and b"Xiaomi" not in picture.content
