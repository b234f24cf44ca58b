"""Service requests of other cities, as they leave things out."""

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.moments import zone_of
from ioc.ingest.decoders.open311 import Open311
from ioc.model.events import FeedbackReport
from ioc.model.times import parse_us
from tests.conformance.open311 import JSON, XML
from tests.unit.ingest.fakes import NOW_US

CONTEXT = DecodeContext(device_id="saigon", now_us=NOW_US, zone=zone_of("Asia/Ho_Chi_Minh"))


def test_json_and_xml_of_a_request_are_the_same_event() -> None:
    first = Open311().decode(JSON.encode(), CONTEXT).events[0]
    (same,) = Open311().decode(XML.encode(), CONTEXT).events
    assert first.data == same.data
    assert isinstance(first.data, FeedbackReport)
    assert (first.data.category, first.data.text) == ("Ổ gà", "Hố sâu trước nhà số 12")
    assert first.data.extra == {"status": "open", "service_code": "006"}
    assert (first.id, first.source, first.lon, first.lat) == ("638344", "saigon", 106.65, 10.98)
    assert first.time_us == same.time_us == parse_us("2026-11-22T02:12:00Z")


def test_what_a_city_leaves_out_is_not_missed_and_what_it_must_give_is_named() -> None:
    decoded = Open311().decode(JSON.encode(), CONTEXT)
    bare = decoded.events[1]
    assert isinstance(bare.data, FeedbackReport)
    assert (bare.data.category, bare.data.text, bare.lon) == ("007", "007", None)
    assert bare.time_us == parse_us("2026-11-22T01:00:00Z"), "in the zone of the city"
    assert [(r.line, r.rule, r.field) for r in decoded.rejections] == [(3, "required", "service_request_id")]


def test_an_empty_list_is_no_fault_and_an_empty_body_is() -> None:
    for empty in (b"[]", b"<service_requests/>"):
        decoded = Open311().decode(empty, CONTEXT)
        assert not decoded.events
        assert not decoded.rejections
    assert [found.rule for found in Open311().decode(b" ", CONTEXT).rejections] == ["empty"]


def test_a_requests_id_is_the_same_with_blanks_around_it() -> None:
    padded = JSON.replace("638344", '" 638344 "')
    assert padded != JSON
    assert Open311().decode(padded.encode(), CONTEXT).events[0].id == "638344"


def test_a_list_of_requests_is_found_in_the_object_around_it() -> None:
    bare = Open311().decode(JSON.encode(), CONTEXT)
    for name in ("service_requests", "requests"):
        assert Open311().decode(f'{{"{name}": {JSON}}}'.encode(), CONTEXT) == bare


def test_another_document_is_refused_and_no_answer_without_requests() -> None:
    errors = b"<errors><error><description>jurisdiction_id not found</description></error></errors>"
    decoded = Open311().decode(errors, CONTEXT)
    assert [(found.rule, "jurisdiction_id not found" in found.detail) for found in decoded.rejections] == [
        ("known_document", True)
    ]
