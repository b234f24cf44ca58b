"""DATEX II in JSON: what the standard's spelling is read as straight away, every other way reads alike."""

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.datex2_json import standard_message
from ioc.model.times import parse_us
from tests.conformance.datex2 import AT, V3_JSON_MEASURED, V3_JSON_SITUATION

CONTEXT = DecodeContext(
    device_id="vn-traffic",
    now_us=parse_us("2026-11-22T10:00:00Z"),
    options={"prefix": "d2-"},
    options_of=lambda source: {"index.lane1": "1 2", "index.all": "3"} if source == "d2-Q1" else {},
)


def decode(body: Any) -> Decode:
    return DECODERS["datex2"].decode(json.dumps(body).encode(), CONTEXT)


def decode_as_any_other(body: Any) -> Decode:
    """Decode `body` the way of everything that is not spelt as the standard does, as a list is not."""
    assert standard_message(json.dumps([body]).encode()) is None
    return decode([body])


TIMES = st.sampled_from(
    ["2026-11-22T09:40:00Z", "2026-11-22T16:50:00.5+07:00", "2026-11-21T00:00:00Z", "soon"]
)
DEGREES = st.floats(-90, 90).map(lambda degrees: round(degrees, 4))
POINT = st.fixed_dictionaries({"latitude": DEGREES, "longitude": DEGREES})
WORDS = st.fixed_dictionaries(
    {
        "values": st.lists(
            st.fixed_dictionaries(
                {"lang": st.sampled_from(["vi", "en", "de"]), "value": st.text(max_size=8)}
            ),
            max_size=3,
        )
    }
)


def coded(*words: str) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(
        {"value": st.sampled_from(words)}, optional={"extendedValueG": st.just("ofOurOwn")}
    )


LOCATION = st.one_of(
    POINT.map(lambda at: {"locPointLocation": {"pointByCoordinates": {"pointCoordinates": at}}}),
    st.lists(POINT, min_size=1, max_size=3).map(
        lambda ats: {
            "locLocationGroupByList": {
                "locationContainedInGroup": [
                    {"locPointLocation": {"pointByCoordinates": {"pointCoordinates": at}}} for at in ats
                ]
            }
        }
    ),
    st.tuples(st.lists(POINT, min_size=1, max_size=4), POINT, WORDS).map(
        lambda told: {
            "locLinearLocation": {
                "coordinatesForDisplay": told[1],
                "gmlLineString": {"posList": " ".join(f"{p['latitude']} {p['longitude']}" for p in told[0])},
                "supplementaryPositionalDescription": {
                    "roadInformation": [{"roadName": told[2]}],
                    "carriageway": [
                        {
                            "carriageway": {"value": "mainCarriageway"},
                            "lane": [{"laneNumber": 2}, {"laneUsage": {"value": "busLane"}}],
                        }
                    ],
                },
                "alertCLinear": {"alertCDirection": {"alertCDirectionCoded": {"value": "both"}}},
            }
        }
    ),
)
RECORD = st.fixed_dictionaries(
    {
        "idG": st.sampled_from(["R1", "R2"]),
        "versionG": st.sampled_from(["1", "2"]),
        "situationRecordCreationTime": TIMES,
        "situationRecordVersionTime": TIMES,
        "probabilityOfOccurrence": coded("certain", "riskOf"),
        "validity": st.fixed_dictionaries(
            {"validityStatus": coded("active", "planned", "definedByValidityTimeSpec")},
            optional={
                "overrunning": st.booleans(),
                "validityTimeSpecification": st.fixed_dictionaries(
                    {"overallStartTime": TIMES},
                    optional={
                        "overallEndTime": TIMES,
                        "validPeriod": st.lists(
                            st.fixed_dictionaries({}, optional={"startOfPeriod": TIMES, "endOfPeriod": TIMES})
                        ),
                    },
                ),
            },
        ),
    },
    optional={
        "severity": coded("highest", "low", "none"),
        "sourceType": coded("police"),
        "accidentType": st.lists(coded("collision", "other"), max_size=2),
        "roadMaintenanceType": coded("resurfacingWork"),
        "cause": st.fixed_dictionaries({"causeType": coded("accident")}),
        "accidentCause": coded("driverIllness"),
        "generalPublicComment": st.lists(st.fixed_dictionaries({"comment": WORDS}), max_size=2),
        "management": st.fixed_dictionaries(
            {"lifeCycleManagement": st.fixed_dictionaries({}, optional={"end": st.booleans()})}
        ),
        "locationReference": LOCATION,
        "temporarySpeedLimit": st.sampled_from([50, 70.5]),
        "queueLength": st.just(1_200),
        "safetyRelatedMessage": st.booleans(),
        "impact": st.fixed_dictionaries(
            {},
            optional={
                "trafficConstrictionType": coded("roadBlocked"),
                "numberOfLanesRestricted": st.just(1),
                "delays": st.fixed_dictionaries({}, optional={"delayTimeValue": st.just(90.0)}),
            },
        ),
    },
)
SITUATION = st.fixed_dictionaries(
    {
        "idG": st.just("S1"),
        "headerInformation": st.fixed_dictionaries({"informationStatus": coded("real", "test")}),
        "situationRecord": st.lists(
            RECORD.flatmap(
                lambda record: st.sampled_from(
                    ["sitAccident", "situationMaintenanceWorks", "GenericRecord"]
                ).map(lambda kind: {kind: record})
            ),
            min_size=1,
            max_size=3,
        ),
    },
    optional={"overallSeverity": coded("medium", "unknown")},
)
NUMBER = st.one_of(st.integers(-1, 900), st.floats(-1, 900), st.just("12.5"), st.just("many"))
MEASURE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("speed", "vehicleFlowRate", "percentage", "duration"), NUMBER),
        "numberOfInputValuesUsed": st.integers(0, 9),
        "dataError": st.booleans(),
    },
)
BASIC = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("averageVehicleSpeed", "vehicleFlow", "occupancy", "travelTime"), MEASURE),
        "trafficStatus": st.fixed_dictionaries(
            {}, optional={"trafficStatusValue": coded("congested", "freeFlow")}
        ),
        "temperature": st.just({"airTemperature": 31}),
        "measurementOrCalculationPeriod": NUMBER,
        "measurementOrCalculationTime": st.fixed_dictionaries({}, optional={"timeValue": TIMES}),
    },
)
VALUE = st.tuples(st.integers(1, 4), BASIC, st.lists(coded("spuriousDataValues"), max_size=1)).map(
    lambda told: {
        "index": told[0],
        "physicalQuantity": {
            "roaSinglePhysicalQuantity": {
                "basicData": {"roaTrafficFlow": told[1]},
                "physicalQuantityFault": [{"physicalQuantityFaultType": fault} for fault in told[2]],
            }
        },
    }
)
SITE = st.fixed_dictionaries(
    {
        "measurementSiteReference": st.fixed_dictionaries({"idG": st.sampled_from(["Q1", "Q2", "Q 3"])}),
        "measurementTimeDefault": st.fixed_dictionaries({"timeValue": TIMES}),
        "physicalQuantity": st.lists(VALUE, max_size=4),
    }
)


def publication(kind: str, **parts: Any) -> dict[str, Any]:
    creator = {"country": "vn", "nationalIdentifier": "HCM"}
    told = {"lang": "vi", "publicationTime": AT, "publicationCreator": creator, **parts}
    return {"payload": {"modelBaseVersionG": "3", kind: told}}


BODY = st.one_of(
    st.lists(SITUATION, max_size=2).map(lambda all_: publication("sitSituationPublication", situation=all_)),
    st.lists(SITE, max_size=2).map(
        lambda all_: publication("roaMeasuredDataPublication", siteMeasurements=all_)
    ),
)


@given(BODY)
@example(json.loads(V3_JSON_SITUATION))
@example(json.loads(V3_JSON_MEASURED))
def test_the_standards_spelling_is_read_straight_away_and_as_the_general_way_reads_it(body: Any) -> None:
    assert standard_message(json.dumps(body).encode()) is not None
    assert decode(body) == decode_as_any_other(body)


def _objects(told: Any) -> list[dict[str, Any]]:
    if isinstance(told, list):
        return [each for inner in told for each in _objects(inner)]
    return [told, *_objects(list(told.values()))] if isinstance(told, dict) else []


@given(BODY, st.data())
def test_members_that_are_missing_null_or_in_another_order_change_nothing_of_that(
    body: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(body)
    objects = [each for each in _objects(changed["payload"]) if each]
    told = data.draw(st.sampled_from(objects))
    name = data.draw(st.sampled_from(list(told)))
    match data.draw(st.sampled_from(["missing", "null", "first"])):
        case "missing":
            del told[name]
        case "null":
            told[name] = None
        case _:
            inner = told.pop(name)
            items = [(name, inner), *told.items()]
            told.clear()
            told.update(items)
    assert decode(changed) == decode_as_any_other(changed)


@pytest.mark.parametrize(
    ("standard", "other"),
    [
        ('"idG"', '"id"'),
        ('"idG"', '"@id"'),
        ('"versionG"', '"version"'),
        ('{"value":"high"}', '"high"'),
        ('[{"value":"collision"}]', '{"value":"collision"}'),
        ('"situation"', '"sit:situation"'),
        ('"informationStatus"', '"com:informationStatus"'),
        ('10.97', '"10.97"'),
    ],
)  # fmt: skip
def test_other_spellings_of_json_tell_the_same_event(standard: str, other: str) -> None:
    body, respelt = V3_JSON_SITUATION, V3_JSON_SITUATION.replace(standard, other)
    assert respelt != body
    [event], [same] = decode(json.loads(body)).events, decode(json.loads(respelt)).events
    assert (same.data, same.time_us, same.lon, same.lat, same.subject) == (
        event.data, event.time_us, event.lon, event.lat, event.subject,
    )  # fmt: skip


@pytest.mark.parametrize("where", ['"lang":"vi"', '"idG":"R5"', '"pointByCoordinates":', '"comment":'])
@pytest.mark.parametrize("depth", [90, 500, 980, 100_000])
def test_however_deeply_a_member_is_nested_that_nobody_reads_a_body_is_read_or_refused(
    where: str, depth: int
) -> None:
    nested = '"unknown":' + '{"a":' * depth + "1" + "}" * depth
    body = V3_JSON_SITUATION.replace(where, f"{nested},{where}")
    decoded = DECODERS["datex2"].decode(body.encode(), CONTEXT)
    assert len(decoded.events) == 1 or [each.rule for each in decoded.rejections] == ["depth"]
