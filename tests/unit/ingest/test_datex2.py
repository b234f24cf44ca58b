"""DATEX II situations and measurements, as publishers send them."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext, TooManyEvents
from ioc.ingest.decoders.datex2_sites import read_sites
from ioc.ingest.decoders.moments import HEARD_US
from ioc.model.events import TrafficFlow, TrafficSituation, TrafficStatus, TrafficTravelTime
from ioc.model.incidents import Severity
from ioc.model.places import Device, DeviceKind
from ioc.model.times import parse_us
from tests.conformance import datex2 as written
from tests.conformance.datex2 import (
    AT,
    CANCEL,
    END,
    TWO_LANES,
    flow,
    record,
    situation,
    speed,
    v2,
    v2_site,
    v2_value,
)

NOW_US = parse_us("2026-11-22T10:00:00Z")
PUBLISHER = Device(id="vn-traffic", kind=DeviceKind.GATEWAY, name="Traffic", options={"prefix": "d2-"})


def decode(
    content: str | bytes,
    options: dict[str, str] | None = None,
    sites: Mapping[str, Mapping[str, str]] | None = None,
    max_events: int = 1_000,
    zone: ZoneInfo | None = None,
) -> Decode:
    known = sites or {}
    context = DecodeContext(
        device_id="vn-traffic",
        now_us=NOW_US,
        zone=zone,
        options={"prefix": "d2-", **(options or {})},
        options_of=lambda source: known.get(source, {}),
        max_events=max_events,
    )
    return DECODERS["datex2"].decode(content if isinstance(content, bytes) else content.encode(), context)


def situations(*records: str) -> str:
    return v2("SituationPublication", "".join(situation(each) for each in records))


def facts(decoded: Decode) -> list[TrafficSituation]:
    assert decoded.rejections == []
    return [event.data for event in decoded.events if isinstance(event.data, TrafficSituation)]


# Situations


def test_a_record_becomes_a_situation_with_place_road_severity_and_vietnamese_text() -> None:
    [event] = decode(situations(record())).events
    assert (event.source, event.time_us, event.lon, event.lat, event.subject) == (
        "vn-traffic", NOW_US - HEARD_US, 106.65, 10.98, "S1",
    )  # fmt: skip
    assert event.data == TrafficSituation(
        situation_id="R1",
        kind="accident",
        severity=Severity.CRITICAL,
        version="1",
        text="Tai nạn nhiều xe",
        road="QL13",
        extra={
            "situation": "S1", "detail": "multivehicle_accident", "phase": "active", "publisher": "VN-HCM",
            "probability": "certain", "valid_from": "2026-11-22T16:50:00+07:00", "information_status": "real",
            "version_time": "2026-11-22T16:51:00+07:00",
        },
    )  # fmt: skip


def test_lanes_direction_and_effects_of_a_record_are_kept_in_units() -> None:
    own = "<abnormalTrafficType>queuingTraffic</abnormalTrafficType><queueLength>1200</queueLength>"
    [jam] = facts(
        decode(
            situations(
                record(kind="AbnormalTraffic", own=own, management=written.IMPACT, place=written.LANES)
            )
        )
    )
    expected = {
        "carriageway": "main_carriageway",
        "lanes": "hard_shoulder lane1",
        "direction": "west_bound",
        "queue_m": 1200,
        "lanes_restricted": 2,
        "lanes_open": 1,
        "lanes_total": 3,
        "delay_s": 900,
        "constriction": "lanes_blocked",
    }
    assert expected.items() <= jam.extra.items()


def test_a_temporary_speed_limit_is_kept_of_every_version() -> None:
    own = "<speedManagementType>speedRestrictionInOperation</speedManagementType>"
    limit = "<temporarySpeedLimit>70.0</temporarySpeedLimit>"
    [slow] = facts(decode(situations(record(kind="SpeedManagement", own=own + limit))))
    assert slow.extra["speed_limit_kmh"] == 70
    body = json.loads(written.V3_JSON_SITUATION)
    publication = body["payload"]["sitSituationPublication"]
    held = publication["situation"][0]["situationRecord"][0]
    [told] = held.values()
    told |= {
        "temporarySpeedLimit": 60,
        "impact": {"trafficConstrictionType": {"value": "roadBlocked"}, "numberOfLanesRestricted": 2},
        "safetyRelatedMessage": True,
        "locationReference": {
            "locPointLocation": {
                "supplementaryPositionalDescription": {
                    "carriageway": [
                        {
                            "carriageway": {"value": "mainCarriageway"},
                            "lane": [{"laneUsage": {"value": "busLane"}}, {"laneNumber": 2}],
                        }
                    ]
                },
                "alertCPoint": {
                    "locAlertCMethod4Point": {
                        "alertCDirection": {"alertCDirectionCoded": {"value": "positive"}}
                    }
                },
            }
        },
    }
    [found] = facts(decode(json.dumps(body)))
    expected = {
        "carriageway": "main_carriageway",
        "lanes": "bus_lane 2",
        "direction": "positive",
        "speed_limit_kmh": 60,
        "lanes_restricted": 2,
        "constriction": "road_blocked",
        "safety_related": True,
    }
    assert expected.items() <= found.extra.items()


def test_every_comment_for_the_public_is_a_line_of_the_text() -> None:
    told = [
        f"<generalPublicComment><comment><values><value lang='vi'>{text}</value></values></comment>"
        "</generalPublicComment>"
        for text in ("Trên 500 m", "Hướng về Thủ Dầu Một", "Trên 500 m")
    ]
    [found] = facts(decode(situations(record(management="".join(told)))))
    assert found.text == "Tai nạn nhiều xe\nTrên 500 m\nHướng về Thủ Dầu Một"


def test_a_situations_whole_life_is_told_in_order_whatever_order_it_was_sent_in() -> None:
    versions = [record(3, management=END), record(2), record(1)]
    told = facts(decode(situations(*versions)))
    assert [(each.version, each.active) for each in told] == [("1", True), ("2", True), ("3", False)]


@pytest.mark.parametrize(
    ("validity", "management", "phase"),
    [
        ("<validityStatus>active</validityStatus>", "", "active"),
        ("<validityStatus>planned</validityStatus>", "", "planned"),
        ("<validityStatus>suspended</validityStatus>", "", "suspended"),
        ("<validityStatus>definedByValidityTimeSpec</validityStatus>", "", "active"),
        ("<validityStatus>active</validityStatus>", END, "ended"),
        ("<validityStatus>active</validityStatus>", CANCEL, "cancelled"),
    ],
)
def test_only_what_is_in_force_is_active(validity: str, management: str, phase: str) -> None:
    [told] = facts(decode(situations(record(validity=validity, management=management))))
    assert (told.active, told.extra["phase"]) == (phase == "active", phase)


def test_the_same_version_becomes_another_event_once_its_time_has_come_and_when_it_is_over() -> None:
    phases, ids = [], set()
    for at in (
        "2026-11-20T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2026-11-22T00:01:00Z",
        "2026-11-25T00:00:00Z",
    ):
        [event] = decode(written.V3_SITUATION.replace(AT, at)).events
        assert isinstance(event.data, TrafficSituation)
        phases.append(event.data.extra["phase"])
        ids.add(event.id)
    assert phases == ["planned", "active", "active", "ended"]
    assert len(ids) == 3  # a minute later it says nothing new


def test_an_end_that_has_passed_does_not_end_what_overruns() -> None:
    over = written.V3_SITUATION.replace(AT, "2026-11-26T00:00:00Z")
    [ended] = facts(decode(over))
    status = "<com:validityStatus>definedByValidityTimeSpec</com:validityStatus>"
    [overruns] = facts(decode(over.replace(status, f"{status}<com:overrunning>true</com:overrunning>")))
    assert (ended.active, overruns.active) == (False, True)


def test_between_its_periods_a_record_is_not_in_force() -> None:
    end = "<com:overallEndTime>2026-11-25T00:00:00Z</com:overallEndTime>"
    nights = "".join(
        f"<com:validPeriod><com:startOfPeriod>2026-11-{day}T15:00:00Z</com:startOfPeriod>"
        f"<com:endOfPeriod>2026-11-{day}T22:00:00Z</com:endOfPeriod></com:validPeriod>"
        for day in (21, 22)
    )
    works = written.V3_SITUATION.replace(end, end + nights)
    by_day = facts(decode(works.replace(AT, "2026-11-22T12:00:00Z")))
    by_night = facts(decode(works.replace(AT, "2026-11-22T16:00:00Z")))
    assert (by_day[0].active, by_night[0].active) == (False, True)


def test_a_repeated_publication_gives_the_same_ids_and_a_changed_record_another() -> None:
    first = decode(situations(record())).events[0].id
    later = situations(record()).replace(AT, "2026-11-22T16:59:00+07:00")
    assert decode(later).events[0].id == first
    assert decode(situations(record(own="<accidentType>other</accidentType>"))).events[0].id != first


def test_what_lasts_is_of_now_while_its_publication_is_fresh_and_of_its_own_time_where_that_is_old() -> None:
    begun = situations(record()).replace("2026-11-22T16:51:00", "2026-10-01T08:00:00")
    assert decode(begun).events[0].time_us == NOW_US - HEARD_US
    old = begun.replace(AT, "2026-10-01T08:05:00+07:00").replace(
        "16:50:00+07:00</overall", "07:50:00+07:00</overall"
    )
    assert decode(old).events[0].time_us == parse_us("2026-10-01T01:00:00Z")


def test_version_3_takes_the_middle_of_a_line_and_its_cause() -> None:
    [event] = decode(written.V3_SITUATION).events
    assert isinstance(event.data, TrafficSituation)
    assert (event.lon, event.lat) == pytest.approx((106.62, 10.90))
    assert (event.data.kind, event.data.severity) == ("maintenance_works", Severity.MEDIUM)
    assert (event.data.extra["cause"], event.data.extra["detail"]) == ("road_maintenance", "resurfacing_work")


def test_coordinates_in_the_wrong_order_are_put_right_where_only_that_can_be_meant() -> None:
    swapped = written.V3_SITUATION.replace(
        "10.90 106.60 10.90 106.62 10.90 106.64", "106.60 10.90 106.62 10.90 106.64 10.90"
    )
    [event] = decode(swapped).events
    assert (event.lon, event.lat) == pytest.approx((106.62, 10.90))


def test_json_and_its_long_prefixes_read_like_xml() -> None:
    [event] = decode(written.V3_JSON_SITUATION).events
    assert isinstance(event.data, TrafficSituation)
    assert (event.lon, event.lat, event.data.kind, event.data.version) == (106.66, 10.97, "accident", "2")
    assert (event.data.text, event.data.extra["detail"]) == ("Va chạm", "collision")
    long = written.V3_JSON_SITUATION.replace("sitS", "situationS").replace("sitA", "situationA")
    assert facts(decode(long.replace("locPoint", "locationReferencingPoint")))[0].kind == "accident"


def test_what_a_container_closes_by_reference_ends() -> None:
    [event] = decode(written.CLOSED).events
    assert isinstance(event.data, TrafficSituation)
    assert (event.data.situation_id, event.data.active, event.data.kind) == ("R3", False, "closed")
    assert event.time_us == NOW_US - HEARD_US


def test_the_first_version_of_the_standard_is_read_too() -> None:
    older = (
        record()
        .replace(' version="1"', "")
        .replace(
            "<probabilityOfOccurrence>",
            "<situationRecordVersion>7</situationRecordVersion><probabilityOfOccurrence>",
        )
    )
    older = older.replace("<values>", "").replace("</values>", "")
    [told] = facts(decode(situations(older)))
    assert (told.version, told.text, told.road) == ("7", "Tai nạn nhiều xe", "QL13")


def test_soap_and_gzip_hold_the_same_message() -> None:
    plain = facts(decode(situations(record())))
    assert facts(decode(written.SOAP)) == plain
    assert facts(decode(gzip.compress(written.SOAP.encode()))) == plain


def test_a_keep_alive_is_no_fault() -> None:
    alive = "<d2LogicalModel><exchange><keepAlive>true</keepAlive></exchange></d2LogicalModel>"
    assert decode(alive) == Decode()


def test_one_bad_record_costs_one_record() -> None:
    bad = record().replace("2026-11-22T16:50:00+07:00</overallStartTime>", "soon</overallStartTime>")
    decoded = decode(situations(record(1), bad, record(2)))
    assert len(decoded.events) == 2
    [rejection] = decoded.rejections
    assert (rejection.line, rejection.rule, rejection.id) == (2, "iso8601", "R1")
    assert rejection.field is not None and rejection.field.endswith(
        "validityTimeSpecification.overallStartTime"
    )


@pytest.mark.parametrize(
    ("content", "rule", "field"),
    [
        (situations(record().replace(' id="R1"', "")), "required", "situation.situationRecord.id"),
        (situations(record().replace('"R1"', f'"{"x" * 300}"')), "length", "situation.situationRecord.id"),
        (
            situations(record()).replace(">real<", ">exercise<"),
            "real",
            "situation.headerInformation.informationStatus",
        ),
        (v2("VmsPublication", "<vmsUnit/>"), "publication", "payload.type"),
        (v2("MeasuredDataPublication", v2_site("")), "no_value", "siteMeasurements"),
        (situations(record()).replace(AT, "yesterday"), "iso8601", "publicationTime"),
        (situations(record()).replace("16:51:00+07:00", "16:51:00"), "zone",
         "situation.situationRecord.situationRecordVersionTime"),
        ("<a/>", "publication", "payloadPublication"),
        ("<a", "xml", None),
        ("{", "json", None),
        ("[1]", "object", None),
        ("", "empty", None),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_field_and_rule(
    content: str, rule: str, field: str | None
) -> None:
    decoded = decode(content)
    [rejection] = decoded.rejections
    assert (rejection.rule, rejection.field, decoded.events) == (rule, field, [])


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    [rejection] = decode(gzip.compress(b" " * (9 << 20))).rejections
    assert rejection.rule == "gzip_bytes"


def test_a_local_time_is_of_the_publishers_zone() -> None:
    local = situations(record()).replace("16:51:00+07:00", "16:51:00")
    late = local.replace("16:51:00", "16:59:50")
    [event] = decode(late, zone=ZoneInfo("Asia/Ho_Chi_Minh")).events
    assert event.time_us == parse_us("2026-11-22T09:59:50Z")


def test_exercises_are_taken_where_the_publisher_is_registered_for_them() -> None:
    exercise = situations(record()).replace(">real<", ">exercise<")
    assert facts(decode(exercise, {"tests": "accept"}))[0].extra["information_status"] == "exercise"


def test_a_body_with_too_many_records_is_refused() -> None:
    with pytest.raises(TooManyEvents):
        decode(situations(record(1), record(2)), max_events=1)
    with pytest.raises(TooManyEvents):
        decode(v2("MeasuredDataPublication", TWO_LANES), max_events=1)


# Measurements


def test_with_the_table_of_sites_values_are_of_their_lanes() -> None:
    [site] = read_sites(written.table("QL13_001"), PUBLISHER)
    decoded = decode(v2("MeasuredDataPublication", TWO_LANES), sites={site.id: site.options})
    assert decoded.rejections == []
    assert {event.source for event in decoded.events} == {"d2-QL13_001"}
    common: dict[str, str | int | float | bool | None] = {"site": "QL13_001"}
    assert [event.data for event in decoded.events] == [
        TrafficFlow(speed_kmh=42.5, volume_veh=12, lane="lane1", extra={**common, "flow_veh_h": 720.0}),
        TrafficFlow(speed_kmh=51.0, volume_veh=6, lane="lane2", extra={**common, "flow_veh_h": 360.0}),
        TrafficFlow(occupancy=0.18, extra=common),
    ]
    assert len({event.id for event in decoded.events}) == 3


def test_without_the_table_values_of_one_kind_are_numbered() -> None:
    decoded = decode(v2("MeasuredDataPublication", TWO_LANES))
    told = [event.data for event in decoded.events if isinstance(event.data, TrafficFlow)]
    assert [(each.lane, each.speed_kmh, each.volume_veh, each.occupancy) for each in told] == [
        (None, 42.5, 12, 0.18),
        ("2", 51.0, 6, None),
    ]


@pytest.mark.parametrize(
    ("faulty", "fault"),
    [
        (speed(50, error=True), "data_error"),
        (speed(-1), "no_value"),
        (speed(1e6), "out_of_range"),
        ("<averageVehicleSpeed><speed>fast</speed></averageVehicleSpeed>", "no_value"),
    ],
)
def test_a_faulty_value_is_counted_and_left_out_and_the_rest_is_kept(faulty: str, fault: str) -> None:
    values = v2_value(1, "TrafficFlow", flow(600)) + v2_value(2, "TrafficSpeed", faulty)
    [event] = decode(v2("MeasuredDataPublication", v2_site(values))).events
    assert isinstance(event.data, TrafficFlow)
    assert (event.data.volume_veh, event.data.speed_kmh) == (10, None)
    assert (event.data.extra["faulty_values"], event.data.extra["fault"]) == (1, fault)


def test_a_speed_of_no_vehicle_is_no_speed_but_a_flow_of_none_is_a_flow() -> None:
    values = v2_value(1, "TrafficFlow", flow(0)) + v2_value(2, "TrafficSpeed", speed(0, used=0))
    [event] = decode(v2("MeasuredDataPublication", v2_site(values))).events
    assert event.data == TrafficFlow(volume_veh=0, extra={"site": "QL13_001", "flow_veh_h": 0.0})


def test_a_site_with_nothing_but_faults_says_that_it_is_down() -> None:
    values = v2_value(1, "TrafficSpeed", speed(-1)) + v2_value(2, "TrafficFlow", flow(-1))
    [event] = decode(v2("MeasuredDataPublication", v2_site(values))).events
    assert isinstance(event.data, TrafficStatus)
    assert (event.data.online, event.data.reason, event.data.extra["faulty_values"]) == (False, "no_value", 2)


STATUS = "<trafficStatus><trafficStatusValue>congested</trafficStatusValue></trafficStatus>"


def test_the_publishers_word_for_the_traffic_stands_beside_its_numbers() -> None:
    values = v2_value(1, "TrafficSpeed", speed(12, used=40)) + v2_value(2, "TrafficStatus", STATUS)
    decoded = decode(v2("MeasuredDataPublication", v2_site(values)))
    [event] = decoded.events
    assert isinstance(event.data, TrafficFlow) and event.data.speed_kmh == 12
    assert event.data.extra["traffic_status"] == "congested"
    assert decoded.dropped_fields == 0


def test_a_site_with_nothing_but_a_word_for_the_traffic_tells_it() -> None:
    at = "2026-11-22T09:58:00Z"
    own = f"<measurementOrCalculationTime>{at}</measurementOrCalculationTime>"
    values = v2_value(1, "TrafficStatus", own + STATUS)
    [event] = decode(v2("MeasuredDataPublication", v2_site(values))).events
    assert event.data == TrafficStatus(online=True, extra={"site": "QL13_001", "traffic_status": "congested"})
    assert event.time_us == parse_us(at)


def test_classes_of_vehicles_are_added_up_where_no_total_is_measured() -> None:
    values = (
        v2_value(11, "TrafficFlow", flow(600))
        + v2_value(12, "TrafficSpeed", speed(60, used=9))
        + v2_value(21, "TrafficFlow", flow(60))
        + v2_value(22, "TrafficSpeed", speed(40, used=1))
    )
    sites = {"d2-QL13_001": {"index.lane1": "11 12 21 22"}}
    [event] = decode(v2("MeasuredDataPublication", v2_site(values)), sites=sites).events
    assert isinstance(event.data, TrafficFlow)
    assert (event.data.volume_veh, event.data.speed_kmh) == (11, pytest.approx(58))


def test_a_class_whose_total_stands_beside_it_is_not_counted_twice() -> None:
    [site] = read_sites(written.table("QL13_001"), PUBLISHER)
    values = v2_value(1, "TrafficFlow", flow(600)) + v2_value(6, "TrafficFlow", flow(60))
    [event] = decode(v2("MeasuredDataPublication", v2_site(values)), sites={site.id: site.options}).events
    assert isinstance(event.data, TrafficFlow) and event.data.volume_veh == 10


def test_a_period_of_its_own_makes_the_volume() -> None:
    longer = f"<measurementOrCalculationPeriod>300</measurementOrCalculationPeriod>{flow(600)}"
    body = v2("MeasuredDataPublication", v2_site(v2_value(1, "TrafficFlow", longer)))
    [event] = decode(body).events
    assert isinstance(event.data, TrafficFlow)
    assert (event.data.volume_veh, event.data.interval_s) == (50, 300.0)


def test_version_3_values_and_faults_read_alike() -> None:
    [event] = decode(written.V3_MEASURED).events
    assert (event.source, event.time_us) == ("d2-QL13_002", parse_us("2026-11-22T09:55:00Z"))
    assert event.data == TrafficFlow(
        speed_kmh=61.5,
        volume_veh=4,
        extra={
            "site": "QL13_002", "faulty_values": 1, "fault": "intermittentDataValues", "flow_veh_h": 240.0,
        },
    )  # fmt: skip


def test_measurements_in_json_read_like_xml() -> None:
    [event] = decode(written.V3_JSON_MEASURED).events
    assert isinstance(event.data, TrafficFlow)
    assert (event.source, event.data.speed_kmh, event.data.volume_veh) == ("d2-QL13_003", 33.5, 7)


def test_the_older_form_of_a_value_is_read_too() -> None:
    old = (
        '<siteMeasurements><measurementSiteReference>NRA1681</measurementSiteReference><measurementTimeDefault>'
        f'{AT}</measurementTimeDefault><measuredValue index="1"><basicDataValue>{speed(22)}</basicDataValue>'
        "</measuredValue></siteMeasurements>"
    )  # fmt: skip
    [event] = decode(v2("MeasuredDataPublication", old)).events
    assert isinstance(event.data, TrafficFlow)
    assert (event.source, event.data.speed_kmh) == ("d2-NRA1681", 22.0)


def test_travel_times_are_of_the_predefined_stretch() -> None:
    [event] = decode(written.v2_elaborated("245")).events
    assert (event.source, event.time_us) == ("d2-QL13_N", parse_us("2026-11-22T09:55:00Z"))
    assert event.data == TrafficTravelTime(duration_s=245.0, free_flow_s=180.0, extra={"site": "QL13_N"})


def test_version_3_of_elaborated_values_reads_alike() -> None:
    body = (
        f'<d2:payload xmlns:d2="http://datex2.eu/schema/3/d2Payload" {written.V3} '
        f'xsi:type="roa:ElaboratedDataPublication"><com:publicationTime>{AT}</com:publicationTime>'
        '<roa:physicalQuantity xsi:type="roa:SinglePhysicalQuantity"><roa:pertinentLocation '
        'xsi:type="loc:LocationByReference"><loc:predefinedLocationReference id="QL13_S" version="1" '
        'targetClass="loc:PredefinedLocation"/></roa:pertinentLocation><roa:basicData '
        'xsi:type="roa:TrafficSpeed"><roa:averageVehicleSpeed><com:speed>38</com:speed>'
        "</roa:averageVehicleSpeed></roa:basicData></roa:physicalQuantity></d2:payload>"
    )
    [event] = decode(body).events
    assert isinstance(event.data, TrafficFlow)
    assert (event.source, event.data.speed_kmh) == ("d2-QL13_S", 38.0)


def test_a_repeat_gives_the_same_ids_and_the_next_minute_others() -> None:
    site = v2_site(v2_value(1, "TrafficSpeed", speed(40)))
    first = decode(v2("MeasuredDataPublication", site)).events[0].id
    assert decode(v2("MeasuredDataPublication", site)).events[0].id == first
    after = v2_site(v2_value(1, "TrafficSpeed", speed(40)), time="2026-11-22T16:59:00+07:00")
    assert decode(v2("MeasuredDataPublication", after)).events[0].id != first


def test_weather_in_between_is_counted_and_not_refused() -> None:
    weather = v2_value(
        1, "TemperatureInformation", "<temperature><airTemperature>31</airTemperature></temperature>"
    )
    decoded = decode(v2("MeasuredDataPublication", v2_site(weather)))
    assert (decoded.events, decoded.rejections, decoded.dropped_fields) == ([], [], 1)


# Real messages


def test_every_record_of_real_finnish_messages_is_read_or_refused_for_its_placeholder(
    shared_data: Path,
) -> None:
    read = 0
    for path in sorted((shared_data / "datex2-situations").glob("*.xml")):
        body = path.read_bytes()
        decoded = decode(body)
        assert len(decoded.events) + len(decoded.rejections) == body.count(b"<situationRecord "), path.name
        assert len(decoded.rejections) <= body.count(b"OVERALL_START_TIME"), path.name
        told = [event.data for event in decoded.events if isinstance(event.data, TrafficSituation)]
        assert all(each.kind and each.severity and each.text for each in told), path.name
        read += len(decoded.events)
    assert read >= 60


def test_the_example_of_the_user_forum_is_read(shared_data: Path) -> None:
    body = (shared_data / "datex2-v3-json" / "Situation Accident example.json").read_bytes()
    assert json.loads(body)
    [told] = facts(decode(body))
    assert (told.situation_id, told.kind, told.extra["detail"]) == (
        "2322", "accident", "accident_involving_heavy_lorries",
    )  # fmt: skip
