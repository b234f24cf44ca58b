"""Tables whose columns a mapping names."""

import unicodedata
from typing import Any

import pytest

from ioc.ingest.decoders.base import Decode, DecodeContext, TooManyEvents
from ioc.ingest.decoders.moments import zone_of
from ioc.ingest.decoders.tabular import InvalidMapping, Tabular, read_mapping
from ioc.model.events import CameraCount, CameraStatus, TrafficFlow
from ioc.model.times import parse_us
from tests.conformance.tabular import LINE_OPTIONS, LINES, OPTIONS, TABLE
from tests.unit.ingest.fakes import NOW_US

COUNT = {"type": "camera.count", "field.people": "people"}


def decode(content: str | bytes, options: dict[str, str], media: str = "text/csv", **more: Any) -> Decode:
    body = content.encode() if isinstance(content, str) else content
    zone = zone_of("Asia/Ho_Chi_Minh")
    context = {"zone": zone, "content_type": media, **more}
    return Tabular().decode(body, DecodeContext(device_id="gw", now_us=NOW_US, options=options, **context))


def test_a_row_is_an_event_and_a_bad_one_leaves_its_neighbours() -> None:
    decoded = decode(TABLE, OPTIONS)
    first, third = decoded.events
    assert first.data == TrafficFlow(speed_kmh=42.5, occupancy=0.125, lane="1", interval_s=300)
    assert (first.source, first.id, first.line) == ("gw-01", "1", 2)
    assert first.time_us == parse_us("2026-11-22T09:55:00Z")
    assert third.data.extra == {"Ghi chú": "mưa"}
    (refused,) = decoded.rejections
    assert (refused.line, refused.rule, refused.field) == (3, "in_range", "Chiếm dụng")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")],
)
def test_encodings_with_a_mark_are_known(encoding: str, mark: bytes) -> None:
    assert decode(mark + TABLE.encode(encoding), OPTIONS).events == decode(TABLE, OPTIONS).events


def test_windows_1258_is_read_and_composed() -> None:
    options = {**COUNT, "source": "Trạm", "encoding": "windows-1258"}
    # The code page has the letters and, behind them, their tones.
    content = unicodedata.normalize("NFD", "Trạm,people\nMỹ,3\n").encode("windows-1258")
    (event,) = decode(content, options).events
    assert event.source == "gw-Mỹ"


def test_bytes_that_are_no_text_refuse_their_row_alone() -> None:
    decoded = decode(b"people,where\n3,a\n4,\xff\xfe\n5,b\n", COUNT)
    assert [event.data.people for event in decoded.events] == [3, 5]
    assert [(found.line, found.rule) for found in decoded.rejections] == [(3, "encoding")]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(sign: str) -> None:
    (event,) = decode(f"where{sign}people\nx{sign}7\n", COUNT).events
    assert event.data == CameraCount(people=7, extra={"where": "x"})


def test_lines_of_json_are_rows_with_dotted_columns() -> None:
    first, second = decode(LINES, LINE_OPTIONS, "application/x-ndjson").events
    assert first.data == CameraCount(people=12, vehicles=30)
    assert (first.source, second.source) == ("gw-a", "gw-b")
    assert second.time_us - first.time_us == 60_000_000, "seconds and milliseconds are told apart"


def test_truth_values_are_read_from_text() -> None:
    rows = decode("on\ntrue\n0\nmaybe\n", {"type": "camera.status", "field.online": "on"})
    assert [event.data for event in rows.events] == [CameraStatus(online=True), CameraStatus(online=False)]
    assert [(refused.rule, refused.field) for refused in rows.rejections] == [("type", "on")]


def test_a_row_without_id_has_one_of_its_content() -> None:
    ids = [event.id for event in decode("people\n1\n2\n1\n", COUNT).events]
    assert ids[0] == ids[2] != ids[1]


def test_what_is_not_wanted_is_dropped() -> None:
    (event,) = decode("people,phone\n1,0912345678\n", {**COUNT, "rest": "drop"}).events
    assert event.data.extra == {}


@pytest.mark.parametrize(
    ("content", "rule"),
    [("", "empty"), ("\n\n", "empty"), ("who\n1\n", "column"), ("people,b\n1\n", "columns")],
)
def test_a_table_of_another_shape_is_refused_with_a_reason(content: str, rule: str) -> None:
    decoded = decode(content, COUNT)
    assert not decoded.events
    assert [found.rule for found in decoded.rejections] == [rule]


def test_every_fault_of_a_mapping_is_named() -> None:
    wrong = {
        "type": "traffic.flow", "speed": "v", "field.velocity": "v", "factor.occupancy": "x", "decimal": ";",
        "encoding": "base64", "rest": "some", "delimiter": "--",
    }  # fmt: skip
    with pytest.raises(InvalidMapping) as raised:
        read_mapping(wrong)
    named = {key for key, _ in raised.value.faults}
    assert named == {
        "speed", "field.velocity", "factor.occupancy", "decimal", "encoding", "rest", "delimiter",
    }  # fmt: skip
    (refused,) = decode("a\n1\n", wrong).rejections
    assert (refused.rule, refused.field) == ("mapping", "options.speed")


def test_an_unknown_type_says_which_was_meant() -> None:
    with pytest.raises(InvalidMapping, match=r"did you mean traffic\.flow"):
        read_mapping({"type": "trafic.flow"})


def test_more_rows_than_are_taken_are_refused_together() -> None:
    with pytest.raises(TooManyEvents):
        decode("people\n1\nx\n3\n", COUNT, max_events=2)


def test_a_list_in_a_row_is_dropped_and_counted() -> None:
    decoded = decode(b'{"people": 3, "boxes": [1, 2], "note": "x"}', COUNT, "application/json")
    [event] = decoded.events
    assert (event.data, decoded.dropped_fields) == (CameraCount(people=3, extra={"note": "x"}), 1)


def test_a_source_that_is_too_long_to_be_anybodys_refuses_its_row() -> None:
    options = {**COUNT, "source": "cam"}
    [refused] = decode("cam,people\n" + "x" * 200 + ",3\n", options).rejections
    assert (refused.rule, refused.field) == ("printable", "cam")


def test_a_time_at_the_edge_of_the_calendar_is_an_event_for_the_gateway_to_refuse() -> None:
    options = {"type": "traffic.flow", "time": "t", "time_format": "%d/%m/%Y", "field.speed_kmh": "v"}
    [event] = decode("t,v\n01/01/0001,3\n", options).events
    assert event.time_us < parse_us("0001-01-01T00:00:00Z")


def test_a_number_larger_than_any_float_is_refused_alone() -> None:
    options = {"type": "traffic.flow", "field.speed_kmh": "v", "factor.speed_kmh": "0.5"}
    decoded = decode('[{"v": 1' + "0" * 400 + '}, {"v": 60}]', options, "application/json")
    assert [(r.rule, r.field) for r in decoded.rejections] == [("type", "v")]
    assert [event.data.speed_kmh for event in decoded.events] == [30.0]  # type: ignore[union-attr]


def test_empty_cells_behind_the_last_column_are_none() -> None:
    decoded = decode("people,where\n3,a,,\n4,b,,x\n", COUNT)
    assert [event.data.extra for event in decoded.events] == [{"where": "a"}]
    assert [(found.line, found.rule) for found in decoded.rejections] == [(3, "columns")]


def test_a_quotation_mark_that_is_not_closed_costs_its_own_row_at_most() -> None:
    decoded = decode('people,where\n3,a\n"4,b\n5,"c"\n6,4" pipe\n', {**COUNT, "rest": "keep"})
    assert [(event.line, event.data.extra["where"]) for event in decoded.events] == [
        (2, "a"),
        (4, "c"),
        (5, '4" pipe'),
    ]
    assert [(found.line, found.rule) for found in decoded.rejections] == [(3, "columns")]
    whole = decode('people,where\n3,"a\nb"\n4,c\n', COUNT)
    assert [(event.line, event.data.extra["where"]) for event in whole.events] == [(3, "a\nb"), (4, "c")]
