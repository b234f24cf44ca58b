"""ONVIF: Profile M's JSON, metadata streams and notifications in XML, as many makers write them."""

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, TooManyEvents
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraObject, CameraPlate
from ioc.model.times import parse_us
from tests.conformance import DATA
from tests.conformance.cameras import FRAME, FRAME_JSON, PLATE, TIME, event, notification, pulled, stream
from tests.unit.ingest.fakes import NOW_US

AT_US = parse_us(TIME)
ZEEP = DATA / "camera-onvif" / "zeep-dicts"


def decode(
    body: bytes, topic: str | None = None, options: Mapping[str, str] | None = None, **context: Any
) -> Decode:
    given = DecodeContext(device_id="cam-1", now_us=NOW_US, topic=topic, options=options or {}, **context)
    return DECODERS["onvif"].decode(body, given)


def one(decoded: Decode) -> Decoded:
    assert decoded.rejections == []
    [found] = decoded.events
    return found


def ej(
    topic: str, data: Mapping[str, Any], *, source: Mapping[str, Any] | None = None, **more: Any
) -> Decoded:
    options = more.pop("options", None)
    body = {"UtcTime": TIME, "Source": source or {}, "Data": data, **more}
    return one(decode(json.dumps(body).encode(), f"onvif-ej/{topic}", options))


def alarm(decoded: Decoded) -> CameraAlarm:
    assert isinstance(decoded.data, CameraAlarm)
    return decoded.data


def test_an_event_over_mqtt_takes_its_topic_from_mqtt_and_everything_else_from_the_message() -> None:
    source = {"VideoSource": "1", "AnalyticsConfiguration": "2", "Rule": "cổng"}
    found = ej(
        "RuleEngine/LineDetector/Crossed/&1/2/cong", {"ObjectId": "15", "Direction": "Left"}, source=source
    )
    assert (found.source, found.time_us) == ("cam-1", AT_US)
    assert found.data == CameraAlarm(
        kind=AlarmKind.LINE_CROSSING,
        zone="cổng",
        track_id="15",
        extra={
            "topic": "RuleEngine/LineDetector/Crossed",
            "VideoSource": 1,
            "AnalyticsConfiguration": 2,
            "Direction": "Left",
        },
    )


@pytest.mark.parametrize(
    ("topic", "data", "kind"),
    [
        ("VideoSource/MotionAlarm", {"State": True}, "motion"),
        ("RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"}, "motion"),
        ("RuleEngine/MotionRegionDetector/Motion", {"State": "1"}, "motion"),
        ("RuleEngine/FieldDetector/ObjectsInside", {"IsInside": "true"}, "intrusion"),
        ("RuleEngine/LoiteringDetector/ObjectIsLoitering", {"ObjectId": 4}, "loitering"),
        ("RuleEngine/FieldDetector/ObjectIsLoitering", {"Status": True}, "loitering"),
        ("VideoSource/GlobalSceneChange/ImagingService", {"State": "true"}, "tamper"),
        ("VideoSource/SignalLoss", {"State": "true"}, "tamper"),
        ("VideoSource/ImageTooDark/AnalyticsService", {"State": "true"}, "tamper"),
        ("RuleEngine/TamperDetector/Tamper", {"IsTamper": "true"}, "tamper"),
        ("RuleEngine/acme:SmokeDetector/Smoke", {"State": "true"}, "fire_smoke"),
        ("RuleEngine/ObjectDetection/Object", {"ClassTypes": "Fire"}, "fire_smoke"),
        ("RuleEngine/ObjectDetection/Object", {"ClassTypes": "Human Vehicle"}, "motion"),
        ("VideoSource/acme:VideoLost", {"State": "true"}, "tamper"),
        ("RuleEngine/acme:AreaDetector/Entered", {"State": "true"}, "intrusion"),
        ("UserAlarm/IVA/HumanShapeDetect", {"State": "true"}, "motion"),
        ("RuleEngine/acme:Detector/AbandonedObject", {"State": "true"}, "other"),
        ("RuleEngine/acme:ObjectRemoved/Object", {"State": "true"}, "other"),
        ("RuleEngine/acme:FireExtinguisher/Missing", {"State": "true"}, "other"),
        ("RuleEngine/acme:FireLane/Occupied", {"State": "true"}, "other"),
        ("RuleEngine/acme:FallingObjects/Alarm", {"State": "true"}, "other"),
        ("RuleEngine/acme:CrowdDetection/Crowd", {"State": "true"}, "crowd"),
        ("RuleEngine/acme:FallDetection/Fall", {"State": "true"}, "fall"),
        ("RuleEngine/acme:WrongDirection/Alarm", {"State": "true"}, "wrong_way"),
        ("RuleEngine/acme:IllegalParking/Alarm", {"State": "true"}, "illegal_stop"),
        ("RuleEngine/CellMotionDetector/LineCross", {"IsLineCross": "true"}, "line_crossing"),
        ("RuleEngine/TPSmartEventDetector/TPSmartEvent", {"IsIntrusion": "true"}, "intrusion"),
        ("Device/Trigger/DigitalInput", {"LogicalState": "true"}, "other"),
        ("Device/Trigger/acme:AlarmIn", {"State": "true"}, "other"),
        ("acme:Unheard/Of", {"Something": "a"}, "other"),
    ],
)
def test_a_topic_of_any_maker_gives_its_kind_and_an_unknown_one_is_kept(
    topic: str, data: dict[str, Any], kind: str
) -> None:
    found = alarm(ej(topic, data))
    assert (found.kind, found.active) == (kind, True)
    assert found.extra["topic"] == topic


@pytest.mark.parametrize(
    ("topic", "data", "operation", "active"),
    [
        ("RuleEngine/CellMotionDetector/Motion", {"IsMotion": "false"}, "Changed", False),
        ("RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"}, "Initialized", True),
        ("RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"}, "Deleted", False),
        ("RuleEngine/LoiteringDetector/ObjectIsLoitering", {"ObjectId": "7"}, "Initialized", True),
        ("RuleEngine/LoiteringDetector/ObjectIsLoitering", {}, "Deleted", False),
        ("RuleEngine/LineDetector/Crossed", {"ObjectId": "0"}, "Initialized", False),
        ("RuleEngine/LineDetector/Crossed", {"ObjectId": "5"}, "Changed", True),
        ("RuleEngine/ObjectDetection/Object", {"ClassTypes": ""}, "Changed", False),
        ("RuleEngine/PeopleDetector/People", {"IsNotPerson": "true"}, "Changed", False),
        ("OpenApp/WiseAI/IvaArea", {"State": "true", "Action": "Exit"}, "", False),
        ("OpenApp/WiseAI/IvaArea", {"State": "true", "Action": "Intrusion"}, "", True),
        ("Device/HardwareFailure/FanFailure", {"Failed": "false"}, "Changed", False),
        ("VideoAnalytics/axis:MotionDetection", {"motion": "0"}, "Changed", False),
        ("VideoSource/axis:Tampering", {"tampering": "1"}, "Changed", True),
        ("VideoSource/axis:Tampering", {"tampering": "0"}, "Changed", False),
        ("RuleEngine/acme:Presence", {"Occupied": "false"}, "Changed", False),
        ("RuleEngine/DirectionDetector/Direction", {"Direction": "0"}, "Changed", True),
        ("RuleEngine/LineDetector/Crossed", {"ObjectId": "0"}, "Changed", True),
    ],
)
def test_a_state_and_how_it_came_to_be_said_tell_whether_the_alarm_is_on(
    topic: str, data: dict[str, Any], operation: str, active: bool
) -> None:
    found = alarm(ej(topic, data, **({"PropertyOperation": operation} if operation else {})))
    assert found.active is active
    assert found.extra.get("operation", "") == operation.lower()


def test_the_operator_says_what_a_rule_or_a_topic_of_his_means() -> None:
    source = {"Rule": "nguoc-chieu"}
    options = {"kind.nguoc-chieu": "wrong_way", "kind.FanFailure": "no such kind"}
    assert (
        alarm(ej("RuleEngine/LineDetector/Crossed", {}, source=source, options=options)).kind == "wrong_way"
    )
    assert alarm(ej("Device/HardwareFailure/FanFailure", {}, options=options)).kind == "other"


def test_a_plate_is_a_plate_whoever_wrote_it() -> None:
    found = ej("RuleEngine/Recognition/LicensePlate/&1", PLATE, source={"Rule": "LPR-1"})
    assert found.data == CameraPlate(
        plate="61A-678.90",
        confidence=0.92,
        vehicle="car",
        speed_kmh=39.96,
        extra={"country": "VN", "topic": "RuleEngine/Recognition/LicensePlate", "Rule": "LPR-1"},
    )
    other = ej("RuleEngine/acme:ANPR/Read", {"PlateNumber": "61A12345", "Confidence": "87"})
    assert isinstance(other.data, CameraPlate)
    assert (other.data.plate, other.data.confidence) == ("61A12345", 0.87)


@pytest.mark.parametrize(
    "data",
    [{"Likelihood": 0.2}, {"PlateNumber": "unknown"}, {"PlateNumber": "---"}, {"PlateNumber": "NO-PLATE"}],
)
def test_a_plate_detector_without_a_plate_is_an_alarm_that_is_kept(data: dict[str, Any]) -> None:
    assert alarm(ej("RuleEngine/Recognition/LicensePlate", data)).kind == "other"


@pytest.mark.parametrize(
    ("operation", "key", "read"),
    [
        ("Changed", {}, True),
        ("Initialized", {}, False),
        ("Initialized", {"ObjectId": "4"}, True),
        ("Deleted", {"ObjectId": "4"}, False),
    ],
)
def test_a_plate_told_to_a_new_subscriber_or_at_its_end_is_no_passage(
    operation: str, key: dict[str, str], read: bool
) -> None:
    found = ej("RuleEngine/Recognition/LicensePlate", PLATE, Key=key, PropertyOperation=operation)
    assert isinstance(found.data, CameraPlate) is read
    if not read:
        assert alarm(found).active is False
        assert "61A" not in repr(found.data)


def test_a_recognised_face_leaves_no_name_behind() -> None:
    found = ej(
        "RuleEngine/Recognition/Face", {"Label": "Nguyễn Văn A", "EnrollmentID": "7", "Likelihood": "0.9"}
    )
    assert "Nguyễn" not in repr(found.data)
    assert alarm(found).confidence == 0.9


def test_counters_count_people_or_vehicles_where_somebody_says_which() -> None:
    source = {"Rule": "Vao"}
    plain = ej("RuleEngine/CountAggregation/Counter/&1/Vao", {"Count": "41"}, source=source)
    assert plain.data == CameraCount(
        counts={"Vao": 41},
        extra={"cumulative": True, "rule": "Vao", "topic": "RuleEngine/CountAggregation/Counter"},
    )
    people = ej("RuleEngine/CountAggregation/OccupancyCounter", {"Count": 7}, options={"counts": "people"})
    assert isinstance(people.data, CameraCount)
    assert (people.data.people, people.data.extra["cumulative"]) == (7, False)
    passed = ej("RuleEngine/CountAggregation/Counter", {"Count": 4_100}, options={"counts": "people"})
    assert isinstance(passed.data, CameraCount)
    assert (passed.data.people, passed.data.counts) == (0, {"total": 4_100}), "a running total is no crowd"


@pytest.mark.parametrize(
    ("topic", "data"),
    [
        ("Monitoring/MotionOfFans", {"Value": 3}),
        ("Monitoring/ProcessorUsage", {"Value": "12"}),
        ("Monitoring/OperatingTime/LastReboot", {"Status": "2026-11-20T03:00:00Z"}),
        ("RecordingConfig/JobState", {"State": "Idle"}),
    ],
)
def test_a_figure_of_the_device_s_own_is_no_alarm(topic: str, data: dict[str, Any]) -> None:
    found = alarm(ej(topic, data))
    assert (found.kind, found.active) == ("other", False)
    assert found.extra["topic"] == topic


def test_a_frame_gives_each_object_with_its_place_in_the_picture() -> None:
    truck, plate, person = decode(stream(FRAME)).events
    assert truck.data == CameraObject(
        label="truck",
        confidence=0.8,
        track_id="12",
        speed_kmh=45.0,
        box=(0.03125, 0.625, 0.125, 0.3125),
        extra={"brand": "isuzu", "module": "Tracker"},
    )
    assert plate.data == CameraPlate(
        plate="61C-123.45",
        confidence=0.93,
        vehicle="truck",
        speed_kmh=45.0,
        extra={"country": "VN", "brand": "isuzu", "track_id": "12"},
    )
    assert person.data == CameraObject(
        label="human", confidence=0.7, track_id="15", extra={"module": "Tracker"}
    )
    assert {truck.time_us, plate.time_us, person.time_us} == {AT_US}
    assert len({truck.id, plate.id, person.id}) == 3


def test_a_frame_in_json_is_the_same_frame_and_its_time_is_utc() -> None:
    found = one(
        decode(FRAME_JSON, "onvif-mj/VideoAnalytics/1/MyClassifier", zone=ZoneInfo("Asia/Ho_Chi_Minh"))
    )
    assert found.time_us == AT_US
    assert found.data == CameraObject(
        label="human",
        confidence=0.8,
        track_id="15",
        box=(0.03125, 0.833333, 0.125, 0.104167),
        extra={"module": "MyClassifier"},
    )


def test_a_camera_whose_utc_time_is_local_is_told_so_with_an_option() -> None:
    body = FRAME_JSON.replace(b"09:59:50.120", b"16:59:50.120")
    options = {"utc_time": "local"}
    zone = ZoneInfo("Asia/Ho_Chi_Minh")
    assert one(decode(body, "onvif-mj/VideoAnalytics/1/a", options, zone=zone)).time_us == AT_US
    [refused] = decode(body, "onvif-mj/VideoAnalytics/1/a", options).rejections
    assert (refused.rule, refused.field) == ("zone", "Frame.UtcTime")


def test_transformations_of_frame_and_object_follow_each_other() -> None:
    inner = '<tt:Transformation><tt:Translate x="10" y="10"/><tt:Scale x="2" y="2"/></tt:Transformation>'
    frame = FRAME.replace("<tt:Appearance>", f"<tt:Appearance>{inner}", 1)
    data = decode(stream(frame)).events[0].data
    assert isinstance(data, CameraObject)
    # 20…100 × 2 + 10 of 640 points, 30…180 × 2 + 10 of 480 from below.
    assert data.box == pytest.approx((50 / 640, 1 - 370 / 480, 160 / 640, 300 / 480), abs=1e-5)


def test_a_box_outside_the_picture_is_left_out_and_counted_and_the_object_stays() -> None:
    decoded = decode(stream(FRAME.replace('left="20.0"', 'left="-9000"')))
    assert isinstance(decoded.events[0].data, CameraObject)
    assert decoded.events[0].data.box is None
    assert decoded.dropped_fields == 1


def test_a_message_that_cannot_be_read_leaves_the_others_of_its_body() -> None:
    broken = b'{"Frame":[{"@UtcTime":"x","Object":[{}]}]}'
    decoded = decode(b"[" + broken + b"," + FRAME_JSON + b"]")
    assert [(r.line, r.field) for r in decoded.rejections] == [(1, "Frame.UtcTime")]
    assert [event.line for event in decoded.events] == [2]


def test_answers_in_soap_give_each_notification_apart() -> None:
    good = notification("tns1:RuleEngine/CellMotionDetector/Motion", {"Rule": "a"}, {"IsMotion": "true"})
    bad = good.replace(TIME, "yesterday")
    decoded = decode(pulled(good, bad, good.replace("true", "false")))
    assert [alarm(event).active for event in decoded.events] == [True, False]
    [refused] = decoded.rejections
    assert (refused.line, refused.rule, refused.field) == (2, "iso8601", "UtcTime")
    assert b"yesterday" in refused.raw
    assert len(refused.raw) < len(pulled(good, bad))


def test_the_same_notification_in_another_answer_is_a_duplicate_and_a_second_crossing_is_none() -> None:
    crossed = notification("tns1:RuleEngine/LineDetector/Crossed", {"Rule": "a"}, {"ObjectId": "1"})
    other = notification("tns1:RuleEngine/LineDetector/Crossed", {"Rule": "a"}, {"ObjectId": "2"})
    [first, second] = decode(pulled(crossed, other)).events
    assert first.id != second.id
    assert [event.id for event in decode(pulled(other, crossed)).events] == [second.id, first.id]
    twice = [event.id for event in decode(pulled(crossed, crossed)).events]
    assert len(set(twice)) == 2
    assert twice == [event.id for event in decode(pulled(crossed, crossed)).events]


def test_a_message_without_time_happened_when_it_came_and_again_later_is_another() -> None:
    body = b'{"Source":{},"Data":{"State":"true"}}'
    now = one(decode(body, "onvif-ej/VideoSource/MotionAlarm"))
    later = DecodeContext(device_id="cam-1", now_us=NOW_US + 1, topic="onvif-ej/VideoSource/MotionAlarm")
    assert now.time_us == NOW_US
    assert one(DECODERS["onvif"].decode(body, later)).id != now.id


def test_what_stands_before_the_mark_and_split_channels_are_parts_of_the_sender() -> None:
    body = b'{"UtcTime":"2026-11-22T09:59:50Z","Source":{"VideoSourceToken":"vs-0"},"Data":{"State":"true"}}'
    assert one(decode(body, "Cam7/onvif-ej/VideoSource/MotionAlarm/&vs-0")).source == "cam-1-Cam7"
    split = {"split": "video-source", "prefix": "nvr/"}
    assert one(decode(body, "onvif-ej/VideoSource/MotionAlarm/&vs-0", split)).source == "nvr/vs-0"


def test_a_fragment_whose_prefixes_nothing_declares_is_read() -> None:
    assert len(decode((FRAME + FRAME.replace("09:59:50", "09:59:51")).encode()).events) == 6


@pytest.mark.parametrize(
    "body",
    [
        stream(""),
        stream("<tt:Event/>"),
        pulled(),
        b'<a><VideoAnalytics><Frame UtcTime="2026-11-22T09:59:50Z"/></VideoAnalytics></a>',
    ],
)
def test_a_quiet_minute_holds_nothing_and_is_not_refused(body: bytes) -> None:
    decoded = decode(body)
    assert (decoded.events, decoded.rejections) == ([], [])


@pytest.mark.parametrize(
    ("body", "rule", "field"),
    [
        (b"<html/>", "known_type", None),
        (b"<a><b></a>", "xml", None),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "xml_entity", None),
        (b'{"hello": 1}', "known_type", None),
        (b'{"UtcTime": 5, "Data": {}}', "type", "UtcTime"),
        (b'{"UtcTime": "now", "Data": {}}', "iso8601", "UtcTime"),
        (b'{"UtcTime": "2026-11-22T09:59:50Z", "Data": 7}', "type", "Data"),
        (b'{"Frame": 7}', "type", "Frame"),
        (b'{"Data": {"a": "\\u0000"}}', "no_nul", None),
        (b"{", "json", None),
    ],
)
def test_what_is_no_event_is_refused_naming_rule_and_field(body: bytes, rule: str, field: str | None) -> None:
    decoded = decode(body)
    assert decoded.events == []
    [refused] = decoded.rejections
    assert (refused.rule, refused.field) == (rule, field)


def test_more_objects_or_messages_than_a_body_may_hold_are_refused() -> None:
    with pytest.raises(TooManyEvents):
        decode(stream(FRAME), max_events=2)
    with pytest.raises(TooManyEvents):
        decode(stream('<tt:Frame UtcTime="never"/>' * 3), max_events=2)


def test_a_flood_of_own_fields_is_cut_and_pictures_are_left_out() -> None:
    data = {f"f{number}": number for number in range(200)} | {"Image": "x" * 5_000, "Big": 2**70}
    decoded = decode(json.dumps({"UtcTime": TIME, "Data": data}).encode(), "onvif-ej/acme:A")
    assert len(one(decoded).data.extra) <= 64
    assert decoded.dropped_fields >= 138
    assert "Image" not in one(decoded).data.extra


@pytest.mark.skipif(not ZEEP.is_dir(), reason="recorded messages are not at hand")
def test_recorded_messages_of_seven_makers_are_understood() -> None:
    found = {}
    for file in sorted(ZEEP.glob("*.json")):
        data = alarm(one(decode(file.read_bytes())))
        found[file.stem] = (str(data.kind), data.active, data.extra.get("label"))
    assert {name: found[name] for name in ("ajax-0", "ajax-2", "ajax-5", "generic-0", "hikvision-0")} == {
        "ajax-0": ("motion", True, None),
        "ajax-2": ("motion", False, None),
        "ajax-5": ("line_crossing", True, None),
        "generic-0": ("line_crossing", False, None),
        "hikvision-0": ("other", True, None),
    }
    assert {
        name: found[name] for name in ("reolink-0", "tapo-0", "tapo-3", "tapo-4", "tapo-6", "tapo-7")
    } == {
        "reolink-0": ("motion", True, "package"),
        "tapo-0": ("line_crossing", True, None),
        "tapo-3": ("motion", True, "person"),
        "tapo-4": ("motion", True, "animal"),
        "tapo-6": ("tamper", True, None),
        "tapo-7": ("intrusion", True, None),
    }


def test_a_message_in_xml_with_its_byte_order_mark_or_in_utf_16_is_read() -> None:
    motion = event("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "true"})
    assert alarm(one(decode(b"\xef\xbb\xbf" + motion))).kind == "motion"
    wide = motion.decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert alarm(one(decode(wide))).kind == "motion"


def test_a_message_with_a_picture_is_read_without_it() -> None:
    picture = "A" * 100_000
    body = {"UtcTime": TIME, "Source": {}, "Data": {**PLATE, "Image": picture}}
    decoded = decode(json.dumps(body).encode(), "onvif-ej/RuleEngine/Recognition/LicensePlate")
    assert isinstance(one(decoded).data, CameraPlate)
    assert decoded.dropped_fields == 1
    assert picture[:1_000] not in repr(one(decoded).data)


def test_a_plate_that_an_alarm_shows_is_a_plate_of_its_own_and_never_unmasked_beside_the_alarm() -> None:
    info = {"LicensePlateInfo": {"PlateNumber": {"#text": "61A12345"}}}
    shown = {"Object": {"Object": {"@ObjectId": 3, "Appearance": info}}}
    for data in ({"LicensePlate": "61A12345"}, shown, {"LicensePlateInfo": info}):
        body = json.dumps({"UtcTime": TIME, "Source": {"Rule": "a"}, "Data": data}).encode()
        crossing, plate = decode(body, "onvif-ej/RuleEngine/LineDetector/Crossed").events
        assert alarm(crossing).kind == "line_crossing"
        assert "61A12345" not in repr(crossing.data)
        assert isinstance(plate.data, CameraPlate)
        assert plate.data.plate == "61A12345"
        assert crossing.id != plate.id
    assert isinstance(ej("acme:Gate/Passed", {"LicensePlate": "61A12345"}).data, CameraPlate)


@pytest.mark.parametrize("body", [b'{"PTZStatus":{"@UtcTime":"x"}}', b'{"AudioDescriptor":[]}'])
def test_metadata_of_camera_and_sound_is_passed_over(body: bytes) -> None:
    decoded = decode(body, "onvif-mj/PTZ/1/2")
    assert (decoded.events, decoded.rejections) == ([], [])


@pytest.mark.parametrize("around", ['{"VideoAnalytics": %s}', '{"MetadataStream": {"VideoAnalytics": %s}}'])
def test_a_frame_in_json_is_the_same_inside_what_xml_has_around_it(around: str) -> None:
    zone = ZoneInfo("Asia/Ho_Chi_Minh")
    bare = one(decode(FRAME_JSON, zone=zone))
    assert one(decode(around.encode() % FRAME_JSON, zone=zone)).data == bare.data


def test_notifications_in_a_json_stream_stand_beside_its_frames() -> None:
    message = {"UtcTime": TIME, "Source": {}, "Data": {"State": "true"}}
    node = {"Topic": "tns1:VideoSource/MotionAlarm", "Message": {"Message": message}}
    body = {"MetadataStream": {"Event": {"NotificationMessage": node}}}
    assert alarm(one(decode(json.dumps(body).encode()))).kind is AlarmKind.MOTION


def test_where_an_object_is_on_earth_stands_beside_it() -> None:
    geo = '<tt:GeoLocation lon="106.65" lat="10.98" elevation="4"/></tt:Appearance>'
    data = decode(stream(FRAME.replace("</tt:Appearance>", geo, 1))).events[0].data
    assert (data.extra["geo_lon"], data.extra["geo_lat"]) == (106.65, 10.98)


@pytest.mark.parametrize("cut", [1, 60, 300])
def test_a_stream_that_breaks_off_gives_what_was_whole_and_the_same_ids(cut: int) -> None:
    motion = notification("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "true"})
    ended = notification("tns1:VideoSource/MotionAlarm", {"Source": "1"}, {"State": "false"})
    whole = pulled(motion, ended, motion)
    broken = decode(whole[: whole.rindex(b"</tt:Message>") - cut])
    assert [event.id for event in broken.events] == [event.id for event in decode(whole).events[:2]]
    assert [(refused.line, refused.rule) for refused in broken.rejections] == [(3, "xml")]
