"""The gateway's rules: who may send, when it happened, where it is."""

from math import inf, nan

import msgspec
import pytest

from ioc.geo.gazetteer import PlacedBy, Placement
from ioc.ingest.decoders.base import Decoded, Rejection
from ioc.ingest.gateway import (
    MAX_ROWS_OF_ONE,
    POSITION_OUTSIDE,
    POSITION_SWAPPED,
    POSITION_ZERO,
    UNLOCATED,
    Admission,
    Gateway,
)
from ioc.ingest.limits import IngestLimits
from ioc.ingest.registry import DeviceRegistry
from ioc.model.events import AlarmKind, CameraAlarm, Event, FeedbackReport, decode_event
from ioc.model.places import Device
from ioc.model.records import RecordKind
from ioc.model.times import DAY_US, MINUTE_US
from tests.unit.ingest.fakes import (
    BOUNDS,
    CAMERA,
    DETECTOR,
    GATEWAY,
    NOW_US,
    NOWHERE,
    PORTAL,
    FakeWards,
    snapshot,
)

ALARM = CameraAlarm(kind=AlarmKind.FLOOD)
RAW = b'{"id": "a"}'


def decoded(
    source: str = "cam-1", time_us: int = NOW_US, lon: float | None = None, lat: float | None = None
) -> Decoded:
    return Decoded(line=1, id="a", source=source, time_us=time_us, data=ALARM, raw=RAW, lon=lon, lat=lat)


def admit(sender: Device, *events: Decoded, rejections: tuple[Rejection, ...] = ()) -> Admission:
    gateway = Gateway(DeviceRegistry(snapshot()), FakeWards(), BOUNDS, IngestLimits())
    return gateway.admit(sender, events, rejections, NOW_US)


def refused(raw: bytes, line: int = 1) -> Rejection:
    return Rejection(line=line, rule="type", detail="expected a text, got list", raw=raw)


def test_a_message_whose_parts_are_all_refused_is_kept_a_few_times_not_once_for_each_part() -> None:
    """Else 64 KB of wrong parts would fill the whole quarantine, and push out what others sent."""
    picture = b"{" + b" " * 65_000 + b"}"
    admission = admit(CAMERA, rejections=(refused(picture),) * 5_000)
    assert len(admission.rejected) == 5_000
    assert [row.raw for row in admission.quarantine] == [picture] * MAX_ROWS_OF_ONE


def test_equal_messages_are_each_kept() -> None:
    admission = admit(CAMERA, rejections=tuple(refused(RAW, line) for line in range(1, 21)))
    assert len(admission.quarantine) == 20


def event_of(admission: Admission) -> Event:
    [record] = admission.records
    return decode_event(record.payload)


def rule_of(admission: Admission) -> tuple[str | None, str]:
    assert admission.records == []
    [rejected] = admission.rejected
    [row] = admission.quarantine
    assert (row.reason, row.field, row.detail, row.raw) == (
        rejected.rule,
        rejected.field,
        rejected.detail,
        RAW,
    )
    return rejected.field, rejected.rule


def test_an_admitted_event_becomes_a_record_keyed_by_ward_and_deduplicated_by_source_and_id() -> None:
    admission = admit(CAMERA, decoded())
    [record] = admission.records
    assert (record.kind, record.key, record.dedup) == (RecordKind.EVENT, "25747", ("cam-1", "a"))
    assert event_of(admission) == Event(
        id="a", source="cam-1", time_us=NOW_US, received_us=NOW_US, data=ALARM,
        ward="25747", lon=106.65, lat=10.98,
    )  # fmt: skip
    assert admission.streams == ["camera"]
    assert (admission.rejected, admission.quarantine) == ([], [])


def test_a_gateway_sends_for_what_it_covers_and_nobody_else_does() -> None:
    assert event_of(admit(GATEWAY, decoded("cam-1"))).source == "cam-1"
    assert rule_of(admit(CAMERA, decoded("det-1"))) == ("source", "may_send_for")
    assert rule_of(admit(GATEWAY, decoded("portal"))) == ("source", "may_send_for")


def test_an_unregistered_source_is_told_only_to_who_may_speak_for_it() -> None:
    assert rule_of(admit(GATEWAY, decoded("ghost-7"))) == ("source", "registered_source")
    assert rule_of(admit(CAMERA, decoded("ghost-7"))) == ("source", "may_send_for")


@pytest.mark.parametrize(
    ("offset_us", "rule"),
    [
        (5 * MINUTE_US, None),
        (5 * MINUTE_US + 1, "not_in_future"),
        (-7 * DAY_US, None),
        (-7 * DAY_US - 1, "not_too_old"),
        (-(2**62), "not_too_old"),
        (2**62, "not_in_future"),
    ],
)
def test_time_is_taken_from_seven_days_ago_to_five_minutes_ahead(offset_us: int, rule: str | None) -> None:
    admission = admit(CAMERA, decoded(time_us=NOW_US + offset_us))
    if rule is None:
        assert event_of(admission).time_us == NOW_US + offset_us
    else:
        assert rule_of(admission) == ("time", rule)


def test_a_position_of_an_ordinary_device_is_not_trusted() -> None:
    admission = admit(CAMERA, decoded(lon=106.9, lat=11.2))
    event = event_of(admission)
    assert (event.lon, event.lat, event.ward) == (106.65, 10.98, "25747")
    assert admission.counts == {}


@pytest.mark.parametrize(
    ("lon", "lat", "finding"),
    [
        (0.0, 0.0, POSITION_ZERO), (nan, 11.0, POSITION_OUTSIDE), (106.6, inf, POSITION_OUTSIDE),
        (106.6, None, POSITION_OUTSIDE), (None, 11.0, POSITION_OUTSIDE), (106.6, 12.0, POSITION_OUTSIDE),
        (10.6, 12.0, POSITION_OUTSIDE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", ["cam-1", "portal"])
def test_an_impossible_position_falls_back_to_the_registered_one_and_is_counted(
    source: str, lon: float | None, lat: float | None, finding: str
) -> None:
    sender = CAMERA if source == "cam-1" else PORTAL
    admission = admit(sender, decoded(source, lon=lon, lat=lat))
    event = event_of(admission)
    assert (event.lon, event.lat, event.ward) == (sender.lon, sender.lat, sender.ward)
    assert admission.counts[finding] == 1
    assert [seen.position_wrong for seen in admission.seen] == [True]


def test_a_position_whose_numbers_changed_places_is_put_right_where_it_counts_and_says_so() -> None:
    admission = admit(PORTAL, decoded("portal", lon=11.2, lat=106.9))
    event = event_of(admission)
    assert (event.lon, event.lat, event.ward) == (106.9, 11.2, "25750")
    assert event.data.extra == {"position_corrected": "swapped"}
    assert admission.counts == {POSITION_SWAPPED: 1}
    camera = admit(CAMERA, decoded(lon=10.98, lat=106.65))
    assert (event_of(camera).lon, event_of(camera).data.extra) == (CAMERA.lon, {})
    assert camera.counts == {POSITION_SWAPPED: 1}


def test_null_island_is_no_place_even_in_a_city_around_it() -> None:
    gateway = Gateway(DeviceRegistry(snapshot()), FakeWards(), (-1.0, -1.0, 1.0, 1.0), IngestLimits())
    admission = gateway.admit(PORTAL, [decoded("portal", lon=0.0, lat=0.0)], (), NOW_US)
    assert admission.counts == {POSITION_ZERO: 1, UNLOCATED: 1}


def test_the_portals_position_counts_and_gives_the_ward() -> None:
    event = event_of(admit(PORTAL, decoded("portal", lon=106.9, lat=11.2)))
    assert (event.lon, event.lat, event.ward) == (106.9, 11.2, "25750")


def test_a_portals_report_outside_every_ward_or_without_a_place_is_taken_and_counted() -> None:
    for lon, lat in ((106.9, 10.6), (None, None)):
        admission = admit(PORTAL, decoded("portal", lon=lon, lat=lat))
        assert event_of(admission).ward is None
        assert admission.records[0].key == "portal"
        assert admission.counts[UNLOCATED] == 1


def test_the_ward_comes_from_the_registered_position_where_the_registry_names_none() -> None:
    assert event_of(admit(DETECTOR, decoded("det-1"))).ward == "25750"
    admission = admit(NOWHERE, decoded("det-2", lon=106.6, lat=11.0))
    assert event_of(admission).ward is None
    assert admission.counts == {UNLOCATED: 1}


def test_the_answer_is_ordered_by_line_and_quarantine_keeps_at_most_one_event() -> None:
    rejections = tuple(
        Rejection(line=line, rule="json", detail="broken", raw=b"x" * size)
        for line, size in ((3, 70_000), (2, 10), (1, 0))
    )
    admission = admit(CAMERA, decoded("det-1"), rejections=rejections)
    assert [rejected.line for rejected in admission.rejected] == [1, 1, 2, 3]
    kept = [(len(row.raw), row.truncated) for row in admission.quarantine]
    assert kept == [(65_536, True), (10, False), (len(RAW), False)]
    assert {row.device for row in admission.quarantine} == {"cam-1"}


class OneAddress:
    def find(self, text: str) -> Placement | None:
        return {
            "12 Lê Lợi": Placement(
                by=PlacedBy.FUZZY, confidence=0.8, matched="12 Lê Lợi", lon=106.9, lat=11.2, ward="25747"
            ),
            "phường A": Placement(by=PlacedBy.WARD, confidence=0.3, matched="Phường A", ward="25747"),
        }.get(text)


def reported(address: str | None, lon: float | None = None, lat: float | None = None) -> Decoded:
    report = FeedbackReport(category="road", text="ổ gà", address=address, extra={"own": 1})
    return msgspec.structs.replace(decoded("portal", lon=lon, lat=lat), data=report)


@pytest.mark.parametrize(
    ("event", "place", "by"),
    [
        (reported("12 Lê Lợi"), (106.9, 11.2, "25747"), "fuzzy"),
        (reported("12 Lê Lợi", 0.0, 0.0), (106.9, 11.2, "25747"), "fuzzy"),
        (reported("phường A"), (None, None, "25747"), "ward"),
        (reported("12 Lê Lợi", 106.7, 11.0), (106.7, 11.0, "25750"), None),
        (reported("đâu đó"), (None, None, None), None),
        (reported(None), (None, None, None), None),
    ],
)
def test_a_report_without_a_position_is_placed_by_its_address_and_says_how_sure_that_is(
    event: Decoded, place: tuple[float | None, float | None, str | None], by: str | None
) -> None:
    gateway = Gateway(DeviceRegistry(snapshot()), FakeWards(), BOUNDS, IngestLimits(), OneAddress())
    admission = gateway.admit(PORTAL, [event], (), NOW_US)
    placed = event_of(admission)
    assert (placed.lon, placed.lat, placed.ward) == place
    confidence = {"fuzzy": 0.8, "ward": 0.3}
    said = {"placed_by": by, "place_confidence": confidence[by]} if by else {}
    expected = {"own": 1} | said
    assert placed.data.extra == expected
    assert sum(admission.counts[f"placed_{each}"] for each in PlacedBy) == (by is not None)


def test_of_a_gateways_body_only_what_is_of_a_disabled_device_is_refused_and_nothing_of_it_is_kept() -> None:
    gateway = Gateway(DeviceRegistry(snapshot(None, "cam-1")), FakeWards(), BOUNDS, IngestLimits())
    admission = gateway.admit(GATEWAY, (decoded("cam-1"), decoded("det-1")), (), NOW_US)
    assert [record.key for record in admission.records] == [event_of(admission).ward]
    [refused] = admission.rejected
    assert (refused.rule, refused.field, admission.quarantine) == ("device_disabled", "source", [])
