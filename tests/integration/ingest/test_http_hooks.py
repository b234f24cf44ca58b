"""Hardware that can send no header of ours: logging in, and addresses that end with the key."""

import base64
import json
import logging
from typing import Any

import httpx
import prometheus_client
import pytest
import structlog
from fastapi import FastAPI

from ioc.ingest.http import ingest_router
from ioc.ingest.limits import IngestLimits
from ioc.ingest.registry import RegistrySnapshot, hash_key
from ioc.model.places import Device, DeviceKind
from tests.conformance.dahua import PUSH, record
from tests.conformance.hikvision import ANPR, alert, multipart
from tests.conformance.platerecognizer import HOOK, form
from tests.integration.ingest.test_http import assert_problem
from tests.unit.ingest.fakes import City

EVENTS = "/api/v1/ingest/events"
NOW = "2026-11-22T16:59:58+07:00"
JPEG = b"\xff\xd8\xff\xe0" + bytes(2_000_000)
CAMERAS = {
    "hik-1": ("hikvision", ()),
    "dahua-1": ("dahua", ()),
    "pr-1": ("platerecognizer", ("pr-1-*",)),
    "pr-1-camera-1": ("cloudevents", ()),
    "ce-1": ("cloudevents", ()),
}


def city(limits: IngestLimits | None = None) -> City:
    found = City(limits)
    devices = [
        Device(
            id=name,
            kind=DeviceKind.CAMERA,
            name=name,
            lon=106.65,
            lat=10.98,
            decoder=decoder,
            covers=covers,
            time_zone="Asia/Ho_Chi_Minh",
        )
        for name, (decoder, covers) in CAMERAS.items()
    ]
    keys = [(hash_key(f"iocd_{name}"), name) for name in CAMERAS]
    found.registry.replace(RegistrySnapshot(devices, keys))
    return found


async def post(city: City, path: str, content: bytes, **headers: str) -> httpx.Response:
    app = FastAPI()
    app.include_router(ingest_router(city.service))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ioc") as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(path, content=content, headers=named)


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


async def test_hikvision_posts_a_plate_with_a_large_picture_to_its_address() -> None:
    met = city()
    body = multipart(("anpr.xml", "text/xml", alert("ANPR", ANPR)), ("a.jpg", "image/jpeg", JPEG))
    answer = await post(
        met, "/api/v1/ingest/hooks/iocd_hik-1", body, content_type='multipart/form-data; boundary="boundary"'
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "Result": True,
        "Message": "Success",
        "accepted": 1,
        "duplicate": 0,
        "rejected": [],
    }
    [event] = met.log.events
    assert (event.type, event.source, event.ward) == ("camera.plate", "hik-1", "25747")
    assert met.metric("ioc_ingest_pictures_total") == 1


async def test_dahua_appends_a_path_of_its_own() -> None:
    met = city()
    root = "/api/v1/ingest/hooks/iocd_dahua-1"
    pushed = await post(met, f"{root}/NotificationInfo/TollgateInfo", json.dumps(PUSH).encode())
    alive = await post(met, f"{root}/NotificationInfo/KeepAlive", b'{"Active":"keepAlive"}')
    crossing = await post(met, f"{root}/", record("VideoMotion", "Start"), content_type="text/html")
    assert [answer.status_code for answer in (pushed, alive, crossing)] == [200, 200, 200]
    assert [event.type for event in met.log.events] == ["camera.plate", "camera.status", "camera.alarm"]


async def test_plate_recognizer_posts_a_form_for_a_camera_that_it_covers() -> None:
    met = city()
    media = "multipart/form-data; boundary=----form7MA4YWxk"
    answer = await post(met, "/api/v1/ingest/hooks/iocd_pr-1", form(HOOK), content_type=media)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert [event.source for event in met.log.events] == ["pr-1-camera-1"]


async def test_a_device_may_log_in_with_its_id_and_key() -> None:
    met = city()
    answer = await post(
        met,
        EVENTS,
        alert("VMD", dateTime=NOW),
        authorization=basic("hik-1:iocd_hik-1"),
        content_type="text/xml",
    )
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


@pytest.mark.parametrize(
    "login",
    [
        "hik-1:wrong",
        "hik-1:iocd_dahua-1",
        "ghost:iocd_hik-1",
        ":iocd_hik-1",
        "hik-1:",
        "hik-1",
        "é:ü",
        "x" * 9_000,
    ],
)
async def test_a_wrong_login_opens_nothing(login: str) -> None:
    met = city()
    problem = await post(met, EVENTS, alert("VMD"), authorization=basic(login))
    assert_problem(problem, 401)
    assert problem.headers["www-authenticate"] == 'Bearer, Basic realm="ingest"'
    assert_problem(await post(met, EVENTS, alert("VMD"), authorization="Basic !!!"), 401)
    assert met.log.records == []


@pytest.mark.parametrize("key", ["wrong", "hik-1", "x" * 5_000, "%00"])
async def test_an_address_with_nobodys_key_opens_nothing(key: str) -> None:
    met = city()
    assert_problem(await post(met, f"/api/v1/ingest/hooks/{key}", alert("VMD")), 401)
    assert met.metric("ioc_ingest_refused_total", transport="http", reason="key") == 1
    assert met.log.records == []


async def test_what_an_address_refuses_is_told_and_kept_but_not_asked_for_again() -> None:
    met = city()
    wrong = await post(met, "/api/v1/ingest/hooks/iocd_hik-1", alert("VMD", dateTime="soon"))
    assert (wrong.status_code, wrong.json()["accepted"]) == (200, 0)
    assert [(each["field"], each["rule"]) for each in wrong.json()["rejected"]] == [("dateTime", "iso8601")]
    assert [row.reason for row in met.quarantine.rows] == ["iso8601"]
    assert_problem(await post(met, "/api/v1/ingest/hooks/iocd_hik-1", b"{"), 400)


async def test_only_devices_with_pictures_may_send_large_bodies() -> None:
    met = city(IngestLimits(max_body_bytes=1_000, max_picture_body_bytes=3_000))
    large, larger = alert("VMD", "x" * 1_500), alert("VMD", "x" * 3_500)
    assert (await post(met, "/api/v1/ingest/hooks/iocd_hik-1", large)).status_code == 200
    assert_problem(await post(met, "/api/v1/ingest/hooks/iocd_hik-1", larger), 413)
    assert_problem(await post(met, "/api/v1/ingest/hooks/iocd_ce-1", large), 413)


async def test_bodies_with_pictures_have_their_own_bound() -> None:
    met = city(IngestLimits(max_reading_pictures=0))
    assert_problem(await post(met, "/api/v1/ingest/hooks/iocd_hik-1", alert("VMD")), 503)
    assert met.metric("ioc_ingest_refused_total", transport="http", reason="inflight") == 1


async def test_the_rate_holds_for_addresses_too() -> None:
    met = city(IngestLimits(device_events_per_s=1, device_burst_events=2, max_events_per_request=2))
    three = [await post(met, "/api/v1/ingest/hooks/iocd_hik-1", alert("VMD")) for _ in range(3)]
    assert [answer.status_code for answer in three] == [200, 200, 429]
    assert three[-1].headers["retry-after"] == "1"


async def test_the_key_of_an_address_stands_in_no_log_metric_or_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    met = city()
    said: list[Any] = []
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as entries:
        for path in ("iocd_hik-1", "iocd_hik-1/below", "iocd_unknown"):
            for content in (alert("VMD"), b"{", b"", alert("VMD", dateTime="soon")):
                answer = await post(met, f"/api/v1/ingest/hooks/{path}", content)
                said.append((answer.text, dict(answer.headers)))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    told = str((ours, entries, said)) + prometheus_client.generate_latest(met.prometheus).decode()
    assert "iocd_" not in told.replace("iocd_…", "")


async def test_413_for_a_message_with_more_refused_parts_than_a_body_may_have_events() -> None:
    met = city(IngestLimits(max_events_per_request=3))
    webhook = {"data": {"timestamp": "2026-11-22T10:00:00Z", "results": [{"plate": []}] * 4}}
    answer = await post(met, "/api/v1/ingest/hooks/iocd_pr-1", json.dumps(webhook).encode())
    assert_problem(answer, 413)
    assert met.quarantine.rows == []
