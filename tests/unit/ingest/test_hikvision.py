"""Alerts of Hikvision's cameras and recorders."""

import json
from typing import Any

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, TooManyEvents
from ioc.ingest.decoders.moments import zone_of
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraObject, CameraPlate, CameraStatus
from ioc.model.times import format_us
from tests.conformance import DATA
from tests.conformance.hikvision import ANPR, JSON_ALERT, alert, multipart, region
from tests.unit.ingest.fakes import NOW_US

JPEG = b"\xff\xd8\xff\xe0" + bytes(300)


def decode(body: bytes, content_type: str | None = None, **context: Any) -> Decode:
    boundary = "boundary" if content_type and content_type.startswith("multipart/") else None
    told = DecodeContext(
        device_id="nvr-1", now_us=NOW_US, content_type=content_type, boundary=boundary, **context
    )
    return DECODERS["hikvision"].decode(body, told)


def only(body: bytes, **context: Any) -> Decoded:
    decoded = decode(body, **context)
    assert decoded.rejections == []
    [event] = decoded.events
    return event


def test_a_plate_keeps_confidence_vehicle_speed_and_place() -> None:
    event = only(alert("ANPR", ANPR))
    assert isinstance(event.data, CameraPlate)
    data = event.data
    assert (data.plate, data.confidence, data.vehicle, data.speed_kmh) == ("61A12345", 0.97, "truck", 63)
    assert (data.extra["lane"], data.extra["direction"], data.extra["color"]) == ("2", "forward", "blue")
    assert (event.source, format_us(event.time_us)) == ("nvr-1", "2026-11-22T09:59:58.000Z")
    assert event.lon == pytest.approx(106 + 39 / 60 + 9.5 / 3600)
    assert event.lat == pytest.approx(10 + 58 / 60 + 50 / 3600)


def test_the_recorded_plate_of_a_real_camera_is_read() -> None:
    file = DATA / "camera-hikvision-anpr" / "anpr.xml"
    if not file.is_file():
        pytest.skip("the real samples are not at hand")
    event = only(file.read_bytes())
    assert isinstance(event.data, CameraPlate)
    assert (event.data.plate, event.data.confidence, event.data.speed_kmh) == ("PECT600", 0.97, None)
    assert event.lon == 111.0
    assert event.lat == pytest.approx(22 / 60)
    assert format_us(event.time_us) == "2024-01-19T03:17:19.000Z"


@pytest.mark.parametrize("plate", ["unknown", "", "Unknown", "noPlate", "No Plate", "无车牌", "-"])
def test_a_vehicle_whose_plate_is_not_read_is_an_object_not_a_plate(plate: str) -> None:
    event = only(alert("ANPR", ANPR.replace("<licensePlate>61A12345<", f"<licensePlate>{plate}<")))
    assert isinstance(event.data, CameraObject)
    assert event.data.label == "truck"


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("VMD", AlarmKind.MOTION),
        ("linedetection", AlarmKind.LINE_CROSSING),
        ("fielddetection", AlarmKind.INTRUSION),
        ("regionEntrance", AlarmKind.INTRUSION),
        ("regionExiting", AlarmKind.INTRUSION),
        ("loitering", AlarmKind.LOITERING),
        ("group", AlarmKind.CROWD),
        ("shelteralarm", AlarmKind.TAMPER),
        ("tamperdetection", AlarmKind.TAMPER),
        ("fireDetection", AlarmKind.FIRE_SMOKE),
        ("smokeDetection", AlarmKind.FIRE_SMOKE),
        ("parking", AlarmKind.ILLEGAL_STOP),
        ("illegalParking", AlarmKind.ILLEGAL_STOP),
        ("wrongDirection", AlarmKind.WRONG_WAY),
        ("wrongWayDriving", AlarmKind.WRONG_WAY),
        ("vehicleIllegalParking", AlarmKind.ILLEGAL_STOP),
        ("roadWaterlogging", AlarmKind.FLOOD),
        ("peopleFallDown", AlarmKind.FALL),
        ("personQueueDetection", AlarmKind.CROWD),
        ("fireEscapeDetection", AlarmKind.OTHER),
        ("facedetection", AlarmKind.OTHER),
        ("IO", AlarmKind.OTHER),
        ("somethingNew", AlarmKind.OTHER),
    ],
)
def test_an_alarm_has_a_kind_and_keeps_its_own_name(event_type: str, kind: AlarmKind) -> None:
    data = only(alert(event_type, region(7, "vehicle"))).data
    assert isinstance(data, CameraAlarm)
    assert (data.kind, data.active, data.zone) == (kind, True, "7")
    assert (data.extra["event"], data.extra["target"]) == (event_type, "vehicle")


def test_an_alarm_repeated_each_second_is_one_happening_and_the_next_is_another() -> None:
    def posted(second: int, count: int, number: int = 1, **changes: str) -> str:
        at = {"dateTime": f"2026-11-22T16:59:{second:02d}+07:00", "activePostCount": str(count)}
        return only(alert("fielddetection", region(number, "human"), **{**at, **changes})).id

    first = posted(10, 1)
    assert {posted(11, 2), posted(12, 3), posted(40, 31)} == {first}
    others = {
        posted(41, 1),
        posted(10, 1, number=2),
        posted(10, 1, channelID="2"),
        posted(10, 1, eventState="inactive"),
    }
    assert first not in others
    assert len(others) == 4


def test_regions_of_one_alert_are_apart() -> None:
    two = region(1, "human").replace("</DetectionRegionList>", "") + region(2, "human").replace(
        "<DetectionRegionList>", ""
    )
    events = decode(alert("fielddetection", two)).events
    assert [event.data.zone for event in events if isinstance(event.data, CameraAlarm)] == ["1", "2"]
    assert len({event.id for event in events}) == 2


def test_no_video_takes_a_camera_offline_and_the_idle_stream_says_it_is_there() -> None:
    assert only(alert("videoloss")).data == CameraStatus(online=False, reason="videoloss")
    idle = only(alert("videoloss", eventState="inactive", activePostCount="0"))
    assert idle.data == CameraStatus(online=True, reason="heartbeat")
    assert only(alert("heartBeat")).data == CameraStatus(online=True, reason="heartbeat")


@pytest.mark.parametrize(
    ("fields", "options", "source"),
    [
        ({"channelID": "1"}, {}, "nvr-1"),
        ({"channelID": ""}, {}, "nvr-1"),
        ({"channelID": "3"}, {}, "nvr-1-3"),
        ({"channelID": "", "dynChannelID": "3"}, {}, "nvr-1-3"),
        ({"channelID": "1"}, {"prefix": "cam-"}, "cam-1"),
        ({"channelID": "1"}, {"channels": "parts"}, "nvr-1-1"),
        ({"channelID": "3"}, {"channels": "one"}, "nvr-1"),
    ],
)
def test_a_recorders_channels_are_its_parts(
    fields: dict[str, str], options: dict[str, str], source: str
) -> None:
    assert only(alert("VMD", **fields), options=options).source == source


def test_people_through_a_line_are_counted_over_their_interval() -> None:
    counting = """<peopleCounting><statisticalMethods>timeRange</statisticalMethods><TimeRange>
    <startTime>2026-11-22T16:45:00</startTime><endTime>2026-11-22T16:59:00</endTime></TimeRange>
    <enter>22</enter><exit>9</exit><regionsID>1</regionsID></peopleCounting>"""
    event = only(alert("PeopleCounting", counting), zone=zone_of("Asia/Ho_Chi_Minh"))
    shouted = only(
        alert("PEOPLECOUNTING", counting.replace(">timeRange<", ">TimeRange<")),
        zone=zone_of("Asia/Ho_Chi_Minh"),
    )
    assert isinstance(shouted.data, CameraCount)
    assert (shouted.data.people, shouted.data.interval_s) == (31, 840)
    assert event.data == CameraCount(
        people=31,
        interval_s=840,
        counts={"enter": 22, "exit": 9},
        extra={"method": "timeRange", "zone": "1"},
    )
    assert format_us(event.time_us) == "2026-11-22T09:59:00.000Z"


def test_a_running_total_is_not_people_in_view() -> None:
    total = """<peopleCounting><statisticalMethods>realTime</statisticalMethods><TimeRange>
    <startTime>2026-11-22T00:00:00Z</startTime><endTime>2026-11-22T09:59:58Z</endTime></TimeRange>
    <enter>167</enter></peopleCounting>"""
    data = only(alert("PeopleCounting", total)).data
    assert data == CameraCount(counts={"enter": 167}, extra={"method": "realTime"})


def test_json_says_the_same_as_xml() -> None:
    told = only(json.dumps(JSON_ALERT).encode())
    assert told.data == CameraAlarm(
        kind=AlarmKind.INTRUSION,
        zone="2",
        extra={"event": "fielddetection", "channel_name": "Cổng chợ", "target": "vehicle"},
    )
    wrapped = only(json.dumps({"EventNotificationAlert": JSON_ALERT}).encode())
    assert (wrapped.id, wrapped.data) == (told.id, told.data)


def test_pictures_beside_an_alert_are_counted_and_left() -> None:
    body = multipart(("anpr.xml", "text/xml", alert("ANPR", ANPR)), ("a.jpg", "image/jpeg", JPEG))
    decoded = decode(body, "multipart/form-data")
    assert [type(event.data) for event in decoded.events] == [CameraPlate]
    assert (decoded.pictures, decoded.rejections) == (1, [])


def test_a_broken_alert_of_a_stream_costs_itself_alone() -> None:
    parts = [("", "application/xml", body) for body in (alert("VMD"), b"<broken", alert("group"))]
    decoded = decode(multipart(*parts), "multipart/mixed")
    assert [event.line for event in decoded.events] == [1, 3]
    assert [(rejection.line, rejection.rule) for rejection in decoded.rejections] == [(2, "xml")]


def test_forward_becomes_a_direction_only_where_the_device_says_which() -> None:
    def direction(word: str, options: dict[str, str]) -> float | None:
        data = only(alert("ANPR", ANPR.replace(">forward<", f">{word}<")), options=options).data
        assert isinstance(data, CameraPlate)
        return data.direction_deg

    assert direction("forward", {}) is None
    assert direction("forward", {"forward_deg": "210"}) == 210
    assert direction("reverse", {"forward_deg": "210"}) == 30
    [rejection] = decode(alert("ANPR", ANPR), options={"forward_deg": "north"}).rejections
    assert (rejection.rule, rejection.field) == ("option", "options.forward_deg")


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (alert(""), "eventType", "required"),
        (alert("ANPR", ANPR.replace(">97<", ">970<")), "ANPR.confidenceLevel", "in_range"),
        (alert("ANPR", ANPR.replace(">97<", ">high<")), "ANPR.confidenceLevel", "type"),
        (alert("VMD", dateTime="yesterday"), "dateTime", "iso8601"),
        (alert("VMD", dateTime="2026-11-22T16:59:58"), "dateTime", "zone"),
        (alert("VMD" * 200), "eventType", "length"),
        (alert("PeopleCounting"), "peopleCounting", "required"),
        (b"<ResponseStatus/>", None, "known_document"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><EventNotificationAlert/>', None, "xml_entity"),
        (b'{"eventType": "VMD\\u0000"}', None, "no_nul"),
        (alert("VMD", "x" * 70_000), None, "max_event_bytes"),
    ],
)
def test_a_wrong_alert_is_refused_naming_field_and_rule(body: bytes, field: str | None, rule: str) -> None:
    decoded = decode(body)
    assert decoded.events == []
    assert [(rejection.field, rejection.rule) for rejection in decoded.rejections] == [(field, rule)]


def test_early_firmwares_offset_and_local_time_are_understood() -> None:
    early = only(alert("VMD", dateTime="2026-11-22T16:59:58+7:00"))
    local = only(alert("VMD", dateTime="2026-11-22T16:59:58"), zone=zone_of("Asia/Ho_Chi_Minh"))
    assert format_us(early.time_us) == format_us(local.time_us) == "2026-11-22T09:59:58.000Z"


def test_an_alert_without_a_time_happens_now_and_a_resend_of_it_is_known_within_the_moment() -> None:
    event = only(alert("VMD", dateTime=""))
    assert event.time_us == NOW_US
    assert event.id == only(alert("VMD", dateTime="")).id


def test_more_events_than_fit_are_refused_as_a_whole() -> None:
    parts = [("", "application/xml", alert("VMD", channelID=str(number))) for number in range(3)]
    with pytest.raises(TooManyEvents):
        decode(multipart(*parts), "multipart/mixed", max_events=2)


def test_each_vehicle_of_one_alert_is_an_event() -> None:
    two = "<ANPR><licensePlate>61A1</licensePlate></ANPR><ANPR><licensePlate>61A2</licensePlate></ANPR>"
    events = decode(alert("ANPR", two + "<UUID>u-1</UUID>")).events
    assert [event.data.plate for event in events if isinstance(event.data, CameraPlate)] == ["61A1", "61A2"]
    assert len({event.id for event in events}) == 2


def test_a_plate_without_its_own_block_is_read() -> None:
    data = only(alert("ANPR", "<licensePlate>61A1</licensePlate><confidenceLevel>92</confidenceLevel>")).data
    assert data == CameraPlate(plate="61A1", confidence=0.92, extra={"channel_name": "Cổng chợ Thủ Dầu Một"})


def test_a_speed_that_was_not_measured_costs_the_speed_alone() -> None:
    data = only(alert("ANPR", ANPR.replace("<speed>63<", "<speed>-1<"))).data
    assert isinstance(data, CameraPlate)
    assert (data.plate, data.speed_kmh) == ("61A12345", None)


def test_captured_targets_are_objects_and_plates_and_nothing_of_a_person_is_kept() -> None:
    looks = {"plateNo": "61A1", "vehicleType": "SUVMPV", "vehicleColor": "white"}
    vehicle = {"Property": [{"description": name, "value": value} for name, value in looks.items()]}
    woman = {"Property": [{"description": "gender", "value": "female"}], "name": "Nguyễn Thị B"}
    captured = [{"targetID": 1, "Vehicle": vehicle}, {"targetID": 2, "Human": woman, "Face": woman}]
    body = {**JSON_ALERT, "eventType": "mixedTargetDetection", "CaptureResult": captured}
    events = decode(json.dumps(body).encode()).events
    assert [event.data for event in events] == [
        CameraPlate(plate="61A1", vehicle="SUVMPV", extra={"color": "white"}),
        CameraObject(label="human", track_id="2"),
        CameraObject(label="face", track_id="2"),
    ]
    assert len({event.id for event in events}) == 3


def test_people_in_view_are_counted_by_region_wherever_they_stand() -> None:
    regions = [{"regionID": 1, "framesPeopleCountingNum": 5}, {"regionID": 2, "framesPeopleCountingNum": "7"}]
    body = {**JSON_ALERT, "eventType": "framesPeopleCounting", "FramesPeopleCounting": {"List": regions}}
    counts = [event.data for event in decode(json.dumps(body).encode()).events]
    assert counts == [
        CameraCount(people=5, extra={"method": "inView", "zone": "1"}),
        CameraCount(people=7, extra={"method": "inView", "zone": "2"}),
    ]


@pytest.mark.parametrize(
    ("lon", "lat", "west", "south"), [("w", "S", -1, -1), ("West", "n", -1, 1), ("E", "", 1, 1)]
)
def test_a_hemisphere_is_known_in_either_case(lon: str, lat: str, west: int, south: int) -> None:
    told = ANPR.replace(">E<", f">{lon}<").replace(">N<", f">{lat}<")
    event = only(alert("ANPR", told))
    assert event.lon is not None and event.lat is not None
    assert (event.lon * west > 0, event.lat * south > 0) == (True, True)


def test_an_alert_in_an_encoding_of_east_asia_is_read() -> None:
    told = alert("VMD", channelName="东门").decode().replace("UTF-8", "GB2312").encode("gb2312")
    assert only(told).data.extra["channel_name"] == "东门"


@pytest.mark.parametrize(
    ("more", "zone"),
    [
        (region(2, "human").replace("DetectionRegionEntry", "DetectionRegion"), "2"),
        ("<regionName>Sân kho</regionName>", "Sân kho"),
        ("<regionID>5</regionID>", "5"),
    ],
)
def test_a_region_is_known_in_the_ways_of_several_firmwares(more: str, zone: str) -> None:
    data = only(alert("fielddetection", more)).data
    assert isinstance(data, CameraAlarm)
    assert data.zone == zone


@pytest.mark.parametrize(
    ("told", "offence"),
    [
        ("<illegalCode>0</illegalCode><illegalName>Normal</illegalName>", None),
        ("<illegalName>normal</illegalName>", None),
        ("<illegalCode>0</illegalCode><illegalName>Bình thường</illegalName>", None),
        ("<illegalCode>1301</illegalCode><illegalName>Reverse driving</illegalName>", AlarmKind.WRONG_WAY),
        ("<illegalName>Running red light</illegalName>", AlarmKind.RED_LIGHT),
        ("<illegalCode>1039</illegalCode>", AlarmKind.OTHER),
    ],
)
def test_an_orderly_passage_is_no_offence(told: str, offence: AlarmKind | None) -> None:
    body = alert("ANPR", ANPR.replace("</ANPR>", f"<illegalInfo>{told}</illegalInfo></ANPR>"))
    plate, *others = (event.data for event in decode(body).events)
    assert isinstance(plate, CameraPlate)
    assert [other.kind for other in others if isinstance(other, CameraAlarm)] == (
        [offence] if offence else []
    )


@pytest.mark.parametrize(("event_type", "kind"), [("fielddetection", "intrusion"), ("VMD", "motion")])
@pytest.mark.parametrize(("state", "active"), [("active", True), ("inactive", False)])
def test_what_goes_on_is_of_the_kind_of_what_began(
    event_type: str, kind: str, state: str, active: bool
) -> None:
    more = f"<DurationList><Duration><relationEvent>{event_type}</relationEvent></Duration></DurationList>"
    data = only(alert("duration", more, eventState=state)).data
    assert isinstance(data, CameraAlarm)
    assert (data.kind, data.active) == (kind, active)
    assert (data.extra["event"], data.extra["event_subtype"]) == ("duration", event_type)


def test_what_a_vehicle_looks_like_is_read_wherever_it_stands() -> None:
    looks = "<vehicleColor>silver</vehicleColor><vehicleLogo>Toyota</vehicleLogo><speedLimit>60</speedLimit>"
    inside = only(alert("ANPR", f"<ANPR><licensePlate>61A1</licensePlate>{looks}</ANPR>")).data
    assert isinstance(inside, CameraPlate)
    assert (inside.extra["color"], inside.extra["brand"]) == ("silver", "Toyota")
    assert inside.extra["speed_limit_kmh"] == 60
    beside = "<vehicleInfo><vehicleType>truck</vehicleType><color>red</color><speed>41</speed></vehicleInfo>"
    outside = only(alert("ANPR", f"<ANPR><licensePlate>61A1</licensePlate></ANPR>{beside}")).data
    assert isinstance(outside, CameraPlate)
    assert (outside.vehicle, outside.speed_kmh, outside.extra["color"]) == ("truck", 41, "red")


@pytest.mark.parametrize(("told", "share"), [("0.95", 0.95), ("95", 0.95), ("1", 0.01), ("100", 1.0)])
def test_a_confidence_is_in_per_cent_and_below_one_a_fraction(told: str, share: float) -> None:
    body = f"<ANPR><licensePlate>61A1</licensePlate><confidenceLevel>{told}</confidenceLevel></ANPR>"
    data = only(alert("ANPR", body)).data
    assert isinstance(data, CameraPlate)
    assert data.confidence == share
