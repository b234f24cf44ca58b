"""Incidents for other systems: what they may know, in forms that their own rules accept."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import jsonschema
import msgspec
import pytest
from defusedxml.ElementTree import fromstring
from referencing import Registry, Resource

from ioc.api.application import ApiDeps
from ioc.api.export_cap import cap_feed
from ioc.api.export_datex2 import datex2_publication
from ioc.api.export_ngsi import ngsi_alerts
from ioc.api.export_view import Publisher, public_incidents
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import DecodeContext
from ioc.model.events import TrafficSituation
from ioc.model.incidents import Condition, Handling, Incident, Severity
from ioc.model.texts import Text
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FOREIGN, WARD, FakeIncidents, FakeUsers, make_deps
from tests.unit.stream.samples import T0_US, incident

FORMS = ("datex2", "cap", "ngsi-ld", "geojson")
SECOND_US = 1_000_000
NOW_US = T0_US + 60 * SECOND_US
WARDS = {WARD: Text("Phường Thủ Dầu Một", "Thu Dau Mot ward")}
PUBLISHER = Publisher(host="ioc.example.vn", city=Text("Bình Dương", "Binh Duong"), is_real=True, wards=WARDS)

ONGOING = incident("inc-1")
CHANGED = incident("inc-2", rev=3, category="flood", severity=Severity.CRITICAL, lon=106.654321)
ENDED = incident(
    "inc-3", rev=4, condition=Condition.CLEARED, cleared_us=T0_US + 30 * SECOND_US, category="fire"
)
FALSE = incident("inc-4", rev=2, handling=Handling.REJECTED, category="security")
NOWHERE = incident("inc-5", lon=None, lat=None, ward=None, category="citizen.road")
EQUIPMENT = incident("inc-6", category="equipment", severity=Severity.LOW)
ALL = (ONGOING, CHANGED, ENDED, FALSE, NOWHERE, EQUIPMENT)

PERSONAL = incident(
    "inc-7",
    category="citizen.light",
    key="61A-123.45",
    title=Text("Ông Nguyễn Văn An, 0912345678", "Mr Nguyen Van An, 0912345678"),
    note="gọi 0912345678",
    assignee="operator-1",
    source="portal",
    lon=106.654321,
    lat=10.987654,
)


def decoded(name: str, body: bytes) -> list[TrafficSituation]:
    context = DecodeContext(device_id="other", now_us=NOW_US, options={"tests": "accept"})
    found = DECODERS[name].decode(body, context)
    assert found.rejections == []
    return [event.data for event in found.events if isinstance(event.data, TrafficSituation)]


# Over HTTP


async def test_each_form_has_its_media_type_and_is_not_sent_again_while_nothing_changes(
    browse: Browser,
) -> None:
    media = {
        "datex2": "application/json",
        "cap": "application/atom+xml",
        "ngsi-ld": "application/ld+json",
        "geojson": "application/geo+json",
    }
    async with browse() as client:
        for form in FORMS:
            first = await client.get(f"/api/v1/export/incidents.{form}")
            assert (first.status_code, first.headers["content-type"].partition(";")[0]) == (200, media[form])
            again = await client.get(
                f"/api/v1/export/incidents.{form}", headers={"If-None-Match": first.headers["etag"]}
            )
            assert (again.status_code, again.content) == (304, b"")


async def test_a_changed_incident_changes_the_entity_tag(users: FakeUsers, browse: Browser) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        before = (await client.get("/api/v1/export/incidents.geojson")).headers["etag"]
        incidents.known["inc-1"] = msgspec.structs.replace(incidents.known["inc-1"], rev=9)
        after = (await client.get("/api/v1/export/incidents.geojson")).headers["etag"]
    assert before != after


async def test_filters_are_passed_on_and_the_next_page_is_named(users: FakeUsers, browse: Browser) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        path = "/api/v1/export/incidents.datex2?state=all&severity=high&category=traffic&limit=7"
        response = await client.get(path)
    [query] = incidents.queries
    assert (query.open_only, query.severities, query.category, query.limit) == (
        False, (Severity.HIGH,), "traffic", 7,
    )  # fmt: skip
    link = response.headers["link"]
    assert link.endswith('; rel="next"') and "cursor=more" in link and "limit=7" in link


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "severity=huge", "cursor=bad", "ward=%00"])
async def test_a_refused_filter_is_named(browse: Browser, query: str) -> None:
    async with browse() as client:
        response = await client.get(f"/api/v1/export/incidents.cap?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].startswith(query.partition("=")[0])


async def test_a_ward_exports_its_own_only(browse: Browser) -> None:
    async with browse(Role.WARD) as client:
        found = (await client.get("/api/v1/export/incidents.geojson")).json()["features"]
        foreign = await client.get(f"/api/v1/export/incidents.geojson?ward={FOREIGN}")
    assert [(each["id"], each["properties"]["ward"]) for each in found] == [("inc-1", WARD)]
    assert foreign.status_code == 404


async def test_nobody_exports_nothing(browse: Browser) -> None:
    async with browse(None) as client:
        for form in FORMS:
            assert (await client.get(f"/api/v1/export/incidents.{form}")).status_code == 401


async def test_nothing_personal_leaves(users: FakeUsers, browse: Browser) -> None:
    deps: ApiDeps = make_deps(users, incidents=FakeIncidents(known={"inc-7": PERSONAL}))
    async with browse(deps=deps) as client:
        for form in FORMS:
            text = (await client.get(f"/api/v1/export/incidents.{form}")).text
            assert "inc-7" in text
            for secret in ("0912345678", "Nguy", "61A", "operator-1", "portal", "106.6543", "10.9876"):
                assert secret not in text, (form, secret)


def test_a_plate_in_a_title_is_masked() -> None:
    told = public_incidents([incident(title=Text("Xe 61A-123.45", "Vehicle 61A-123.45"))])
    assert "123.45" not in told[0].title.vi + told[0].title.en


def test_a_part_of_a_greater_incident_is_told_by_that_one() -> None:
    merged = incident("inc-8", handling=Handling.MERGED, merged_into="inc-1")
    assert [each.id for each in public_incidents([ONGOING, merged])] == ["inc-1"]


# NGSI-LD


def test_entities_read_as_what_they_told() -> None:
    told = decoded("ngsi", ngsi_alerts(public_incidents(ALL), PUBLISHER, NOW_US))
    assert [
        (each.situation_id.rpartition(":")[2], each.kind, each.severity, each.active) for each in told
    ] == [
        ("inc-1", "traffic_jam", Severity.HIGH, True),
        ("inc-2", "flood", Severity.CRITICAL, True),
        ("inc-3", "fire", Severity.HIGH, False),
        ("inc-4", "suspicious_action", Severity.LOW, False),
        ("inc-5", "other", Severity.HIGH, True),
        ("inc-6", "asset", Severity.LOW, True),
    ]
    assert told[0].text == "Ùn tắc hầm chui"


def test_a_demonstrations_entities_say_so() -> None:
    demo = msgspec.structs.replace(PUBLISHER, is_real=False)
    assert decoded("ngsi", ngsi_alerts(public_incidents([ONGOING]), demo, NOW_US))[0].extra["test"] is True


# DATEX II


def publication(*found: Incident, publisher: Publisher = PUBLISHER) -> bytes:
    return datex2_publication(public_incidents(found), publisher, NOW_US)


def test_a_publication_reads_as_what_it_told() -> None:
    told = {each.extra["situation"]: each for each in decoded("datex2", publication(*ALL))}
    assert set(told) == {"inc-1", "inc-2", "inc-3", "inc-4", "inc-6"}  # a record needs a place
    assert [(told[name].kind, told[name].severity, told[name].active) for name in sorted(told, key=str)] == [
        ("abnormal_traffic", Severity.HIGH, True),
        ("environmental_obstruction", Severity.CRITICAL, True),
        ("environmental_obstruction", Severity.HIGH, False),
        ("disturbance_activity", Severity.HIGH, False),
        ("equipment_or_system_fault", Severity.LOW, True),
    ]
    assert (told["inc-1"].text, told["inc-2"].version) == ("Ùn tắc hầm chui", "3")


def test_a_demonstration_says_that_it_is_none() -> None:
    demo = msgspec.structs.replace(PUBLISHER, is_real=False)
    assert decoded("datex2", publication(ONGOING, publisher=demo))[0].extra["information_status"] == "test"
    assert decoded("cap", cap_feed(public_incidents([ONGOING]), demo, NOW_US))[0].extra["status"] == "Test"


def test_a_publication_fits_the_schema(shared_data: Path) -> None:
    """The schema at hand knows one class of records, accidents: ours are added as what all records share."""
    folder = shared_data / "datex2-v3-json"
    schemas = {path.name: json.loads(path.read_bytes()) for path in folder.glob("DATEXII_3_*.json")}
    situation = schemas["DATEXII_3_Situation.json"]["definitions"]
    shared = situation["SituationRecord"]
    value = {"type": "object", "required": ["value"], "additionalProperties": False,
             "properties": {"value": {"type": "string"}}}  # fmt: skip
    words = {"$ref": "DATEXII_3_Common.json#/definitions/MultilingualString"}
    comment = {"type": "object", "required": ["comment"], "additionalProperties": False,
               "properties": {"comment": words}}  # fmt: skip
    own = {
        "AbnormalTraffic": {"abnormalTrafficType": value},
        "EnvironmentalObstruction": {"environmentalObstructionType": value},
        "DisturbanceActivity": {"disturbanceActivityType": value},
        "EquipmentOrSystemFault": {
            "equipmentOrSystemFaultType": value,
            "faultyEquipmentOrSystemType": value,
        },
        "GeneralObstruction": {"obstructionType": {"type": "array", "items": value, "minItems": 1}},
    }
    for name, fields in own.items():
        properties = shared["properties"] | {"severity": value} | fields
        properties["generalPublicComment"] = {"type": "array", "items": comment}
        required = [*shared["required"], *fields]
        record = shared | {"properties": properties, "required": required}
        situation["SituationRecordG"]["properties"][f"sit{name}"] = record
    registry: Registry[Any] = Registry().with_resources(
        [(name, Resource.from_contents(schema)) for name, schema in schemas.items()]
    )
    validator = jsonschema.Draft4Validator(
        {"$ref": "DATEXII_3_D2Payload.json"}, registry=registry, format_checker=jsonschema.FormatChecker()
    )
    body = json.loads(publication(*ALL, incident("inc-9", category="citizen.road")))
    assert [error.message for error in validator.iter_errors(body)] == []
    del body["payload"]["sitSituationPublication"]["situation"][0]["situationRecord"][0][
        "sitAbnormalTraffic"
    ]["validity"]
    assert list(validator.iter_errors(body))  # the schema is really asked


# CAP

ENUMERATIONS = {
    "status": {"Actual", "Exercise", "System", "Test", "Draft"},
    "msgType": {"Alert", "Update", "Cancel", "Ack", "Error"},
    "scope": {"Public", "Restricted", "Private"},
    "category": {"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport",
                 "Infra", "CBRNE", "Other"},
    "responseType": {"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear",
                     "None"},
    "urgency": {"Immediate", "Expected", "Future", "Past", "Unknown"},
    "severity": {"Extreme", "Severe", "Moderate", "Minor", "Unknown"},
    "certainty": {"Observed", "Likely", "Possible", "Unlikely", "Unknown"},
}  # fmt: skip
ORDER = {
    "alert": ["identifier", "sender", "sent", "status", "msgType", "source", "scope", "restriction",
              "addresses", "code", "note", "references", "incidents", "info"],
    "info": ["language", "category", "event", "responseType", "urgency", "severity", "certainty", "audience",
             "eventCode", "effective", "onset", "expires", "senderName", "headline", "description",
             "instruction", "web", "contact", "parameter", "resource", "area"],
    "area": ["areaDesc", "polygon", "circle", "geocode", "altitude", "ceiling"],
}  # fmt: skip
REQUIRED = {
    "alert": {"identifier", "sender", "sent", "status", "msgType", "scope"},
    "info": {"category", "event", "urgency", "severity", "certainty"},
    "area": {"areaDesc"},
}
DATE = re.compile(r"\d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")


def local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def broken_rules(alert: Element) -> list[str]:
    """Return what of OASIS CAP 1.2 (§3.2 and its schema) an alert does not keep."""
    broken = [] if alert.tag == "{urn:oasis:names:tc:emergency:cap:1.2}alert" else ["namespace"]
    for element in alert.iter():
        name, text = local(element), element.text or ""
        if name in ORDER:
            names = [local(child) for child in element]
            broken += [f"{name} lacks {each}" for each in REQUIRED[name] - set(names)]
            if names != sorted(names, key=ORDER[name].index):
                broken.append(f"order of {name}")
        if text not in ENUMERATIONS.get(name, {text}):
            broken.append(f"{name}={text}")
        if name in ("sent", "onset", "effective", "expires") and not DATE.fullmatch(text):
            broken.append(f"{name}={text}")
        if name in ("identifier", "sender") and (not text or re.search(r"[\s,<&]", text)):
            broken.append(f"{name}={text}")
        if name == "circle" and not re.fullmatch(r"-?\d+(\.\d+)?,-?\d+(\.\d+)? \d+(\.\d+)?", text):
            broken.append(f"circle={text}")
    message = next(local(e) and e.text for e in alert if local(e) == "msgType")
    if (message != "Alert") != any(local(each) == "references" for each in alert):
        broken.append("references")
    return broken


def test_every_alert_keeps_the_rules_of_cap() -> None:
    feed = fromstring(cap_feed(public_incidents(ALL), PUBLISHER, NOW_US))
    alerts = [each for each in feed.iter() if local(each) == "alert"]
    assert len(alerts) == len(ALL)
    assert [broken_rules(alert) for alert in alerts] == [[]] * len(ALL)


def test_the_rules_notice_what_breaks_them() -> None:
    feed = cap_feed(public_incidents([ONGOING]), PUBLISHER, NOW_US).decode()
    for old, new in (("Severe", "Bad"), ("+07:00</sent>", "Z</sent>"), (">Alert<", ">Update<")):
        [alert] = [each for each in fromstring(feed.replace(old, new)).iter() if local(each) == "alert"]
        assert broken_rules(alert), old


def test_a_feed_reads_as_what_it_told_and_an_update_goes_on_with_its_alert() -> None:
    first = decoded(
        "cap", cap_feed(public_incidents([incident("inc-2", category="flood")]), PUBLISHER, NOW_US)
    )
    told = decoded("cap", cap_feed(public_incidents(ALL), PUBLISHER, NOW_US))
    assert [(each.situation_id, each.active, each.severity) for each in told] == [
        ("inc-1.1", True, Severity.HIGH),
        ("inc-2.1", True, Severity.CRITICAL),
        ("inc-3.1", False, Severity.HIGH),
        ("inc-4.1", False, Severity.HIGH),
        ("inc-5.1", True, Severity.HIGH),
        ("inc-6.1", True, Severity.LOW),
    ]
    assert first[0].situation_id == "inc-2.1"


def test_signs_that_xml_cannot_hold_do_not_break_the_feed() -> None:
    odd = incident(title=Text("Ùn tắc \x07 <hầm> & \ufffe cầu", "Jam \x00"))
    [told] = decoded("cap", cap_feed(public_incidents([odd]), PUBLISHER, NOW_US))
    assert told.extra["event"] == "Ùn tắc <hầm> & cầu"


# GeoJSON


async def test_a_feature_says_when_it_began_and_ended(users: FakeUsers, browse: Browser) -> None:
    known = {each.id: each for each in (ONGOING, ENDED, NOWHERE)}
    async with browse(deps=make_deps(users, incidents=FakeIncidents(known=known))) as client:
        found = (await client.get("/api/v1/export/incidents.geojson?state=all")).json()
    ongoing, ended, nowhere = found["features"]
    assert ongoing["geometry"] == {"type": "Point", "coordinates": [106.7, 10.98]}
    assert (ongoing["properties"]["ended"], ended["properties"]["ended"]) == (
        None,
        "2026-11-18T11:07:10.000Z",
    )
    assert (nowhere["geometry"], nowhere["properties"]["title"]) == (None, "Phản ánh của người dân")
