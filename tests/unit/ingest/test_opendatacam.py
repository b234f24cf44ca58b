"""Darknet frames as OpenDataCam reads them."""

import json
from typing import Any

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, TooManyEvents
from ioc.model.events import CameraObject
from ioc.model.times import parse_us
from tests.unit.ingest.fakes import NOW_US

OBJECT = {
    "class_id": 2,
    "name": "car",
    "relative_coordinates": {"center_x": 0.5, "center_y": 0.5, "width": 0.2, "height": 0.4},
    "confidence": 0.91,
}


def frame(**changes: Any) -> dict[str, Any]:
    return {"frame_id": 8990, "objects": [OBJECT, {**OBJECT, "name": "bus", "class_id": 5}], **changes}


def decode(content: bytes, max_events: int = 100) -> Decode:
    context = DecodeContext(device_id="odc-1", now_us=NOW_US, max_events=max_events)
    return DECODERS["opendatacam"].decode(content, context)


def test_each_object_becomes_an_event_of_the_sending_device() -> None:
    car, bus = decode(json.dumps(frame()).encode()).events
    assert (car.source, car.time_us, car.line) == ("odc-1", NOW_US, 1)
    assert car.data == CameraObject(
        label="car", confidence=0.91, box=(0.4, 0.3, 0.2, 0.4), extra={"class_id": 2}
    )
    assert bus.data == CameraObject(
        label="bus", confidence=0.91, box=(0.4, 0.3, 0.2, 0.4), extra={"class_id": 5}
    )
    assert car.id != bus.id


def test_a_resent_frame_gets_the_same_ids_and_another_runs_frame_does_not() -> None:
    first = [event.id for event in decode(json.dumps(frame()).encode()).events]
    assert first == [event.id for event in decode(json.dumps(frame()).encode()).events]
    other = frame(objects=[{**OBJECT, "confidence": 0.5}])
    assert decode(json.dumps(other).encode()).events[0].id not in first


def test_a_frames_own_time_counts() -> None:
    content = json.dumps(frame(time="2026-11-22T09:59:59Z")).encode()
    assert decode(content).events[0].time_us == parse_us("2026-11-22T09:59:59Z")


def test_darknets_stream_with_trailing_commas_is_read_line_by_line() -> None:
    lines = [json.dumps(frame(frame_id=number)).encode() + b"," for number in range(3)]
    decoded = decode(b"\n".join([lines[0], b"{broken,", lines[2]]))
    assert len(decoded.events) == 4
    assert [(r.line, r.rule) for r in decoded.rejections] == [(2, "json")]


def test_an_empty_frame_holds_nothing_and_is_not_refused() -> None:
    decoded = decode(json.dumps(frame(objects=[])).encode())
    assert (decoded.events, decoded.rejections) == ([], [])


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"frame_id": None}, "frame_id", "type"),
        ({"objects": [{**OBJECT, "confidence": 3}]}, "objects[0].confidence", "in_range"),
        ({"objects": [{**OBJECT, "name": "\0"}]}, None, "no_nul"),
        ({"objects": [{**OBJECT, "class_id": 10**30}]}, "objects[0].class_id", "in_range"),
        ({"objects": [{"name": "car"}]}, "objects[0].relative_coordinates", "required"),
    ],
)
def test_a_wrong_frame_is_refused_naming_the_field(
    changes: dict[str, Any], field: str | None, rule: str
) -> None:
    [rejection] = decode(json.dumps(frame(**changes)).encode()).rejections
    assert (rejection.field, rejection.rule) == (field, rule)


def test_a_body_with_too_many_objects_is_refused() -> None:
    with pytest.raises(TooManyEvents):
        decode(json.dumps(frame()).encode(), max_events=1)


@pytest.mark.parametrize("before", [b"", b"[\n", b", \n"])
@pytest.mark.parametrize("after", [b"", b", \n", b"\n]\n"])
@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_a_stretch_of_darknets_stream_is_read_wherever_it_was_cut(
    before: bytes, after: bytes, content_type: str | None
) -> None:
    frames = [json.dumps(frame(frame_id=number), indent=1).encode() for number in range(3)]
    context = DecodeContext(device_id="odc-1", now_us=NOW_US, content_type=content_type)
    decoded = DECODERS["opendatacam"].decode(before + b", \n".join(frames) + after, context)
    assert decoded.rejections == []
    assert [event.line for event in decoded.events] == [1, 1, 2, 2, 3, 3]


def test_an_object_that_cannot_be_read_leaves_the_others_of_its_frame() -> None:
    objects = [OBJECT, {**OBJECT, "confidence": 1.5}, {**OBJECT, "confidence": "0.91"}, 7]
    decoded = decode(json.dumps(frame(objects=objects)).encode())
    assert [event.data for event in decoded.events] == [
        decode(json.dumps(frame()).encode()).events[0].data
    ] * 2
    assert len({event.id for event in decoded.events}) == 2
    assert [(r.field, r.rule) for r in decoded.rejections] == [
        ("objects[1].confidence", "in_range"),
        ("objects[3]", "type"),
    ]
