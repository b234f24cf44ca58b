"""CAP alerts: one situation from the first message to its cancellation or expiry."""

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.moments import HEARD_US
from ioc.model.events import TrafficSituation
from ioc.model.incidents import Severity
from ioc.model.times import parse_us
from tests.conformance.cap import BOTH, FIRST, OWN_WORDS, POLYGON, SECOND, alert, info

NOW_US = parse_us("2026-11-22T10:00:00Z")


def decode(content: str, now_us: int = NOW_US, **options: str) -> Decode:
    context = DecodeContext(device_id="weather", now_us=now_us, options=options)
    return DECODERS["cap"].decode(content.encode(), context)


def facts(decoded: Decode) -> list[TrafficSituation]:
    assert decoded.rejections == []
    return [event.data for event in decoded.events if isinstance(event.data, TrafficSituation)]


def test_an_alert_in_several_languages_is_one_situation() -> None:
    [event] = decode(alert(BOTH)).events
    assert (event.source, event.time_us, event.subject) == (
        "weather", NOW_US - HEARD_US, "canhbao@example.vn",
    )  # fmt: skip
    assert (event.lon, event.lat) == (106.65, 10.98)
    [told] = facts(decode(alert(BOTH)))
    assert (told.situation_id, told.kind, told.active, told.severity) == (
        "VN-2026-1", "flash_flood", True, Severity.HIGH,
    )  # fmt: skip
    assert told.text == "Ngập sâu ở Thủ Dầu Một\nNước sâu nửa mét trên đại lộ."
    assert (told.extra["event"], told.extra["category"], told.extra["geocode"]) == (
        "Ngập nước", "Met", "VN-ward=25747",
    )  # fmt: skip


def test_without_an_english_event_its_category_is_the_kind() -> None:
    assert facts(decode(alert(info())))[0].kind == "met"


def test_the_gravest_of_what_it_says_counts() -> None:
    [told] = facts(decode(alert(info(severity="Minor") + info("en", "Fire", "Extreme"))))
    assert told.severity is Severity.CRITICAL


def test_an_update_goes_on_with_the_first_and_a_cancellation_ends_all_that_it_names() -> None:
    [update] = facts(decode(alert(BOTH, "VN-2026-2", "Update", FIRST)))
    assert (update.situation_id, update.version, update.active) == ("VN-2026-1", "VN-2026-2", True)
    ended = facts(decode(alert("", "VN-2026-3", "Cancel", f"{SECOND} {FIRST}")))
    assert [(each.situation_id, each.active) for each in ended] == [
        ("VN-2026-1", False),
        ("VN-2026-2", False),
    ]


def test_an_update_of_two_alerts_leaves_one() -> None:
    told = facts(decode(alert(BOTH, "VN-2026-3", "Update", f"{FIRST} {SECOND}")))
    assert [(each.situation_id, each.active, each.extra["phase"]) for each in told] == [
        ("VN-2026-1", True, "active"),
        ("VN-2026-2", False, "superseded"),
    ]


def test_an_alert_that_has_expired_is_not_active_and_another_event_than_before() -> None:
    [before] = decode(alert(BOTH)).events
    [after] = decode(alert(BOTH), parse_us("2026-11-22T13:00:00Z")).events
    assert isinstance(after.data, TrafficSituation)
    assert (after.data.active, after.data.extra["phase"], after.id != before.id) == (False, "expired", True)


def test_an_alert_of_hours_ago_holds_until_it_expires_and_is_over_then() -> None:
    evening_us, over_us = parse_us("2026-11-22T12:59:00Z"), parse_us("2026-11-22T13:00:00Z")
    assert decode(alert(BOTH), evening_us).events[0].time_us == evening_us - HEARD_US
    assert decode(alert(BOTH), over_us).events[0].time_us == over_us
    days_us = parse_us("2026-11-25T13:00:00Z")
    assert decode(alert(BOTH), days_us).events[0].time_us == over_us


def test_an_all_clear_is_over() -> None:
    clear = info().replace(">Avoid<", ">AllClear<")
    assert facts(decode(alert(clear, "VN-2026-2", "Update", FIRST)))[0].extra["phase"] == "over"


def test_a_polygon_is_placed_in_its_middle() -> None:
    [event] = decode(alert(info(area=POLYGON))).events
    assert (event.lon, event.lat) == pytest.approx((106.65, 10.95))


def test_alerts_in_a_feed_stand_or_fall_alone() -> None:
    bad = alert(BOTH, "VN-9").replace("<sent>2026-11-22T16:50:00+07:00</sent>", "<sent>now</sent>")
    feed = (
        f"<feed><entry><content>{alert(BOTH)}</content></entry><entry><content>{bad}</content></entry></feed>"
    )
    decoded = decode(feed)
    assert len(decoded.events) == 1
    assert [(r.line, r.rule, r.field, r.id) for r in decoded.rejections] == [
        (2, "iso8601", "alert.sent", "VN-9")
    ]


@pytest.mark.parametrize(
    ("content", "rule", "field"),
    [
        (alert(BOTH, status="Test"), "real", "alert.status"),
        (alert(BOTH, status="Loud"), "known_value", "alert.status"),
        (alert(BOTH, message="Ack"), "msg_type", "alert.msgType"),
        (alert("", message="Cancel"), "required", "alert.references"),
        (alert("", message="Cancel", references="nonsense"), "references", "alert.references"),
        (alert(BOTH, name=""), "required", "alert.identifier"),
        (alert(BOTH, name="x" * 300), "length", "alert.identifier"),
        (alert(BOTH, sent="2026-11-22T16:50:00"), "zone", "alert.sent"),
        (alert(BOTH).replace("2026-11-22T20:00:00+07:00", "tonight"), "iso8601", "alert.info.expires"),
        ("<a/>", "required", "alert"),
        ("{}", "xml", None),
    ],
)
def test_what_cannot_be_taken_is_refused_with_field_and_rule(
    content: str, rule: str, field: str | None
) -> None:
    decoded = decode(content)
    [rejection] = decoded.rejections
    assert (rejection.rule, rejection.field, decoded.events) == (rule, field, [])


def test_exercises_are_taken_where_the_sender_is_registered_for_them() -> None:
    assert facts(decode(alert(BOTH, status="Exercise"), tests="accept"))[0].extra["status"] == "Exercise"


def test_words_of_the_standard_are_known_in_any_case() -> None:
    told = alert(info("en", "Flood", "SEVERE")).replace(">Actual<", ">ACTUAL<").replace(">Alert<", ">alert<")
    [usual], [shouted] = facts(decode(alert(info("en", "Flood", "Severe")))), facts(decode(told))
    assert (shouted.severity, shouted.active) == (usual.severity, True) == (Severity.HIGH, True)
    [over] = facts(decode(alert(info().replace(">Immediate<", ">past<"))))
    assert over.active is False


@pytest.mark.parametrize(
    "area",
    [
        "<circle>10.98, 106.65 2.5</circle>",
        "<circle>\n 10.98 ,106.65 0</circle>",
        "<polygon>10.97, 106.64 10.97, 106.66\n10.99, 106.66 10.99, 106.64 10.97, 106.64</polygon>",
    ],
)
def test_blanks_beside_a_comma_leave_the_place_where_it_is(area: str) -> None:
    [event] = decode(alert(info(area=area))).events
    assert (event.lon, event.lat) == pytest.approx((106.65, 10.98))


def test_a_feed_that_breaks_off_gives_the_alerts_that_were_whole() -> None:
    inside = alert(info()).rpartition("?>")[2]
    feed = f"<feed><entry>{inside}</entry><entry>{inside[:-40]}"
    decoded = decode(feed)
    assert [event.line for event in decoded.events] == [1]
    assert [(refused.line, refused.rule) for refused in decoded.rejections] == [(2, "xml")]


def test_every_area_and_the_sender_s_own_words_are_kept() -> None:
    [told] = facts(decode(alert(info(more=OWN_WORDS))))
    assert told.extra["area"] == "Dĩ An; Thủ Dầu Một"
    assert told.extra["parameter"] == "awareness_level=3; orange; Severe | depth_m=0.5"
    assert told.extra["sender_name"] == "Đài Khí tượng"
    assert told.extra["web"] == "https://kttv.example.vn/1"
