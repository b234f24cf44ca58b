"""Frigate: one server, its cameras, and what its topics tell."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraObject, CameraPlate, CameraStatus
from tests.unit.ingest.fakes import NOW_US

TRACKED: dict[str, Any] = {
    "id": "1795255180.475377-mxklsc",
    "camera": "gate",
    "frame_time": 1795255190.5,
    "start_time": 1795255180.475377,
    "end_time": None,
    "label": "car",
    "sub_label": None,
    "score": 0.875,
    "top_score": 0.95,
    "box": [128, 72, 256, 216],
    "current_zones": ["yard", "lane"],
    "entered_zones": ["yard", "lane"],
    "current_estimated_speed": 38.5,
    "stationary": False,
}
REVIEW: dict[str, Any] = {
    "id": "1795255180.3-fqk5ka",
    "camera": "gate",
    "start_time": 1795255180.0,
    "end_time": None,
    "severity": "alert",
    "data": {"objects": ["person"], "zones": ["yard"], "audio": []},
}
PLATE: dict[str, Any] = {
    "type": "lpr",
    "id": TRACKED["id"],
    "name": "John's Car",
    "plate": "61A67890",
    "score": 0.95,
    "camera": "gate",
    "timestamp": 1795255190.7,
}


def decode(body: Any, topic: str | None, options: Mapping[str, str] | None = None) -> Decode:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    context = DecodeContext(device_id="frigate-1", now_us=NOW_US, topic=topic, options=options or {})
    return DECODERS["frigate"].decode(raw, context)


def one(decoded: Decode) -> Decoded:
    assert decoded.rejections == []
    [found] = decoded.events
    return found


def tracked(options: Mapping[str, str] | None = None, kind: str = "update", **changes: Any) -> Decode:
    body = {"type": kind, "before": TRACKED, "after": {**TRACKED, **changes}}
    return decode(body, "events", options)


def test_a_tracked_object_is_an_object_of_its_camera() -> None:
    found = one(tracked({"frame": "1280x720"}))
    assert (found.source, found.time_us) == ("frigate-1-gate", 1_795_255_190_500_000)
    assert found.data == CameraObject(
        label="car",
        confidence=0.875,
        track_id="1795255180.475377-mxklsc",
        zone="lane",
        speed_kmh=38.5,
        box=(0.1, 0.1, 0.1, 0.2),
        extra={"operation": "update", "stationary": False, "top_score": 0.95, "entered_zones": "yard lane"},
    )


def test_a_box_in_points_of_an_unknown_picture_stays_in_points() -> None:
    data = one(tracked()).data
    assert isinstance(data, CameraObject)
    assert data.box is None
    assert [data.extra[f"box_{side}_px"] for side in ("left", "top", "right", "bottom")] == [
        128,
        72,
        256,
        216,
    ]


def test_a_cameras_own_picture_size_and_miles_an_hour_are_options() -> None:
    data = one(tracked({"frame": "640x480", "frame.gate": "1280x720", "speed_unit": "mph"})).data
    assert isinstance(data, CameraObject)
    assert (data.box, data.speed_kmh) == ((0.1, 0.1, 0.1, 0.2), 61.96)


def test_an_object_that_has_gone_ends_when_it_went() -> None:
    found = one(tracked(kind="end", end_time=1795255195.25))
    assert found.time_us == 1_795_255_195_250_000
    assert found.data.extra["operation"] == "end"


def test_names_of_people_are_not_kept() -> None:
    for changes in (
        {"label": "person", "sub_label": ["John Smith", 0.79]},
        {"label": "person", "sub_label": "John Smith"},
        {"sub_label": "John's Car", "recognized_license_plate": "61A67890"},
    ):
        decoded = tracked(**changes)
        assert "John" not in repr([event.data for event in decoded.events])
        assert decoded.dropped_fields == 1
    assert "John" not in repr(one(decode(PLATE, "tracked_object_update")).data)
    face = {**PLATE, "type": "face", "plate": None}
    assert "John" not in repr(one(decode(face, "tracked_object_update")).data)


def test_a_plate_that_two_topics_tell_of_is_one_event() -> None:
    by_events = tracked(recognized_license_plate="61A67890", recognized_license_plate_score=0.93).events[1]
    assert by_events.data == CameraPlate(
        plate="61A67890",
        confidence=0.93,
        vehicle="car",
        speed_kmh=38.5,
        extra={"track_id": TRACKED["id"]},
    )
    by_update = one(decode(PLATE, "frigate/tracked_object_update"))
    assert (by_update.id, by_update.source) == (by_events.id, by_events.source)
    assert getattr(by_update.data, "vehicle", "") is None, "a motorcycle has a plate too"
    assert one(decode({**PLATE, "plate": "61A67891"}, "tracked_object_update")).id != by_events.id


def test_how_fast_an_object_went_on_the_whole_is_kept() -> None:
    [seen] = tracked(average_estimated_speed=21.5).events
    assert isinstance(seen.data, CameraObject)
    assert seen.data.extra["average_speed_kmh"] == 21.5


def test_a_plate_that_has_been_told_is_not_told_again() -> None:
    known = {**TRACKED, "recognized_license_plate": "61A67890"}
    decoded = decode({"type": "update", "before": known, "after": known}, "events")
    assert [type(event.data) for event in decoded.events] == [CameraObject]


def test_a_review_is_an_alarm_until_it_ends() -> None:
    begun = one(decode({"type": "new", "before": REVIEW, "after": REVIEW}, "reviews"))
    assert begun.time_us == 1_795_255_180_000_000
    assert begun.data == CameraAlarm(
        kind=AlarmKind.INTRUSION,
        zone="yard",
        track_id=REVIEW["id"],
        extra={"operation": "new", "severity": "alert", "objects": "person", "zones": "yard"},
    )
    ended = one(decode({"type": "end", "after": {**REVIEW, "end_time": 1795255190.0}}, "reviews"))
    assert isinstance(ended.data, CameraAlarm)
    assert (ended.data.active, ended.data.duration_s) == (False, 10.0)
    assert ended.time_us == 1_795_255_190_000_000


@pytest.mark.parametrize(
    ("changes", "options", "kind"),
    [
        ({"severity": "detection"}, {}, "motion"),
        ({"data": {"objects": [], "audio": ["fire_alarm"]}}, {}, "fire_smoke"),
        ({"data": {"objects": [], "audio": ["bark"]}}, {}, "other"),
        ({}, {"kind.yard": "illegal_stop"}, "illegal_stop"),
        ({}, {"kind.person": "loitering"}, "loitering"),
        ({}, {"kind.yard": "nonsense"}, "other"),
    ],
)
def test_a_reviews_kind_follows_its_zones_objects_and_the_operator(
    changes: dict[str, Any], options: dict[str, str], kind: str
) -> None:
    found = one(decode({"type": "new", "after": {**REVIEW, **changes}}, "reviews", options))
    assert isinstance(found.data, CameraAlarm)
    assert found.data.kind == kind


@pytest.mark.parametrize(
    ("topic", "body", "source", "data"),
    [
        ("available", b"online", "frigate-1", CameraStatus(online=True, reason="online")),
        ("available", b"offline", "frigate-1", CameraStatus(online=False, reason="offline")),
        (
            "gate/status/detect",
            b"offline",
            "frigate-1-gate",
            CameraStatus(online=False, reason="detect offline"),
        ),
        ("gate/enabled/state", b"OFF", "frigate-1-gate", CameraStatus(online=False, reason="processing off")),
        ("gate/person", b"3", "frigate-1-gate", CameraCount(people=3, counts={"person": 3})),
        ("gate/truck", b"2", "frigate-1-gate", CameraCount(vehicles=2, counts={"truck": 2})),
        ("gate/car/active", b"1", "frigate-1-gate", CameraCount(counts={"car_active": 1})),
        (
            "gate/motion",
            b"ON",
            "frigate-1-gate",
            CameraAlarm(kind=AlarmKind.MOTION, extra={"topic": "motion"}),
        ),
        (
            "gate/audio/fire_alarm",
            b"OFF",
            "frigate-1-gate",
            CameraAlarm(
                kind=AlarmKind.FIRE_SMOKE, active=False, extra={"topic": "audio", "sound": "fire_alarm"}
            ),
        ),
    ],
)
def test_topics_of_one_word_tell_of_server_and_cameras(
    topic: str, body: bytes, source: str, data: Any
) -> None:
    for prefix in ("", "frigate/"):
        found = one(decode(body, prefix + topic))
        assert (found.source, found.data, found.time_us) == (source, data, NOW_US)


def test_zones_have_topics_like_cameras_and_an_option_tells_them_apart() -> None:
    options = {"cameras": "gate,market"}
    assert one(decode(b"1", "gate/person", options)).source == "frigate-1-gate"
    zone = one(decode(b"1", "yard/person", options))
    assert (zone.source, zone.data.extra) == ("frigate-1", {"zone": "yard"})


def test_statistics_are_a_sign_of_life_of_each_camera() -> None:
    stats = {
        "cameras": {"gate": {"camera_fps": 5.1}, "market": {"camera_fps": 0.0}, "new": {}},
        "service": {"last_updated": 1795255190},
    }
    decoded = decode(stats, "stats")
    assert [(event.source, event.data) for event in decoded.events] == [
        ("frigate-1-gate", CameraStatus(online=True)),
        ("frigate-1-market", CameraStatus(online=False, reason="no frames")),
    ]


@pytest.mark.parametrize(
    "topic",
    [
        "gate/person/snapshot",
        "gate/detect/state",
        "gate/detect/set",
        "gate/audio/state",
        "gate/audio/dBFS",
        "gate/review_status",
        "gate/motion_mask/m/state",
        "camera_activity",
        "notifications/state",
        "restart",
    ],
)
def test_settings_commands_and_pictures_are_no_events_and_not_refused(topic: str) -> None:
    decoded = decode(b"\xff\xd8\xff", topic)
    assert (decoded.events, decoded.rejections) == ([], [])


def test_a_renamed_prefix_is_an_option_and_without_topic_the_content_says_what_it_is() -> None:
    assert one(decode(b"online", "site/nvr/available", {"topic_prefix": "site/nvr"})).source == "frigate-1"
    kinds = [
        type(one(decode(body, None)).data)
        for body in ({"type": "new", "after": TRACKED}, {"type": "new", "after": REVIEW}, PLATE)
    ]
    assert kinds == [CameraObject, CameraAlarm, CameraPlate]


def test_the_same_message_again_is_a_duplicate_and_the_same_word_later_is_not() -> None:
    assert one(tracked()).id == one(tracked()).id
    now = one(decode(b"offline", "gate/status/detect"))
    later = DecodeContext(device_id="frigate-1", now_us=NOW_US + 1, topic="gate/status/detect")
    assert one(DECODERS["frigate"].decode(b"offline", later)).id != now.id


@pytest.mark.parametrize(
    ("topic", "body", "rule", "field"),
    [
        ("events", {"type": "new"}, "required", "after"),
        ("events", {"after": {**TRACKED, "camera": ""}}, "length", "after.camera"),
        ("events", {"after": {**TRACKED, "camera": "x" * 200}}, "length", "after.camera"),
        ("events", {"after": {**TRACKED, "score": 7}}, "in_range", "data.confidence"),
        ("events", {"after": {**TRACKED, "frame_time": -1}}, "unix_time", "after.frame_time"),
        ("tracked_object_update", {"type": "lpr", "id": "a", "camera": "gate"}, "required", "plate"),
        ("gate/person", b"three", "known_topic", "payload"),
        ("gate/status/detect", b"maybe", "known_value", "payload"),
        ("a/b/c/d", b"1", "known_topic", "topic"),
        ("events", b"{", "json", None),
        ("stats", b"{", "json", None),
    ],
)
def test_what_is_no_event_is_refused_naming_rule_and_field(
    topic: str, body: Any, rule: str, field: str | None
) -> None:
    decoded = decode(body, topic)
    assert decoded.events == []
    [refused] = decoded.rejections
    assert (refused.rule, refused.field) == (rule, field)


def test_numbers_written_as_text_and_lists_that_are_null_are_read() -> None:
    told = tracked(score="0.875", frame_time="1795255190.5", current_zones=None, entered_zones=None)
    event = one(told)
    assert isinstance(event.data, CameraObject)
    assert (event.data.confidence, event.data.zone, event.time_us) == (0.875, None, 1_795_255_190_500_000)
    stats = decode({"cameras": {"gate": {"camera_fps": "5.1"}}}, "stats")
    assert one(stats).data == CameraStatus(online=True)
    odd = one(tracked(area="nan", ratio="inf"))
    assert {"area", "ratio"}.isdisjoint(odd.data.extra), "JSON has no such numbers"


def test_what_is_written_of_a_review_after_its_end_does_not_begin_it_anew() -> None:
    over = {**REVIEW, "end_time": REVIEW["start_time"] + 9}
    described = {**over, "data": {**REVIEW["data"], "metadata": {"title": "Somebody at the gate"}}}
    event = one(decode({"type": "genai", "before": over, "after": described}, "reviews"))
    assert isinstance(event.data, CameraAlarm)
    assert (event.data.active, event.data.duration_s) == (False, 9.0)


@pytest.mark.parametrize("topic", ["model_state", "job_state", "audio_detections", "notification_test"])
def test_what_the_server_tells_its_own_pages_is_no_event_and_not_refused(topic: str) -> None:
    decoded = decode(b"{}", topic)
    assert (decoded.events, decoded.rejections) == ([], [])
