"""CloudEvents decoding: what is read, what is refused and in which words, and that nothing else happens."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.ingest.decoders import DECODERS, cloudevents
from ioc.ingest.decoders.base import Decode, DecodeContext, TooManyEvents
from ioc.ingest.decoders.jsonlines import BLANK
from ioc.model.events import (
    DATA_TYPES,
    AlarmKind,
    CameraAlarm,
    CameraCount,
    CameraObject,
    Event,
    TrafficFlow,
    decode_event,
    encode_event,
)
from ioc.model.times import parse_us
from tests.unit.ingest.fakes import NOW_US, body, cloud_event

NDJSON = "application/x-ndjson"


def decode(content: bytes, content_type: str | None = NDJSON, **limits: int) -> Decode:
    context = DecodeContext(device_id="gw-1", now_us=NOW_US, content_type=content_type, **limits)
    return DECODERS["cloudevents"].decode(content, context)


def one(**changes: Any) -> Decode:
    return decode(body(cloud_event(**changes)))


def refused(decoded: Decode) -> tuple[str | None, str]:
    """Field and rule of the only rejection."""
    assert decoded.events == []
    [rejection] = decoded.rejections
    assert rejection.detail
    return rejection.field, rejection.rule


def flow(**fields: Any) -> Decode:
    return one(type="traffic.flow", data=fields)


def test_a_valid_event_is_read_completely() -> None:
    [event] = one(lon=106.6, lat=11.0, subject="lane 2", time="2026-11-22T17:00:00.5+07:00").events
    assert event.line == 1
    assert (event.id, event.source, event.subject) == ("e-1", "cam-1", "lane 2")
    assert event.time_us == parse_us("2026-11-22T10:00:00.500Z")
    assert (event.lon, event.lat) == (106.6, 11.0)
    assert event.data == CameraAlarm(kind=AlarmKind.WRONG_WAY, confidence=0.93)


@pytest.mark.parametrize(
    ("content_type", "content", "ids"),
    [
        ("application/json", json.dumps(cloud_event(1)), ["e-1"]),
        ("application/json", json.dumps(cloud_event(1), indent=2), ["e-1"]),
        ("application/cloudevents+json", json.dumps(cloud_event(1)), ["e-1"]),
        ("application/cloudevents-batch+json", json.dumps([cloud_event(1), cloud_event(2)]), ["e-1", "e-2"]),
        ("application/json", json.dumps([cloud_event(1), cloud_event(2)], indent=1), ["e-1", "e-2"]),
        (NDJSON, body(cloud_event(1), cloud_event(2)).decode(), ["e-1", "e-2"]),
        (None, json.dumps(cloud_event(1)), ["e-1"]),
        (None, json.dumps(cloud_event(1), indent=2), ["e-1"]),
        (None, json.dumps([cloud_event(1)]), ["e-1"]),
        (None, body(cloud_event(1), cloud_event(2)).decode(), ["e-1", "e-2"]),
    ],
)
def test_object_array_and_lines_are_read(content_type: str | None, content: str, ids: list[str]) -> None:
    for prefix in (b"", b"\xef\xbb\xbf"):
        decoded = decode(prefix + content.encode(), content_type)
        assert [event.id for event in decoded.events] == ids
        assert decoded.rejections == []


def test_blank_lines_and_crlf_are_tolerated_and_counted_as_lines() -> None:
    lines = body(cloud_event(1), cloud_event(2)).split(b"\n")
    decoded = decode(b"\r\n" + lines[0] + b"\r\n \r\n\n" + lines[1] + b"\r\nbroken\r\n")
    assert [event.line for event in decoded.events] == [2, 5]
    assert [rejection.line for rejection in decoded.rejections] == [6]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"{", "json"),
        (b'{"id": NaN}', "json"),
        (b'{"id": Infinity}', "json"),
        (b"[]", "object"),
        (b"7", "object"),
        (b'{"id": "\xff"}', "utf8"),
        (b'{"id": "\\ud800"}', "json"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "depth"),
        (b"[" * 30_000, "depth"),
    ],
)
def test_one_broken_line_never_hides_another(content: bytes, rule: str) -> None:
    decoded = decode(body(cloud_event(1)) + b"\n" + content + b"\n" + body(cloud_event(3)))
    assert [event.id for event in decoded.events] == ["e-1", "e-3"]
    [rejection] = decoded.rejections
    assert (rejection.line, rejection.rule, rejection.raw) == (2, rule, content)


def test_a_broken_element_of_an_array_that_is_json_leaves_the_others() -> None:
    content = json.dumps([cloud_event(1), 7, cloud_event(3, time="yesterday"), cloud_event(4)]).encode()
    decoded = decode(content, "application/json")
    assert [event.id for event in decoded.events] == ["e-1", "e-4"]
    assert [(r.line, r.rule) for r in decoded.rejections] == [(2, "object"), (3, "rfc3339")]


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"specversion": None}, "specversion", "specversion"),
        ({"specversion": "0.3"}, "specversion", "specversion"),
        ({"specversion": 1.0}, "specversion", "specversion"),
        ({"id": None}, "id", "required"),
        ({"id": ""}, "id", "length"),
        ({"id": "x" * 129}, "id", "length"),
        ({"id": 7}, "id", "type"),
        ({"id": "a\nb"}, "id", "printable"),
        ({"source": None}, "source", "required"),
        ({"source": "x" * 129}, "source", "length"),
        ({"source": "cam\x1b[0m"}, "source", "printable"),
        ({"time": None}, "time", "required"),
        ({"time": 1_700_000_000}, "time", "type"),
        ({"time": "2026-11-22T10:00:00"}, "time", "rfc3339"),
        ({"time": "2026-13-22T10:00:00Z"}, "time", "rfc3339"),
        ({"data": None}, "data", "required"),
        ({"data": [1]}, "data", "type"),
        ({"data": {}}, "data.kind", "required"),
        ({"data": {"kind": "explosion"}}, "data.kind", "known_value"),
        ({"data": {"kind": "flood", "confidence": 93}}, "data.confidence", "in_range"),
        ({"data": {"kind": "flood", "confidence": "high"}}, "data.confidence", "type"),
        ({"data": {"kind": "flood", "active": "yes"}}, "data.active", "type"),
        ({"data": {"kind": "flood", "zone": "z" * 257}}, "data.zone", "length"),
        ({"data": {"kind": "flood", "zone": "a\0b"}}, None, "no_nul"),
        ({"lon": "east", "lat": 11}, "lon", "type"),
        ({"lon": "nan", "lat": 11}, "lon", "type"),
        ({"subject": 5}, "subject", "type"),
    ],
)
def test_what_is_wrong_is_refused_naming_field_and_rule(
    changes: dict[str, Any], field: str | None, rule: str
) -> None:
    assert refused(one(**changes)) == (field, rule)


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"speed_kmh": -1}, "data.speed_kmh", "in_range"),
        ({"speed_kmh": True}, "data.speed_kmh", "type"),
        ({"speed_kmh": []}, "data.speed_kmh", "type"),
        ({"speed_kmh": "0x10"}, "data.speed_kmh", "type"),
        ({"speed_kmh": "1_000"}, "data.speed_kmh", "type"),
        ({"speed_kmh": "inf"}, "data.speed_kmh", "type"),
        ({"speed_kmh": "1e400"}, "data.speed_kmh", "type"),
        ({"speed_kmh": "٣"}, "data.speed_kmh", "type"),
        ({"occupancy": 35}, "data.occupancy", "in_range"),
        ({"volume_veh": 1.5}, "data.volume_veh", "type"),
        ({"volume_veh": "1.5"}, "data.volume_veh", "type"),
        ({"volume_veh": 10**30}, "data.volume_veh", "in_range"),
        ({"lane": 1}, "data.lane", "type"),
    ],
)
def test_a_wrong_number_is_refused_naming_it(fields: dict[str, Any], field: str, rule: str) -> None:
    assert refused(flow(**fields)) == (field, rule)


def test_numbers_written_as_strings_are_read_where_exact() -> None:
    [event] = flow(speed_kmh="31.5", occupancy="0", volume_veh="14", lane="1").events
    assert event.data == TrafficFlow(speed_kmh=31.5, occupancy=0.0, volume_veh=14, lane="1")
    [event] = one(lon="106.6", lat="11").events
    assert (event.lon, event.lat) == (106.6, 11.0)


def test_an_unknown_type_is_refused_with_the_likely_one() -> None:
    [rejection] = one(type="camera.alarms").rejections
    assert (rejection.field, rejection.rule) == ("type", "known_type")
    assert "did you mean camera.alarm?" in rejection.detail
    [rejection] = one(type="weather").rejections
    assert all(name in rejection.detail for name in DATA_TYPES)


def test_unknown_fields_are_kept_where_scalar_and_counted_where_not() -> None:
    data = {
        "kind": "flood",
        "vendor": "x",
        "level_m": 0.4,
        "type": "river",
        "nested": {"a": 1},
        "list": [1],
        "huge": 2**70,
        "extra": {"depth_cm": 40, "none": None},
    }
    decoded = one(data=data)
    [event] = decoded.events
    assert event.data.extra == {
        "vendor": "x", "level_m": 0.4, "type": "river", "depth_cm": 40, "none": None,
    }  # fmt: skip
    assert decoded.dropped_fields == 3


def test_extra_is_bounded() -> None:
    decoded = one(data={"kind": "flood", **{f"field_{n}": n for n in range(100)}, "k" * 129: 1})
    assert len(decoded.events[0].data.extra) == 64
    assert decoded.dropped_fields == 37


def test_structured_fields_are_checked() -> None:
    assert one(type="camera.object", data={"label": "car", "box": [0, 0, 0.5, 0.5]}).events[0].data == (
        CameraObject(label="car", box=(0.0, 0.0, 0.5, 0.5))
    )
    decoded = one(type="camera.object", data={"label": "car", "box": [0, 0]})
    assert refused(decoded)[0] == "data.box"
    assert one(type="camera.count", data={"counts": {"bus": 2}}).events[0].data == CameraCount(
        counts={"bus": 2}
    )
    assert refused(one(type="camera.count", data={"counts": {"bus": -2}})) == ("data.counts", "in_range")
    field, rule = refused(one(type="camera.count", data={"counts": {"bus": "many"}}))
    assert field is not None and field.startswith("data.counts")
    assert rule == "type"


def test_a_backslash_before_u0000_is_text() -> None:
    content = body(cloud_event(type="camera.status", data={"online": True, "reason": r"\u0000"}))
    assert rb"\\u0000" in content
    [event] = decode(content).events
    assert event.data.reason == r"\u0000"  # type: ignore[union-attr]


def test_limits_of_size_and_number() -> None:
    big = cloud_event(2, data={"kind": "flood", "note": "x" * 70_000})
    decoded = decode(body(cloud_event(1), big))
    assert [event.id for event in decoded.events] == ["e-1"]
    assert [(r.line, r.rule) for r in decoded.rejections] == [(2, "max_event_bytes")]
    for content_type, content in (
        (NDJSON, body(*[cloud_event(n) for n in range(4)])),
        ("application/json", json.dumps([cloud_event(n) for n in range(4)]).encode()),
    ):
        with pytest.raises(TooManyEvents):
            decode(content, content_type, max_events=3)


def test_a_refusal_says_whose_event_it_was() -> None:
    [rejection] = one(id="e-77", time="late").rejections
    assert (rejection.id, rejection.source) == ("e-77", "cam-1")


lines_of_bytes = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.integers() | st.text(max_size=10) | st.dictionaries(
                st.sampled_from(["kind", "confidence", "speed_kmh", "extra", "type", "x"]),
                st.none() | st.integers() | st.floats() | st.text(max_size=5),
            )
            for name in ("id", "source", "type", "time", "data", "lon", "lat", "subject")
        },
    ).map(lambda changes: json.dumps({**cloud_event(), **changes}).encode()),
)  # fmt: skip


@given(st.lists(lines_of_bytes, max_size=5), st.sampled_from([None, NDJSON, "application/json"]))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_raise_nothing_and_every_event_can_be_logged(
    lines: list[bytes], content_type: str | None
) -> None:
    decoded = decode(b"\n".join(lines), content_type)
    for event in decoded.events:
        logged = Event(
            id=event.id, source=event.source, time_us=event.time_us, received_us=NOW_US, data=event.data
        )
        assert decode_event(encode_event(logged)) == logged


@given(lines_of_bytes, st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_valid_events_around_a_corrupted_one_survive(corrupted: bytes, at: int) -> None:
    line = corrupted.replace(b"\n", b" ")
    lines = [json.dumps(cloud_event(f"good-{number}")).encode() for number in range(3)]
    lines.insert(at, line)
    decoded = decode(b"\n".join(lines))
    good = [event.id for event in decoded.events if event.id.startswith("e-good-")]
    assert good == ["e-good-0", "e-good-1", "e-good-2"]
    if at == 0:
        line = line.removeprefix(b"\xef\xbb\xbf")
    assert len(decoded.events) + len(decoded.rejections) == (4 if line.strip(BLANK) else 3)


DATA_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2000),
    st.sampled_from([10**9, 10**9 + 1, 2**63, 10**30, -0.0, 0.5, 1.0, 1e400]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "x", "wrong_way", "flood", "1.5", "12", "a" * 256, "a" * 257, "ngập", "a\x00b", "\n"]
    ),
    st.lists(st.sampled_from([0, 0.5, 1, "x"]), max_size=4),
    st.dictionaries(
        st.sampled_from(["car", "bus"]), st.sampled_from([0, 3, -1, 2.0, 10**10, "4"]), max_size=2
    ),
)


@st.composite
def events_of_any_type(draw: st.DrawFn) -> bytes:
    """Events near what their type asks for, with each way of being slightly off."""
    name = draw(st.sampled_from(sorted(DATA_TYPES)))
    fields = [field.name for field in msgspec.structs.fields(DATA_TYPES[name])]
    fields += draw(st.sampled_from([[], [], ["type"], ["lane_no"]]))
    plausible = {
        "kind": "flood",
        "online": True,
        "label": "car",
        "plate": "61A",
        "category": "x",
        "text": "y",
    }
    plausible |= {"report_id": "r", "satisfied": False, "duration_s": 4, "extra": {"a": 1}}
    data = {key: draw(st.one_of(st.just(plausible.get(key, 1)), DATA_VALUES)) for key in fields}
    for key in draw(st.sets(st.sampled_from(fields))):
        del data[key]
    event = cloud_event(type=name, data=data)
    event |= draw(
        st.dictionaries(st.sampled_from(["lon", "lat", "subject", "id", "time", "more"]), DATA_VALUES)
    )
    order = draw(st.permutations(sorted(event)))
    text = json.dumps({key: event[key] for key in order})
    if draw(st.booleans()) and draw(st.booleans()):
        text = f'{text[:-1]}, "type": "traffic.flow"}}'
    return text.encode()


@given(events_of_any_type())
@settings(max_examples=1500, deadline=None)
def test_the_quick_parse_and_the_patient_one_agree(line: bytes) -> None:
    def never(_: bytes) -> object:
        raise msgspec.ValidationError("not today")

    quick = decode(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloudevents, "_decode_strictly", never)
        patient = decode(line)
    assert quick == patient
    assert [repr(event) for event in quick.events] == [repr(event) for event in patient.events]
