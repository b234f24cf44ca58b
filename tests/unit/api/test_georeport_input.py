"""What programs of GeoReport v2 ask and send: read as specified, refused with what is wrong."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.api.georeport_input import (
    GeoReportError,
    RequestQuery,
    answers_to,
    read_arguments,
    read_query,
    read_sent,
)
from ioc.incidents.citizen_policy import Attribute, Choice
from ioc.model.texts import Text

NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
PLACE = {"service_code": "light", "lat": "10.98", "long": "106.65"}
DEPTH = Attribute(
    code="depth",
    name=Text("Mức ngập", "Depth"),
    datatype="singlevaluelist",
    required=True,
    values=(Choice(key="knee", name=Text("Đến gối", "Knee")), Choice(key="deep", name=Text("Sâu", "Deep"))),
)


def query(text: str) -> RequestQuery:
    return read_query(read_arguments(text), NOW)


def refusal(error: GeoReportError) -> list[str]:
    return [text.en for text in error.errors]


def test_without_arguments_the_last_90_days_are_asked_for() -> None:
    assert query("") == RequestQuery(start=NOW - timedelta(days=90), end=NOW)
    assert query("status=&service_code=&start_date=&page=") == query(""), "what is empty counts as absent"


def test_lists_come_comma_separated_repeated_or_both() -> None:
    found = query("service_code=light,road&service_code=tree&service_code=light&service_request_id=1,%202,,1")
    assert found.services == ("light", "road", "tree")
    assert found.ids == ("1", "2")
    assert query("status=closed,open").statuses == {"open", "closed"}
    assert query("status=closed").statuses == {"closed"}


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("start_date=2026-01-31T08:00:00Z", "2026-01-31T08:00", "2026-05-01T08:00"),
        ("end_date=2026-05-01T15:00:00%2B07:00", "2026-01-31T08:00", "2026-05-01T08:00"),
        ("end_date=2026-05-01T15:00+07:00", "2026-01-31T08:00", "2026-05-01T08:00"),
        ("start_date=2026-01-31T08:00Z&end_date=2026-05-01T08:00Z", "2026-01-31T08:00", "2026-05-01T08:00"),
        ("start_date=2026-01-31T08:00Z&end_date=2026-01-31T08:00Z", "2026-01-31T08:00", "2026-01-31T08:00"),
    ],
)
def test_dates_bound_the_range_of_at_most_90_days(text: str, start: str, end: str) -> None:
    found = query(text)
    assert (found.start.isoformat()[:16], found.end.isoformat()[:16]) == (start, end)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("start_date=2026-01-31", "start_date"),
        ("start_date=2026-01-31T08:00:00", "start_date"),
        ("start_date=2026-02-30T08:00:00Z", "start_date"),
        ("start_date=9999-12-31T08:00:00Z", "start_date"),
        ("end_date=0001-01-01T00:00:00%2B14:00", "end_date"),
        ("start_date=2026-01-31T08:00Z&end_date=2026-05-01T08:01Z", "end_date"),
        ("start_date=2026-01-31T08:00Z&end_date=2026-01-31T07:59Z", "end_date"),
        ("status=done", "status"),
        ("page=0", "page"),
        ("page_size=1001", "page_size"),
        ("page=%D9%A1", "page"),
        ("service_request_id=" + ",".join(map(str, range(1_001))), "service_request_id"),
    ],
)
def test_what_cannot_be_asked_is_named(text: str, name: str) -> None:
    with pytest.raises(GeoReportError) as caught:
        query(text)
    assert caught.value.status == 400
    assert [message.partition(":")[0] for message in refusal(caught.value)] == [name]


def test_a_report_is_read_with_everything_that_tells_of_its_author_in_one_place() -> None:
    sent = read_sent(
        read_arguments(
            urlencode(
                PLACE
                | {
                    "description": " Đèn\nkhông sáng ", "email": "hoa@example.vn", "phone": "0912 345 678",
                    "first_name": "Hoa", "last_name": "Nguyễn Thị", "media_url": "https://p.example/1.jpg",
                    "address_string": "12 Yersin", "device_id": "d", "account_id": "a",
                }
            )
        )
    )  # fmt: skip
    assert (sent.service_code, sent.lat, sent.lon) == ("light", 10.98, 106.65)
    assert sent.description == "Đèn\nkhông sáng"
    assert sent.contact == "0912 345 678, hoa@example.vn, Nguyễn Thị Hoa"
    assert (sent.address, sent.media_url) == ("12 Yersin", "https://p.example/1.jpg")


def test_attributes_come_with_one_value_or_several() -> None:
    body = urlencode(PLACE) + "&attribute[a]=1&attribute[b][]=x&attribute%5Bb%5D%5B%5D=y&attribute[c]="
    assert read_sent(read_arguments(body)).attributes == {"a": ("1",), "b": ("x", "y")}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"service_code": ""}, ["service_code"]),
        ({"lat": ""}, ["lat"]),
        ({"lat": "", "long": ""}, ["lat"]),
        ({"lat": "", "long": "", "address_id": "545483"}, ["lat"]),
        ({"lat": "90.1"}, ["lat"]),
        ({"long": "nan"}, ["long"]),
        ({"long": "1e2", "email": "x", "service_code": ""}, ["service_code", "long", "email"]),
        ({"description": "x" * 4_001}, ["description"]),
        ({"media_url": "javascript:alert(1)"}, ["media_url"]),
        ({"media_url": "https://p.example/" + "x" * 500}, ["media_url"]),
        ({"media_url": "http://[::1"}, ["media_url"]),
        ({"attribute[a]": "x" * 201}, ["attribute[a]"]),
    ],
)
def test_everything_at_fault_in_a_report_is_named_at_once(changes: dict[str, str], names: list[str]) -> None:
    with pytest.raises(GeoReportError) as caught:
        read_sent(read_arguments(urlencode(PLACE | changes)))
    assert [message.partition(":")[0] for message in refusal(caught.value)] == names


@pytest.mark.parametrize("body", [b"a=%ff", b"a=\xff", b"a=%00", b"&".join([b"a=1"] * 101)])
def test_what_is_no_form_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(GeoReportError) as caught:
        read_arguments(body)
    assert caught.value.status == 400


def test_answers_become_lines_in_the_readers_language() -> None:
    assert answers_to([DEPTH], {"depth": ("knee",)}, "vi") == ["Mức ngập: Đến gối"]
    assert answers_to([DEPTH], {"depth": ("knee",)}, "en") == ["Depth: Knee"]
    assert answers_to([], {}, "vi") == []


@pytest.mark.parametrize(
    ("asked", "given", "detail"),
    [
        (DEPTH, {}, "attribute[depth]: is required"),
        (DEPTH, {"depth": ("air",)}, "attribute[depth]: expected one of knee, deep"),
        (DEPTH, {"depth": ("knee", "deep")}, "attribute[depth]: has one value only"),
        (DEPTH, {"depth": ("knee",), "x": ("1",)}, "attribute[x]: this service does not ask for it"),
        (
            Attribute(code="n", name=Text("n", "n"), datatype="number"),
            {"n": ("one",)},
            "attribute[n]: expected a number",
        ),
        (
            Attribute(code="t", name=Text("t", "t"), datatype="datetime"),
            {"t": ("today",)},
            "attribute[t]: expected a time with its zone",
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_named(
    asked: Attribute, given: dict[str, tuple[str, ...]], detail: str
) -> None:
    with pytest.raises(GeoReportError) as caught:
        answers_to([asked], given, "vi")
    assert refusal(caught.value) == [detail]


NAMES = ("service_code", "lat", "long", "start_date", "end_date", "status", "page", "media_url", "email",
         "attribute[a]", "service_request_id", "description")  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=60))))
def test_whatever_is_sent_only_the_documented_error_is_raised(pairs: list[tuple[str, str]]) -> None:
    for read in (lambda found: read_query(found, NOW), read_sent):
        try:
            read(read_arguments(urlencode(pairs, errors="surrogatepass")))
        except GeoReportError as error:
            assert error.status == 400 and error.errors


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_whatever_bytes_come_only_the_documented_error_is_raised(body: str | bytes) -> None:
    try:
        read_sent(read_arguments(body))
    except GeoReportError as error:
        assert error.status == 400 and error.errors
