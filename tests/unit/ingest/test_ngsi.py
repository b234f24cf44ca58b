"""NGSI entities in every representation that brokers notify."""

import json
from typing import Any

import pytest

from ioc.ingest.decoders.base import Decode, DecodeContext, TooManyEvents
from ioc.ingest.decoders.moments import HEARD_US, zone_of
from ioc.ingest.decoders.ngsi import Ngsi
from ioc.model.events import CameraCount, CameraObject, CameraPlate, TrafficFlow, TrafficSituation
from ioc.model.incidents import Severity
from ioc.model.times import parse_us
from tests.conformance.ngsi import ACCIDENT, ALERT, FLOW, FLOW_PLAIN, FLOW_V2, VIOLATION, WORK
from tests.unit.ingest.fakes import NOW_US


def decode(value: Any, **context: Any) -> Decode:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Ngsi().decode(body, DecodeContext(device_id="fiware", now_us=NOW_US, **context))


def only(value: Any, **context: Any) -> Any:
    decoded = decode(value, **context)
    assert not decoded.rejections
    (event,) = decoded.events
    return event


def test_every_representation_of_a_flow_is_the_same_event() -> None:
    events = [only(flow) for flow in (FLOW, FLOW_V2, FLOW_PLAIN)]
    for event in events:
        assert event.data.speed_kmh == pytest.approx(36.0)
        assert (event.data.occupancy, event.data.volume_veh) == (0.76, 197)
        assert (event.data.interval_s, event.data.lane) == (300.0, "1")
        assert (event.lon, event.lat) == (106.7, 11.05)
        assert event.time_us == parse_us("2026-11-22T10:00:00Z")
        assert event.source == "fiware-QL13-km4"


@pytest.mark.parametrize(
    "body",
    [
        {"type": "Notification", "subscriptionId": "s", "data": [FLOW]},
        {"subscriptionId": "s", "data": [FLOW_V2]},
        [FLOW_PLAIN],
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": "QL13-km4",
                    "properties": FLOW_PLAIN,
                    "geometry": FLOW_PLAIN["location"],
                }
            ],
        },
    ],
)
def test_every_envelope_is_opened(body: Any) -> None:
    assert isinstance(only(body).data, TrafficFlow)


def test_lines_are_read_each_by_itself() -> None:
    body = b"\n".join([json.dumps(FLOW).encode(), b"{broken", json.dumps(ALERT).encode()])
    decoded = decode(body, content_type="application/x-ndjson")
    assert len(decoded.events) == 2
    assert [(found.line, found.rule) for found in decoded.rejections] == [(2, "json")]


def test_one_bad_entity_leaves_its_neighbours() -> None:
    bad = {**FLOW_PLAIN, "occupancy": 76}
    decoded = decode({"data": [FLOW_PLAIN, bad, 7, {"type": "Room", "id": "r"}, ALERT]})
    assert [event.line for event in decoded.events] == [1, 5]
    assert [(r.line, r.rule, r.field) for r in decoded.rejections] == [
        (2, "in_range", "data.occupancy"),
        (3, "object", None),
        (4, "known_type", "type"),
    ]


def test_an_entity_notified_again_with_other_metadata_is_the_same_event() -> None:
    again = {**FLOW, "congested": {**FLOW["congested"], "observedAt": "2026-11-22T10:00:01Z"}}
    assert only(FLOW).id == only(again).id
    assert only(FLOW).id != only({**FLOW, "intensity": {"value": 198}}).id


def test_options_say_what_a_broker_does_not() -> None:
    plain = {**FLOW_PLAIN, "occupancy": 76, "intensity": 1200}
    event = only(plain, options={"occupancy": "percent", "intensity": "per_hour", "source": "sender"})
    assert (event.data.occupancy, event.data.volume_veh, event.source) == (0.76, 100, "fiware")
    assert only(FLOW_PLAIN, options={"prefix": "det-"}).source == "det-QL13-km4"


def test_a_local_time_needs_the_devices_zone() -> None:
    local = {**FLOW_PLAIN, "dateObserved": "2026-11-22T16:55:00/2026-11-22T17:00:00"}
    (refused,) = decode(local).rejections
    assert (refused.rule, refused.field) == ("zone", "dateObservedFrom")
    event = only(local, zone=zone_of("Asia/Ho_Chi_Minh"))
    assert event.time_us == parse_us("2026-11-22T10:00:00Z")


def test_an_alert_ends_with_its_validity_or_its_entity() -> None:
    alert = only(ALERT)
    assert alert.data == TrafficSituation(
        situation_id=ALERT["id"],
        kind="road_works",
        severity=Severity.LOW,
        text=ALERT["description"],
        road="Yersin",
        extra={
            "category": "traffic",
            "subCategory": "roadWorks",
            "validTo": ALERT["validTo"],
            "stated": "2026-11-22T09:30:00.000Z",
        },
    )
    assert alert.time_us == NOW_US - HEARD_US, "it holds: rules leave out what is long past"
    assert alert.source == "fiware", "told by the broker, not measured by the entity"
    assert not only({**ALERT, "validTo": "2026-11-22T09:59:59Z"}).data.active
    assert not only({**ALERT, "deletedAt": "2026-11-22T09:59:59Z"}).data.active


def test_an_accident_is_over_when_it_is_solved_and_weighs_what_it_cost() -> None:
    solved = only(ACCIDENT)
    assert (solved.data.kind, solved.data.active, solved.data.severity) == ("accident", False, Severity.HIGH)
    assert (solved.data.text, solved.data.extra["stated"]) == ("Va chạm", "2026-11-22T09:50:00.000Z")
    fatal = only({**ACCIDENT, "status": "onGoing", "numPedestrianDead": 1})
    assert (fatal.data.active, fatal.data.severity) == (True, Severity.CRITICAL)


def test_people_items_and_plates_are_counted_and_read() -> None:
    observed = {"dateObservedFrom": "2026-11-22T09:50:00Z", "dateObservedTo": "2026-11-22T09:51:00Z"}
    crowd = only({"id": "c", "type": "CrowdFlowObserved", "peopleCount": 100, **observed})
    assert crowd.data == CameraCount(people=100, interval_s=60.0)
    items = only({"id": "i", "type": "ItemFlowObserved", "itemType": "vehicle", "intensity": 12, **observed})
    assert (items.data.vehicles, items.data.people) == (12, 0)
    vehicle = {"licensePlate": {"identifier": "61A-123.45", "confidence": 0.9}, "speed": 50}
    plate = only({"id": "p", "type": "AnprFlowObserved", "observedVehicle": vehicle, **observed})
    assert plate.data == CameraPlate(plate="61A-123.45", confidence=0.9, speed_kmh=50)
    (unread,) = decode({"id": "p", "type": "AnprFlowObserved", "observedVehicle": {}, **observed}).rejections
    assert (unread.rule, unread.field) == ("required", "observedVehicle.licensePlate")


def test_an_unknown_unit_is_refused_rather_than_guessed() -> None:
    (refused,) = decode({**FLOW, "averageVehicleSpeed": {"value": 3, "unitCode": "XYZ"}}).rejections
    assert (refused.rule, refused.field) == ("unit", "averageVehicleSpeed.unitCode")


def test_a_place_that_cannot_be_read_is_none() -> None:
    for location in (
        {"type": "Point", "coordinates": [106.7]},
        {"type": "Point"},
        "here",
        7,
        {"coordinates": [[[]]]},
    ):
        event = only({**FLOW_PLAIN, "location": location})
        assert (event.lon, event.lat) == (None, None)


def test_more_entities_than_are_taken_are_refused_together() -> None:
    with pytest.raises(TooManyEvents):
        decode([FLOW_PLAIN] * 4, max_events=3)


@pytest.mark.parametrize("unit", [["KMH"], {"code": "KMH"}, 7, "parsec"])
def test_a_unit_that_is_no_speed_is_refused_whatever_it_is(unit: Any) -> None:
    flow = {**FLOW, "averageVehicleSpeed": {"type": "Property", "value": 10, "unitCode": unit}}
    [refused] = decode(flow).rejections
    assert (refused.rule, refused.field) == ("unit", "averageVehicleSpeed.unitCode")


@pytest.mark.parametrize(
    ("attribute", "options"),
    [
        ({"averageVehicleSpeed": {"value": 10**400, "unitCode": "MTS"}}, {}),
        ({"occupancy": 10**400}, {"occupancy": "percent"}),
        ({"intensity": 10**400}, {"intensity": "per_hour"}),
    ],
)
def test_a_number_larger_than_any_float_is_refused_alone(
    attribute: dict[str, Any], options: dict[str, str]
) -> None:
    plain = {**FLOW_PLAIN, "occupancy": 0.5}
    decoded = decode([{**plain, **attribute}, plain], options=options)
    assert [rejection.line for rejection in decoded.rejections] == [1]
    assert [event.line for event in decoded.events] == [2]


def test_a_vehicle_whose_plate_was_not_read_is_an_object_with_its_looks() -> None:
    vehicle = {"direction": "away", "plateColor": {"name": "white"}, "country": {"code": "VN"}, "speed": 41}
    at = {"dateObserved": "2026-11-22T09:59:00Z"}
    body = {"id": "p", "type": "AnprFlowObserved", "vehiclePlateNotRead": True, "observedVehicle": vehicle}
    found = only({**body, **at}).data
    assert isinstance(found, CameraObject)
    assert (found.label, found.speed_kmh) == ("vehicle", 41)
    read = only({**body, "observedVehicle": {**vehicle, "licensePlate": {"identifier": "61A-1"}}, **at}).data
    assert isinstance(read, CameraPlate)
    for data in (found, read):
        assert {"direction": "away", "plate_color": "white", "country": "VN"}.items() <= data.extra.items()


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({}, True),
        ({"workState": "completed"}, False),
        ({"workState": "planned"}, False),
        ({"startDate": "2026-11-23T00:00:00Z"}, False),
        ({"endDate": "2026-11-22T09:00:00Z"}, False),
        ({"deletedAt": "2026-11-22T09:00:00Z"}, False),
    ],
)
def test_works_in_the_street_are_in_force_while_they_are_done(changes: dict[str, str], active: bool) -> None:
    found = only({**WORK, **changes})
    assert found.data == TrafficSituation(
        situation_id=WORK["id"],
        kind="city_work",
        active=active,
        text="Cải tạo thoát nước",
        road="Đại lộ Bình Dương",
        extra=found.data.extra,
    )
    assert found.data.extra["workNumber"] == "CT-2026-17"
    assert found.data.extra["stated"] == "2026-11-22T08:00:00.000Z"


def test_what_is_old_and_does_not_say_that_it_holds_keeps_its_time() -> None:
    issued = "2026-11-20T08:00:00Z"
    old = only({**ALERT, "dateIssued": issued, "validTo": None})
    assert old.time_us == parse_us(issued)
    held = only({**ALERT, "dateIssued": issued})
    assert held.time_us == NOW_US - HEARD_US
    later = decode({**ALERT, "dateIssued": issued}).events[0].id
    assert later == held.id


def test_an_alert_of_the_weather_is_an_alert() -> None:
    found = only({**ALERT, "type": "WeatherAlert", "id": "urn:ngsi-ld:WeatherAlert:7"}).data
    assert isinstance(found, TrafficSituation)
    assert found.severity is not None


def test_a_violation_is_over_when_it_is_told_and_nothing_of_the_fine_is_kept() -> None:
    event = only(VIOLATION)
    assert event.data == TrafficSituation(
        situation_id=VIOLATION["id"],
        kind="traffic_violation",
        active=False,
        extra={"titleCode": "11", "equipmentId": "4", "stated": "2026-11-22T09:40:00.000Z"},
    )
    assert event.source == "fiware"


def test_names_that_are_written_for_the_model_s_own_are_read() -> None:
    flow = {
        name: value for name, value in FLOW_PLAIN.items() if name not in ("intensity", "averageVehicleSpeed")
    }
    speed = {"type": "Property", "value": 10, "unitCode": "MTS"}
    found = only({**flow, "vehicleCount": 45, "averageSpeed": speed}).data
    assert isinstance(found, TrafficFlow)
    assert (found.volume_veh, found.speed_kmh) == (45, pytest.approx(36.0))
    both = only({**FLOW_PLAIN, "vehicleCount": 45}).data
    assert (both.volume_veh, both.extra["vehicleCount"]) == (197, 45)
