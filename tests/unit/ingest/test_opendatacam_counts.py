"""OpenDataCam's own documents."""

import json
from typing import Any

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.model.events import CameraCount, CameraObject
from ioc.model.times import format_us
from tests.conformance.opendatacam import AREA, CROSSED, LIVE, RECORDING
from tests.unit.ingest.fakes import NOW_US


def decode(value: Any, **context: Any) -> Decode:
    told = {"device_id": "odc-1", "now_us": NOW_US, **context}
    return DECODERS["opendatacam"].decode(json.dumps(value).encode(), DecodeContext(**told))


def test_a_recordings_counter_is_a_count_per_area_over_its_time() -> None:
    [event] = decode({"total": 1, "recordings": [RECORDING]}).events
    assert event.data == CameraCount(
        people=4,
        vehicles=111,
        interval_s=900,
        counts={"car": 100, "motorbike": 11, "person": 4},
        extra={
            "area": AREA,
            "zone": "Làn 1",
            "area_type": "bidirectional",
            "tracked": 566,
            "recording": "5cc3400252340f451cd7397a",
            "total": 115,
        },
    )
    assert (event.source, format_us(event.time_us)) == ("odc-1", "2026-11-22T09:55:00.000Z")


def test_a_recording_read_again_is_known_by_its_list_and_by_itself() -> None:
    [listed] = decode({"recordings": [RECORDING]}).events
    [alone] = decode(RECORDING).events
    assert listed.id == alone.id


def test_items_that_crossed_are_counted_where_nobody_has_summed_them_up() -> None:
    bus = {**CROSSED, "name": "bus"}
    history = {**RECORDING, "counterSummary": {}, "counterHistory": [[CROSSED, bus], [CROSSED]]}
    [event] = decode(history).events
    assert isinstance(event.data, CameraCount)
    assert (event.data.counts, event.data.vehicles) == ({"car": 2, "bus": 1}, 3)


def test_the_live_state_is_its_objects_and_a_count_that_goes_on() -> None:
    seen, count = decode(LIVE).events
    assert isinstance(seen.data, CameraObject)
    assert (seen.data.label, seen.data.track_id) == ("car", "5")
    assert seen.data.box == pytest.approx((310 / 1280, 214.5 / 720, 60 / 1280, 45 / 720))
    assert isinstance(count.data, CameraCount)
    assert count.data.interval_s == pytest.approx(1821.81)
    later = {**LIVE, "counterSummary": {AREA: {"car": 44, "_total": 44}}}
    assert decode(later).events[1].id != count.id


def test_tracked_frames_of_a_recording_keep_their_time_and_track() -> None:
    frame = {
        "recordingId": "r",
        "timestamp": "2026-11-22T09:40:00.301Z",
        "objects": [{"id": 5, "name": "car"}],
    }
    [event] = decode([frame]).events
    assert event.data == CameraObject(label="car", track_id="5")
    assert format_us(event.time_us) == "2026-11-22T09:40:00.301Z"


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"dateEnd": "later"}, "dateEnd", "iso8601"),
        ({"dateEnd": "2026-11-22T09:00:00Z"}, "dateStart", "in_range"),
        ({"counterSummary": {AREA: {"car": -1}}}, f"counterSummary.{AREA}.car", "in_range"),
        ({"counterSummary": {AREA: 3}}, f"counterSummary.{AREA}", "type"),
        ({"counterSummary": {"": {"car": 1}}}, "counterSummary.", "length"),
        ({"counterSummary": {AREA: {f"c{n}": 1 for n in range(300)}}}, f"counterSummary.{AREA}", "length"),
        ({"counterSummary": {}, "counterHistory": [[{"name": "car"}]]}, "counterHistory.area", "required"),
    ],
)
def test_a_wrong_counter_is_refused_naming_field_and_rule(
    changes: dict[str, Any], field: str, rule: str
) -> None:
    decoded = decode({**RECORDING, **changes})
    assert decoded.events == []
    assert [(rejection.field, rejection.rule) for rejection in decoded.rejections] == [(field, rule)]


def test_a_recording_that_cannot_be_read_leaves_the_others_of_its_list() -> None:
    decoded = decode({"recordings": [{**RECORDING, "dateEnd": "soon"}, RECORDING]})
    assert len(decoded.events) == 1
    assert [(refused.field, refused.rule) for refused in decoded.rejections] == [("dateEnd", "iso8601")]


def test_the_live_stream_is_read_as_the_api_sends_it() -> None:
    sent = b"".join(b"data:%b\n\n" % json.dumps(LIVE).encode() for _ in range(2))
    context = DecodeContext(device_id="odc-1", now_us=NOW_US)
    decoded = DECODERS["opendatacam"].decode(sent, context)
    assert decoded.rejections == []
    assert len(decoded.events) == 2 * len(decode(LIVE).events)
