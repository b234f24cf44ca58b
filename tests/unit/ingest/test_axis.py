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


def objects(decoded: Decode) -> list[tuple[Decoded, CameraObject]]:
    assert decoded.rejections == []
    return [(event, event.data) for event in decoded.events if isinstance(event.data, CameraObject)]


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


@pytest.mark.parametrize(
    "said", [{"scenarioType": "crosslinecounting"}, {"resetTime": "2026-11-21T17:00:00Z"}]
)
def test_who_has_crossed_a_line_since_its_reset_is_not_in_view(said: dict[str, str]) -> None:
    data = {**said, "total": "12", "totalHuman": "3", "totalCar": "8", "totalBus": "1"}
    found = one(decode(message(f"{APPLICATION}/ObjectAnalytics/Device1Scenario2", data)))
    assert isinstance(found.data, CameraCount)
    assert (found.data.people, found.data.vehicles) == (0, 0)
    assert found.data.counts == {"human": 3, "car": 8, "bus": 1, "Device1Scenario2": 12}
    assert found.data.extra["cumulative"] is True


def test_who_is_in_an_area_is_in_view() -> None:
    data = {"scenario": "Scenario 2", "total": "9", "human": "2", "car": "4", "bus": "1", "otherVehicle": "2"}
    found = one(decode(message(f"{APPLICATION}/ObjectAnalytics/Device1Scenario2", data)))
    assert isinstance(found.data, CameraCount)
    assert (found.data.people, found.data.vehicles) == (2, 7)
    assert found.data.extra["cumulative"] is False


def test_a_frame_of_the_newer_format_gives_its_objects() -> None:
    box = {"left": 0.1, "top": 0.2, "right": 0.3, "bottom": 0.6}
    body = {
        "channel_id": 1,
        "timestamp": "2026-11-22T09:59:50.120Z",
        "detections": [
            {"bounding_box": box, "class": {"type": "Truck", "score": 0.7}, "object_track_id": "0f3a-1"},
            {"bounding_box": box, "object_track_id": "0f3a-2"},
        ],
    }
    assert [(data.label, data.track_id) for _, data in objects(decode(body))] == [
        ("truck", "0f3a-1"),
        ("object", "0f3a-2"),
    ]
    quiet = {"channel_id": 1, "timestamp": "2026-11-22T09:59:51Z", "track_events": [{"type": "TrackEnded"}]}
    assert decode(quiet) == Decode()


@pytest.mark.parametrize("where", ["path", "observations"])
def test_a_track_tells_at_its_end_what_an_object_was(where: str) -> None:
    body = {
        "classes": [
            {"type": "Car", "score": 0.62, "colors": [{"name": "white", "score": 0.7}]},
            {"type": "Bus", "score": 0.1},
        ],
        "duration": 2.5,
        "id": "7d21-44",
        "start_time": "2026-11-22T09:59:47.5Z",
        "end_time": "2026-11-22T09:59:50Z",
        "image": {"data": "/9j/"},
        where: [
            {"bounding_box": {"left": 0.1, "top": 0.1, "right": 0.2, "bottom": 0.2}},
            {"bounding_box": {"left": 0.5, "top": 0.5, "right": 0.75, "bottom": 0.75}},
        ],
    }
    [(found, data)] = objects(decode(body))
    assert found.time_us == parse_us("2026-11-22T09:59:50Z")
    assert (data.label, data.confidence, data.track_id) == ("car", 0.62, "7d21-44")
    assert data.box == (0.5, 0.5, 0.25, 0.25)
    assert data.extra == {"color": "white", "duration_s": 2.5, "begin": "2026-11-22T09:59:47.5Z"}


def test_a_push_of_the_plate_reader_is_a_plate() -> None:
    body = {
        "capture_timestamp": "1795255190230",
        "plateUTF8": "61A67890",
        "plateConfidence": "0.71",
        "plateCountry": "VNM",
        "carState": "new",
        "carMoveDirection": "in",
        "roiID": "2",
    }
    found = one(decode(body))
    assert isinstance(found.data, CameraPlate)
    assert (found.data.plate, found.data.confidence) == ("61A67890", 0.71)
    assert found.time_us == 1_795_255_190_230_000
    assert found.data.extra == {"country": "VNM", "direction": "in", "state": "new", "zone": "2"}


def test_a_plate_in_an_application_s_own_words_does_not_stand_in_extra() -> None:
    data = {"state": "1", "plate": "61A67890"}
    found = decode(message("axis:CameraApplicationPlatform/parking/Space1", data))
    assert any(isinstance(event.data, CameraPlate) for event in found.events)
    assert all("61A67890" not in str(event.data.extra) for event in found.events)


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ("onvif:Device/axis:HardwareFailure/FanFailure", {"fan_failure": "0"}),
        ("onvif:Device/axis:Status/Temperature/Above_or_below", {"sensor_level": "0"}),
        ("onvif:PTZController/axis:PTZPresets/Channel_1", {"on_preset": "0"}),
    ],
)
def test_a_state_that_is_off_is_no_alarm(topic: str, data: dict[str, str]) -> None:
    found = one(decode(message(topic, data)))
    assert isinstance(found.data, CameraAlarm)
    assert found.data.active is False


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


def test_an_observation_that_cannot_be_read_leaves_the_others_of_its_frame() -> None:
    seen = {"track_id": "5", "class": {"type": "Car", "score": 0.7}}
    body = {"frame": {"timestamp": "2026-11-22T09:59:50Z", "observations": [7, seen]}}
    decoded = decode(body)
    assert [event.data.track_id for event in decoded.events if isinstance(event.data, CameraObject)] == ["5"]
    assert [(refused.rule, refused.field) for refused in decoded.rejections] == [
        ("type", "frame.observations")
    ]


def test_a_timestamp_written_as_text_is_still_one() -> None:
    [refused] = decode(message("Device/IO/Port", {"state": "1"}) | {"timestamp": "²"}).rejections
    assert refused.rule == "iso8601"
    body = message("Device/IO/Port", {"state": "1"}) | {"timestamp": str(AT_MS)}
    assert one(decode(body)).time_us == AT_MS * 1_000


def test_what_mqtts_topic_repeats_of_the_source_is_no_part_of_the_events_topic() -> None:
    topic = "axis/ACCC8E000000/event/tns:onvif/Device/tns:axis/IO/Port/$source/port/0"
    found = one(decode(message(None, {"state": "1"}), topic))
    assert found.data.extra["topic"] == "tns:onvif/Device/tns:axis/IO/Port"


def test_a_plate_whose_car_has_left_is_not_read_again() -> None:
    topic = f"{APPLICATION}/ALPV.AllPlates"
    read = one(decode(message(topic, {"text": "61A12345", "carID": "3", "carState": "new"})))
    assert isinstance(read.data, CameraPlate)
    left = one(decode(message(topic, {"text": "61A12345", "carID": "3", "carState": "lost"})))
    assert isinstance(left.data, CameraAlarm)
    assert left.data.active is False
    assert "61A12345" not in str(left.data)
