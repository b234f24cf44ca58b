"""Webhooks of Plate Recognizer and ParkPow."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, TooManyEvents
from ioc.ingest.decoders.moments import zone_of
from ioc.model.events import CameraObject, CameraPlate, CameraStatus
from ioc.model.times import format_us
from tests.conformance import DATA
from tests.conformance.platerecognizer import ALERT, ANSWER, HOOK, RESULT, RESULT_OF_PARTS, form
from tests.unit.ingest.fakes import NOW_US


def decode(value: Any, **context: Any) -> Decode:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return DECODERS["platerecognizer"].decode(body, DecodeContext(device_id="pr-1", now_us=NOW_US, **context))


def only(value: Any, **context: Any) -> Decoded:
    decoded = decode(value, **context)
    assert decoded.rejections == []
    [event] = decoded.events
    return event


def hook(*results: Any, **changes: Any) -> dict[str, Any]:
    return {**HOOK, "data": {**HOOK["data"], "results": list(results), **changes}}


def test_a_webhook_is_a_plate_of_its_camera() -> None:
    event = only(HOOK)
    assert (event.source, format_us(event.time_us)) == ("pr-1-camera-1", "2026-11-22T09:59:58.000Z")
    assert event.data == CameraPlate(
        plate="61A12345",
        confidence=0.902,
        vehicle="Sedan",
        speed_kmh=41.5,
        extra={
            "plate_score": 0.757,
            "position_s": 23.47,
            "make": "Toyota",
            "model": "Vios",
            "color": "red",
            "orientation": "Rear",
            "region": "vn",
            "direction_in_picture_deg": 210,
        },
    )


def test_the_webhook_that_the_publisher_shows_is_read() -> None:
    file = DATA / "camera-platerecognizer" / "stream-webhook.json"
    if not file.is_file():
        pytest.skip("the real samples are not at hand")
    data = only(file.read_bytes()).data
    assert isinstance(data, CameraPlate)
    assert (data.plate, data.extra["make"], data.extra["region"]) == ("PL8REC", "Porsche", "us-ca")


def test_a_form_with_its_picture_says_the_same() -> None:
    decoded = decode(form(HOOK), content_type="multipart/form-data", boundary="----form7MA4YWxk")
    assert [(event.id, event.data) for event in decoded.events] == [(only(HOOK).id, only(HOOK).data)]
    assert (decoded.pictures, decoded.rejections) == (1, [])


def test_plate_and_vehicle_with_their_parts_are_read() -> None:
    data = only(hook(RESULT_OF_PARTS)).data
    assert isinstance(data, CameraPlate)
    assert (data.plate, data.confidence, data.vehicle) == ("61A12345", 0.88, "SUV")
    assert (data.extra["make"], data.extra["color"], data.extra["region"]) == ("Ford", "white", "vn")


def test_a_vehicle_whose_plate_is_not_read_is_an_object() -> None:
    data = only(hook({**RESULT, "plate": None})).data
    assert isinstance(data, CameraObject)
    assert (data.label, data.confidence) == ("Sedan", 0.709)


def test_an_answer_of_snapshot_speaks_for_the_sender_and_keeps_each_plate_apart() -> None:
    decoded = decode(ANSWER)
    assert [event.source for event in decoded.events] == ["pr-1", "pr-1"]
    assert len({event.id for event in decoded.events}) == 2
    assert [event.id for event in decode(ANSWER).events] == [event.id for event in decoded.events]


def test_nothing_seen_is_nothing_wrong() -> None:
    decoded = decode(hook())
    assert (decoded.events, decoded.rejections) == ([], [])


def test_a_wrong_result_costs_itself_alone() -> None:
    decoded = decode(hook(RESULT, {**RESULT, "score": 7}))
    assert len(decoded.events) == 1
    assert [(r.field, r.rule) for r in decoded.rejections] == [("data.results[1].score", "in_range")]


def test_an_alert_of_parkpow_is_a_plate() -> None:
    event = only(ALERT)
    assert event.source == "pr-1-camera-2"
    assert event.data == CameraPlate(
        plate="61A12345", confidence=0.88, vehicle="Sedan", extra={"alert": "Blacklist", "site": "Bến xe"}
    )


@pytest.mark.parametrize(("status", "online"), [("offline", False), ("running", True)])
def test_a_cameras_state_is_told(status: str, online: bool) -> None:
    told = {"hook": {"event": "camera_status"}, "data": {"camera_id": "camera-1", "status": status}}
    assert only(told).data == CameraStatus(online=online, reason=status)


def test_one_camera_may_be_the_device_itself() -> None:
    assert only(HOOK, options={"cameras": "one"}).source == "pr-1"
    assert only(HOOK, options={"prefix": ""}).source == "camera-1"


def test_a_local_time_counts_where_no_other_is_told() -> None:
    local = hook(RESULT, timestamp=None, timestamp_local="2026-11-22 16:59:58")
    assert only(local, zone=zone_of("Asia/Ho_Chi_Minh")).time_us == only(HOOK).time_us
    assert [(r.field, r.rule) for r in decode(local).rejections] == [("data.timestamp_local", "zone")]


@pytest.mark.parametrize(
    ("value", "field", "rule"),
    [
        ({}, "data.results", "required"),
        (hook(RESULT, timestamp=None, timestamp_local=None), "data.timestamp", "required"),
        (hook(RESULT, timestamp="soon"), "data.timestamp", "iso8601"),
        ({"hook": {"event": "tick"}, "data": {"x": 1}}, "hook.event", "known_value"),
        ({"data": {"status": "so-so"}}, "data.status", "known_value"),
        (b"[1]", None, "object"),
        (b'{"data": "\\u0000"}', None, "no_nul"),
    ],
)
def test_a_wrong_webhook_is_refused_naming_field_and_rule(value: Any, field: str | None, rule: str) -> None:
    decoded = decode(value)
    assert decoded.events == []
    assert [(rejection.field, rejection.rule) for rejection in decoded.rejections] == [(field, rule)]


def test_more_vehicles_than_fit_are_refused_as_a_whole() -> None:
    with pytest.raises(TooManyEvents):
        decode(hook(RESULT, RESULT, RESULT), max_events=2)


def test_a_form_may_hold_other_fields_before_its_json() -> None:
    plain = urlencode({"user": "a b", "json": json.dumps(HOOK)}).encode()
    assert only(plain).data == only(HOOK).data


@pytest.mark.parametrize("plate", ["", None, "unknown", "NO-PLATE"])
def test_a_word_for_no_plate_is_none(plate: str | None) -> None:
    assert isinstance(only(hook({**RESULT, "plate": plate})).data, CameraObject)


def test_a_speed_is_in_km_an_hour_and_of_none_where_none_was_measured() -> None:
    seen = only(hook({**RESULT, "speed": 40, "speed_score": 0.9})).data
    assert isinstance(seen, CameraPlate)
    assert seen.speed_kmh == 40
    in_miles = only(hook({**RESULT, "speed": 40}), options={"speed_unit": "mph"}).data
    assert isinstance(in_miles, CameraPlate)
    assert in_miles.speed_kmh == 64.374
    for nothing in (None, 0, ""):
        unmeasured = only(hook({**RESULT, "speed": nothing})).data
        assert isinstance(unmeasured, CameraPlate)
        assert unmeasured.speed_kmh is None
