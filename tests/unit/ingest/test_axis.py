"""Axis: JSON events over MQTT and WebSocket, scene frames, and metadata with its topics."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraObject, CameraPlate
from ioc.model.times import parse_us
from tests.conformance.cameras import event
from tests.unit.ingest.fakes import NOW_US

AT_MS = 1_795_255_190_230
APPLICATION = "axis:CameraApplicationPlatform"


def decode(body: Any, topic: str | None = None, options: Mapping[str, str] | None = None) -> Decode:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    context = DecodeContext(device_id="cam-1", now_us=NOW_US, topic=topic, options=options or {})
    return DECODERS["axis"].decode(raw, context)


def one(decoded: Decode) -> Decoded:
    assert decoded.rejections == []
    [found] = decoded.events
    return found


def message(topic: str | None, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    told = {} if topic is None else {"topic": topic}
    return {"timestamp": AT_MS, **told, "message": {"source": {}, "key": {}, "data": data}, **more}


@pytest.mark.parametrize(
    ("topic", "data", "kind", "zone"),
    [
        ("onvif:Device/axis:Sensor/PIR", {"state": "1"}, "motion", None),
        (f"{APPLICATION}/VMD/Camera1Profile1", {"active": "1"}, "motion", "Camera1Profile1"),
        (f"{APPLICATION}/MotionGuard/Camera1ProfileANY", {"active": "1"}, "motion", "Camera1ProfileANY"),
        (f"{APPLICATION}/FenceGuard/Camera1Profile1", {"active": "1"}, "line_crossing", "Camera1Profile1"),
        (f"{APPLICATION}/LoiteringGuard/Camera1Profile2", {"active": "1"}, "loitering", "Camera1Profile2"),
        (f"{APPLICATION}/ObjectAnalytics/Device1Scenario1", {"active": "1"}, "motion", "Device1Scenario1"),
        (
            f"{APPLICATION}/ObjectAnalytics/Device1Scenario1",
            {"active": "1", "scenarioType": "fence"},
            "line_crossing",
            "Device1Scenario1",
        ),
        ("onvif:VideoSource/axis:Tampering", {"tampering": "1"}, "tamper", None),
        ("Device/IO/Port", {"state": "1"}, "other", None),
    ],
)
def test_the_applications_of_a_camera_give_their_kind_and_scenario(
    topic: str, data: dict[str, str], kind: str, zone: str | None
) -> None:
    found = one(decode(message(topic, data)))
    assert isinstance(found.data, CameraAlarm)
    assert (found.data.kind, found.data.active, found.data.zone) == (kind, True, zone)
    assert found.time_us == AT_MS * 1_000


def test_an_inactive_scenario_has_ended_and_keeps_its_object() -> None:
    data = {"active": "0", "classTypes": "human", "objectId": "234232"}
    found = one(decode(message(f"{APPLICATION}/ObjectAnalytics/Device1Scenario1", data)))
    assert found.data == CameraAlarm(
        kind=AlarmKind.MOTION,
        active=False,
        zone="Device1Scenario1",
        track_id="234232",
        extra={"classTypes": "human", "topic": f"{APPLICATION}/ObjectAnalytics/Device1Scenario1"},
    )


def test_the_operator_says_what_a_scenario_means() -> None:
    body = message(f"{APPLICATION}/ObjectAnalytics/Device1Scenario3", {"active": "1"})
    found = one(decode(body, options={"kind.Device1Scenario3": "illegal_stop"}))
    assert isinstance(found.data, CameraAlarm)
    assert found.data.kind == "illegal_stop"


def test_counts_by_class_become_people_and_vehicles() -> None:
    data = {
        "scenarioType": "crosslinecounting",
        "total": "12",
        "totalHuman": "3",
        "totalCar": "8",
        "totalBus": "1",
    }
    found = one(decode(message(f"{APPLICATION}/ObjectAnalytics/Device1Scenario2", data)))
    assert isinstance(found.data, CameraCount)
    assert (found.data.people, found.data.vehicles) == (3, 9)
    assert found.data.counts == {"human": 3, "car": 8, "bus": 1, "Device1Scenario2": 12}
    assert found.data.extra["cumulative"] is True


def test_a_plate_of_the_verifier_is_a_plate() -> None:
    data = {"text": "61A67890", "country": "VNM", "carState": "new", "carMoveDirection": "in"}
    found = one(decode(message(f"{APPLICATION}/ALPV.AllPlates", data)))
    assert isinstance(found.data, CameraPlate)
    assert found.data.plate == "61A67890"
    assert found.data.extra["carMoveDirection"] == "in"


def test_a_topic_left_out_of_the_message_is_taken_from_mqtt() -> None:
    topic = "axis/ACCC8E000001/event/tns:onvif/Device/tns:axis/Sensor/PIR"
    found = one(decode(message(None, {"state": "0"}), topic))
    assert isinstance(found.data, CameraAlarm)
    assert (found.data.kind, found.data.active) == ("motion", False)
    assert found.data.extra["topic"] == "tns:onvif/Device/tns:axis/Sensor/PIR"


def test_a_notification_over_websocket_is_the_same_event() -> None:
    plain = message(f"{APPLICATION}/VMD/Camera1Profile1", {"active": "1"})
    wrapped = {"apiVersion": "1.0", "method": "events:notify", "params": {"notification": plain}}
    assert one(decode(wrapped)).data == one(decode(plain)).data


def test_cameras_behind_one_sender_are_told_apart_by_serial_where_that_is_wanted() -> None:
    body = message("onvif:Device/axis:Sensor/PIR", {"state": "1"}, serial="ACCC8E000001")
    assert one(decode(body)).source == "cam-1"
    assert one(decode(body, options={"split": "serial", "prefix": "axis-"})).source == "axis-ACCC8E000001"


def test_a_scene_frame_gives_its_objects() -> None:
    observation = {
        "bounding_box": {"left": 0.1, "top": 0.2, "right": 0.3, "bottom": 0.6},
        "class": {"type": "Human", "score": 0.83},
        "track_id": "133",
    }
    frame = {"timestamp": "2026-11-22T09:59:50.120Z", "observations": [observation, {"track_id": 9}]}
    human, unknown = decode({"frame": frame}).events
    assert human.time_us == parse_us("2026-11-22T09:59:50.120Z")
    assert human.data == CameraObject(
        label="human", confidence=0.83, track_id="133", box=(0.1, 0.2, 0.2, 0.4)
    )
    assert unknown.data == CameraObject(label="object", track_id="9")
    assert human.id != unknown.id


def test_its_metadata_in_xml_and_its_profile_m_are_read_as_onvif() -> None:
    body = event("tnsaxis:CameraApplicationPlatform/FenceGuard/Camera1Profile1", {}, {"active": "1"})
    assert one(decode(body)).data == CameraAlarm(
        kind=AlarmKind.LINE_CROSSING,
        zone="Camera1Profile1",
        extra={
            "operation": "changed",
            "topic": "tnsaxis:CameraApplicationPlatform/FenceGuard/Camera1Profile1",
        },
    )
    body = b'{"UtcTime":"2026-11-22T09:59:50Z","Source":{},"Data":{"State":"1"}}'
    found = one(decode(body, "onvif-ej/VideoSource/MotionAlarm"))
    assert isinstance(found.data, CameraAlarm)


@pytest.mark.parametrize(
    ("body", "rule", "field"),
    [
        ({"topic": "a"}, "required", "message"),
        ({"timestamp": -5, "topic": "a", "message": {}}, "unix_time", "timestamp"),
        ({"timestamp": "soon", "topic": "a", "message": {}}, "iso8601", "timestamp"),
        ({"topic": "a", "message": {"data": []}}, "type", "message.data"),
        ({"frame": {"observations": [5]}}, "type", "frame.observations"),
        (b'{"timestamp": 1, "message": {', "json", None),
    ],
)
def test_what_is_no_event_is_refused_naming_rule_and_field(body: Any, rule: str, field: str | None) -> None:
    [refused] = decode(body).rejections
    assert (refused.rule, refused.field) == (rule, field)
