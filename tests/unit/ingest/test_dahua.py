"""Events of Dahua's cameras, recorders and traffic cameras."""

import json
from typing import Any

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded
from ioc.ingest.decoders.moments import zone_of
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraObject, CameraPlate, CameraStatus
from ioc.model.times import format_us
from tests.conformance.dahua import CROSSING, PASSAGE, PUSH, record, stream
from tests.unit.ingest.fakes import NOW_US

ZONE = zone_of("Asia/Ho_Chi_Minh")


def decode(body: bytes, content_type: str | None = None, **context: Any) -> Decode:
    boundary = "myboundary" if content_type and content_type.startswith("multipart/") else None
    told = {"device_id": "cam-9", "now_us": NOW_US, "zone": ZONE, **context}
    return DECODERS["dahua"].decode(body, DecodeContext(content_type=content_type, boundary=boundary, **told))


def only(body: bytes, **context: Any) -> Decoded:
    decoded = decode(body, **context)
    assert decoded.rejections == []
    [event] = decoded.events
    return event


def push(**changes: dict[str, Any]) -> bytes:
    picture = {name: {**value, **changes.get(name, {})} for name, value in PUSH["Picture"].items()}
    return json.dumps({"Picture": picture}).encode()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("VideoMotion", AlarmKind.MOTION),
        ("CrossLineDetection", AlarmKind.LINE_CROSSING),
        ("CrossRegionDetection", AlarmKind.INTRUSION),
        ("WanderDetection", AlarmKind.LOITERING),
        ("VideoBlind", AlarmKind.TAMPER),
        ("SmokeDetection", AlarmKind.FIRE_SMOKE),
        ("TrafficParking", AlarmKind.ILLEGAL_STOP),
        ("TrafficRetrograde", AlarmKind.WRONG_WAY),
        ("TrafficRunRedLight", AlarmKind.RED_LIGHT),
        ("TumbleDetection", AlarmKind.FALL),
        ("TrafficNonMotorRunRedlight", AlarmKind.RED_LIGHT),
        ("ClimbDetection", AlarmKind.INTRUSION),
        ("FireExtinguisherDetection", AlarmKind.OTHER),
        ("StorageNotExist", AlarmKind.OTHER),
    ],
)
def test_a_code_has_a_kind_and_keeps_its_own_name(code: str, kind: AlarmKind) -> None:
    data = only(record(code, "Start")).data
    assert data == CameraAlarm(kind=kind, extra={"event": code})


def test_a_crossing_keeps_rule_direction_object_and_its_own_time() -> None:
    event = only(record("CrossLineDetection", "Start", CROSSING))
    assert event.data == CameraAlarm(
        kind=AlarmKind.LINE_CROSSING,
        zone="Rule1",
        track_id="2627",
        extra={
            "event": "CrossLineDetection",
            "rule": "Rule1",
            "class": "Normal",
            "direction": "LeftToRight",
            "target": "Human",
        },
    )
    assert format_us(event.time_us) == "2026-11-22T09:59:58.172Z"


def test_start_and_stop_are_two_and_a_resend_of_either_is_none() -> None:
    start, stop = (only(record("CrossLineDetection", action, CROSSING)) for action in ("Start", "Stop"))
    assert isinstance(stop.data, CameraAlarm)
    assert stop.data.active is False
    assert start.id != stop.id
    assert start.id == only(record("CrossLineDetection", "Start", CROSSING), now_us=NOW_US + 5).id


def test_happenings_without_a_time_are_apart_by_their_receipt() -> None:
    first = only(record("VideoMotion", "Start"))
    later = only(record("VideoMotion", "Start"), now_us=NOW_US + 1)
    assert (first.time_us, later.time_us) == (NOW_US, NOW_US + 1)
    assert first.id != later.id


@pytest.mark.parametrize(
    ("data", "zone", "expected"),
    [
        ({"RealUTC": 1795341595, "UTC": 1795366795, "LocaleTime": "2026-11-22 17:00:00"}, ZONE, "09:59:55"),
        ({"UTC": 1795366795, "LocaleTime": "2026-11-22 16:59:55"}, ZONE, "09:59:55"),
        ({"UTC": 1795341595, "LocaleTime": "2026-11-22 16:59:55"}, None, "09:59:55"),
    ],
)
def test_the_time_is_the_truest_that_is_told(data: dict[str, Any], zone: Any, expected: str) -> None:
    event = only(record("CrossLineDetection", "Start", data), zone=zone)
    assert format_us(event.time_us) == f"2026-11-22T{expected}.000Z"


def test_no_video_takes_a_channel_offline_and_its_end_brings_it_back() -> None:
    lost = only(record("VideoLoss", "Start", index=1))
    assert (lost.source, lost.data) == ("cam-9-2", CameraStatus(online=False, reason="videoloss"))
    assert only(record("VideoLoss", "Stop")).data == CameraStatus(online=True, reason="heartbeat")


def test_a_stream_is_read_part_by_part_with_its_heartbeats() -> None:
    body = stream(b"Heartbeat", record("CrossLineDetection", "Start", CROSSING), b"nonsense")
    decoded = decode(body, "multipart/x-mixed-replace")
    assert [type(event.data) for event in decoded.events] == [CameraStatus, CameraAlarm]
    assert [(rejection.line, rejection.rule) for rejection in decoded.rejections] == [(3, "known_document")]


def test_records_may_follow_one_another_and_data_may_hold_any_separator() -> None:
    tricky = {**CROSSING, "Name": "a;action=Stop;b=}{"}
    decoded = decode(record("CrossLineDetection", "Start", tricky) + b"\r\n" + record("VideoBlind", "Stop"))
    crossing, blind = (event.data for event in decoded.events)
    assert isinstance(crossing, CameraAlarm) and isinstance(blind, CameraAlarm)
    assert (crossing.active, crossing.zone, blind.active) == (True, "a;action=Stop;b=}{", False)


def test_a_passage_is_a_plate_with_speed_lane_and_looks() -> None:
    event = only(record("TrafficJunction", "Pulse", PASSAGE))
    assert event.data == CameraPlate(
        plate="61A12345",
        confidence=0.94,
        vehicle="SaloonCar",
        speed_kmh=57,
        extra={
            "brand": "Toyota",
            "color": "Blue",
            "size": "Light-duty",
            "plate_color": "White",
            "lane": 2,
            "direction": "Obverse",
        },
    )
    assert format_us(event.time_us) == "2026-11-22T09:59:55.305Z"


def test_an_offence_is_an_alarm_beside_the_plate_and_does_not_repeat_it() -> None:
    plate, alarm = decode(record("TrafficRetrograde", "Pulse", PASSAGE)).events
    assert isinstance(plate.data, CameraPlate)
    assert isinstance(alarm.data, CameraAlarm)
    assert alarm.data.kind is AlarmKind.WRONG_WAY
    assert "61A12345" not in str(alarm.data), "plates are masked where they are plates, and only there"


def test_the_photographs_of_one_vehicle_are_one_passage() -> None:
    ids = {
        only(
            record(
                "TrafficJunction",
                "Pulse",
                {
                    **PASSAGE,
                    "CountInGroup": 3,
                    "IndexInGroup": number,
                    "RealUTC": PASSAGE["RealUTC"] + number,
                },
            )
        ).id
        for number in range(3)
    }
    assert len(ids) == 1


def test_a_vehicle_without_a_readable_plate_is_an_object() -> None:
    car = {**PASSAGE["TrafficCar"], "PlateNumber": ""}
    event = only(record("TrafficJunction", "Pulse", {**PASSAGE, "TrafficCar": car, "Object": {"Text": ""}}))
    assert isinstance(event.data, CameraObject)
    assert (event.data.label, event.data.speed_kmh) == ("SaloonCar", 57)


def test_counts_are_people_in_the_region_and_who_passed() -> None:
    data = {"Number": 12, "EnteredNumber": 40, "ExitedNumber": 28, "Name": "Gate"}
    assert only(record("NumberStat", "Pulse", data)).data == CameraCount(
        people=12, counts={"entered": 40, "exited": 28}, extra={"rule": "Gate"}
    )


def test_json_forms_say_the_same_as_the_stream() -> None:
    told = only(record("CrossLineDetection", "Pulse", CROSSING))
    event = {"Action": "Pulse", "Code": "CrossLineDetection", "Index": 0, "Data": CROSSING}
    notified = {"method": "client.notifyEventStream", "params": {"SID": 1, "eventList": [event]}}
    based = {"EventBaseInfo": {"Code": event["Code"], "Action": "Pulse", "Index": 0}, **CROSSING}
    small = {name.lower(): value for name, value in event.items()}
    mixed = {"Code": event["Code"], "action": "Pulse", "index": "0", "data": CROSSING}
    for value in (event, notified, {"Events": [based]}, small, mixed):
        again = only(json.dumps(value).encode())
        assert (again.id, again.data) == (told.id, told.data)


def test_a_pushed_plate_is_read_and_its_pictures_are_counted() -> None:
    decoded = decode(push(NormalPic={"Content": "A" * 200_000}))
    [event] = decoded.events
    assert isinstance(event.data, CameraPlate)
    data = event.data
    assert (data.plate, data.confidence, data.vehicle) == ("61A12345", 0.92, "SaloonCar")
    assert (data.extra["brand"], data.extra["model"], data.extra["lane"]) == ("Toyota", "Vios", 1)
    assert format_us(event.time_us) == "2026-11-22T09:59:58.123Z"
    assert (decoded.pictures, decoded.rejections) == (2, [])
    assert b"AAAA" not in event.raw, "a picture would lie in quarantine with what is refused"


def test_a_pushed_heartbeat_says_that_the_camera_is_there() -> None:
    assert only(b'{"Active":"keepAlive","DeviceID":"x"}').data == CameraStatus(
        online=True, reason="heartbeat"
    )


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b"Code=;action=Start;index=0", "Code", "required"),
        (b"Code=VideoMotion;action=Maybe;index=0", "action", "known_value"),
        (b"Code=VideoMotion;action=Start;index=many", "Index", "type"),
        (b"Code=TrafficJunction;action=Pulse;index=0;data={broken", "data", "json"),
        (record("NumberStat", "Pulse", {"Number": -1}), "data.Number", "in_range"),
        (record("TrafficJunction", "Pulse", {"UTC": 1}), "data", "required"),
        (record("VideoMotion", "Start", {"UTC": "soon"}), "data.UTC", "type"),
        (b'{"a": 1}', None, "known_document"),
        (push(SnapInfo={"AccurateTime": "soon"}), "Picture.SnapInfo.AccurateTime", "iso8601"),
        (push(SnapInfo={"AccurateTime": "", "SnapTime": None}), "Picture.SnapInfo.AccurateTime", "required"),
        (push(Plate={"Confidence": 300}), "Picture.Plate.Confidence", "in_range"),
        (push(Plate={"PlateNumber": "61A\0"}), None, "no_nul"),
        (b"\xff\xfe", None, "utf8"),
    ],
)
def test_a_wrong_message_is_refused_naming_field_and_rule(body: bytes, field: str | None, rule: str) -> None:
    decoded = decode(body)
    assert decoded.events == []
    assert [(rejection.field, rejection.rule) for rejection in decoded.rejections] == [(field, rule)]


def test_a_pushed_local_time_needs_the_devices_zone() -> None:
    [rejection] = decode(push(), zone=None).rejections
    assert (rejection.field, rejection.rule) == ("Picture.SnapInfo.AccurateTime", "zone")


def test_recognised_faces_are_not_kept() -> None:
    data = {"Name": "Gate", "Candidates": [{"Person": {"Name": "Nguyễn Văn A"}}], "Person": "Nguyễn Văn A"}
    event = only(record("FaceRecognition", "Pulse", data))
    assert "Nguyễn" not in str(event.data)


def test_an_alarm_input_is_one_of_the_device_and_no_channel() -> None:
    first, second = (only(record("AlarmLocal", "Start", index=index)) for index in (0, 1))
    assert (first.source, second.source) == ("cam-9", "cam-9")
    assert second.data == CameraAlarm(
        kind=AlarmKind.OTHER, zone="2", extra={"event": "AlarmLocal", "input": "2"}
    )
    assert first.id != second.id
    assert only(record("StorageFailure", "Start", index=3)).source == "cam-9"


@pytest.mark.parametrize(
    ("data", "zone"),
    [
        ({"RegionName": ["Cổng"], "Id": [0]}, "Cổng"),
        ({"AreaID": [3], "Name": "IVS-1"}, "3"),
        ({"AreaID": [], "Name": "IVS-1", "EventID": [1], "GroupID": {"a": 1}, "RuleID": None}, "IVS-1"),
    ],
)
def test_what_tells_happenings_apart_may_be_written_in_any_way(data: dict[str, Any], zone: str) -> None:
    alarm = only(record("CrossRegionDetection", "Start", {**data, "UTC": 1795341598})).data
    assert isinstance(alarm, CameraAlarm)
    assert (alarm.kind, alarm.zone) == (AlarmKind.INTRUSION, zone)


@pytest.mark.parametrize("plate", ["Unknown", "NoPlate", "no plate", "无牌车", "---"])
def test_a_word_for_no_plate_is_none(plate: str) -> None:
    car = {**PASSAGE["TrafficCar"], "PlateNumber": plate}
    data = {**PASSAGE, "TrafficCar": car, "Object": {"Text": plate}}
    assert isinstance(only(record("TrafficJunction", "Pulse", data)).data, CameraObject)
    assert isinstance(only(push(Plate={"PlateNumber": plate})).data, CameraObject)


def test_a_speed_that_was_not_measured_costs_the_speed_alone() -> None:
    car = {**PASSAGE["TrafficCar"], "Speed": -1}
    data = only(record("TrafficJunction", "Pulse", {**PASSAGE, "TrafficCar": car})).data
    assert isinstance(data, CameraPlate)
    assert (data.plate, data.speed_kmh) == ("61A12345", None)


def test_more_people_left_than_came_in_still_counts_them() -> None:
    data = {"UTC": 1795341598, "EnteredSubtotal": 1, "ExitedSubtotal": 3, "InsideSubtotal": -2}
    assert only(record("NumberStat", "Pulse", data)).data == CameraCount(counts={"entered": 1, "exited": 3})


def test_a_crowds_regions_are_counted_together_beside_the_alarm() -> None:
    data = {"UTC": 1795341598, "RegionList": [{"RegionID": 1, "PeopleNum": 20}, {"PeopleNum": "5"}]}
    count, alarm = (event.data for event in decode(record("CrowdDetection", "Start", data)).events)
    assert count == CameraCount(people=25)
    assert isinstance(alarm, CameraAlarm)
    assert alarm.kind is AlarmKind.CROWD


def test_a_date_with_slashes_is_one() -> None:
    event = only(record("VideoMotion", "Start", {"LocaleTime": "2026/11/22 16:59:58"}))
    assert format_us(event.time_us) == "2026-11-22T09:59:58.000Z"


@pytest.mark.parametrize(
    "greeting",
    [{"DeviceInfo": {"DeviceID": "x"}}, {"DeviceID": "x", "DeviceModel": "ITC", "IPAddress": "192.0.2.1"}],
)
def test_a_camera_that_says_who_it_is_is_there_and_what_is_unknown_is_refused(greeting: Any) -> None:
    assert only(json.dumps(greeting).encode()).data == CameraStatus(online=True, reason="heartbeat")
    [refused] = decode(b'{"DeviceID": "x", "TrafficFlow": [{"Lane": 1}]}').rejections
    assert refused.rule == "known_document"


@pytest.mark.parametrize(
    ("data", "plate"),
    [
        ({"Object": {"ObjectType": "Vehicle", "Text": "Toyota"}, "TrafficCar": {"PlateNumber": ""}}, None),
        (
            {"Object": {"ObjectType": "Vehicle", "Text": "Toyota"}, "TrafficCar": {"PlateNumber": "61A1"}},
            "61A1",
        ),
        ({"Object": {"ObjectType": "Plate", "Text": "61A1"}}, "61A1"),
        ({"Plate": {"PlateNumber": "61A1"}, "Confidence": 95}, "61A1"),
    ],
)
def test_a_plate_is_read_wherever_it_stands_and_a_make_is_none(
    data: dict[str, Any], plate: str | None
) -> None:
    found = only(record("TrafficJunction", "Pulse", {**data, "UTC": 1795341598})).data
    assert isinstance(found, CameraObject if plate is None else CameraPlate)
    assert getattr(found, "plate", None) == plate


@pytest.mark.parametrize("detail", [b"{broken", b"key=value", b'{"Name": "a", "UTC": 17953'])
def test_a_detail_that_cannot_be_read_is_counted_and_does_not_lose_the_alarm(detail: bytes) -> None:
    decoded = decode(b"Code=CrossLineDetection;action=Stop;index=0;data=" + detail)
    [event] = decoded.events
    assert event.data == CameraAlarm(
        kind=AlarmKind.LINE_CROSSING, active=False, extra={"event": "CrossLineDetection"}
    )
    assert [(refused.field, refused.rule) for refused in decoded.rejections] == [("data", "json")]


def test_a_heartbeat_written_as_an_event_is_one() -> None:
    beat = only(b"Code=Heartbeat;action=Pulse;index=0")
    assert beat.data == CameraStatus(online=True, reason="heartbeat")


RIDER = {"Category": "Motorcycle", "Color": "Red", "Plate": {"Text": "59X1-123.45", "Confidence": 88}}
LOOKS = {"Vehicle": {"Category": "SaloonCar"}, "TrafficCar": {"PlateNumber": "61A12345"}}


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({"NonMotor": RIDER}, [("59X1-123.45", "Motorcycle", 0.88)]),
        ({"NonMotor": {**RIDER, "Plate": {}}}, [(None, "Motorcycle", 1.0)]),
        (
            {"NonMotor": RIDER, "TrafficCar": {"PlateNumber": "59X112345"}},
            [("59X112345", "Motorcycle", 0.88)],
        ),
        (
            {"NonMotor": RIDER, **LOOKS},
            [("61A12345", "SaloonCar", 1.0), ("59X1-123.45", "Motorcycle", 0.88)],
        ),
        ({"NonMotor": RIDER, "TrafficCar": {"Lane": 3}}, [("59X1-123.45", "Motorcycle", 0.88)]),
    ],
)
def test_a_motorcycle_is_a_vehicle_alone_and_beside_a_car(data: dict[str, Any], seen: list[Any]) -> None:
    decoded = decode(record("TrafficJunction", "Pulse", {**data, "UTC": 1795341598}))
    assert decoded.rejections == []
    found = [event.data for event in decoded.events]
    assert [
        (data.plate, data.vehicle, data.confidence)
        if isinstance(data, CameraPlate)
        else (None, getattr(data, "label", ""), 1.0)
        for data in found
    ] == seen
    assert len({event.id for event in decoded.events}) == len(seen)


@pytest.mark.parametrize("where", ["Plate", "TrafficCar", "Object"])
def test_how_sure_a_plate_is_is_read_wherever_it_stands(where: str) -> None:
    data: dict[str, Any] = {"TrafficCar": {"PlateNumber": "61A12345"}, "UTC": 1795341598}
    data[where] = {**data.get(where, {}), "Confidence": 71}
    found = only(record("TrafficJunction", "Pulse", data)).data
    assert isinstance(found, CameraPlate)
    assert found.confidence == 0.71


def test_a_passage_keeps_where_the_car_drives_and_its_model_and_weight() -> None:
    data = {
        "TrafficCar": {"PlateNumber": "61A12345", "Lane": 3, "DrivingDirection": ["Leave", "", ""]},
        "Vehicle": {"Category": "BigTruck", "Text": "Isuzu", "SubText": "Forward"},
        "CarWeightInfo": {"TotalWeight": 30_500, "OverWeight": 500, "AxleNum": 3},
        "UTC": 1795341598,
    }
    found = only(record("TrafficCarMeasurement", "Pulse", data)).data
    assert isinstance(found, CameraPlate)
    assert found.extra == {
        "brand": "Isuzu",
        "model": "Forward",
        "lane": 3,
        "direction": "Leave",
        "weight_kg": 30_500,
        "overweight_kg": 500,
        "axles": 3,
    }


@pytest.mark.parametrize("code", ["NewFile", "NTPAdjustTime", "VideoMotionInfo", "RtspSessionDisconnect"])
def test_the_device_s_own_affairs_are_no_alarm(code: str) -> None:
    found = only(record(code, "State" if code == "VideoMotionInfo" else "Pulse")).data
    assert found == CameraAlarm(kind=AlarmKind.OTHER, active=False, extra={"event": code})


def test_the_vehicles_of_each_lane_are_counted_and_no_alarm() -> None:
    data = {"FlowStates": [{"Lane": 0, "Flow": 50}, {"Lane": 1, "Flow": 12}], "UTC": 1795341598}
    found = only(record("TrafficFlowStat", "Start", data)).data
    assert found == CameraCount(counts={"lane_0": 50, "lane_1": 12}, extra={"event": "TrafficFlowStat"})


def test_a_jam_keeps_its_length() -> None:
    found = only(record("TrafficJam", "Start", {"JamRealLength": 120, "JamLenght": 55, "Lane": 1})).data
    assert isinstance(found, CameraAlarm)
    assert found.extra == {"event": "TrafficJam", "jam_length_m": 120, "jam_percent": 55, "lane": 1}


def test_a_vehicle_in_view_is_an_object() -> None:
    data = {"Vehicle": {"ObjectType": "Vehicle", "Category": "MiddleBus"}, "UTC": 1795341598}
    found = only(record("VehicleDetect", "Pulse", data)).data
    assert found == CameraObject(label="MiddleBus")


def test_a_time_written_out_is_local() -> None:
    car = {"PlateNumber": "61A12345"}
    found = only(record("TrafficJunction", "Pulse", {"TrafficCar": car, "UTC": "2026-11-22 16:59:58"}))
    assert format_us(found.time_us) == "2026-11-22T09:59:58.000Z"
