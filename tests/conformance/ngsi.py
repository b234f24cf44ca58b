"""NGSI: what FIWARE's brokers hold and notify."""

import json
from typing import Any

from tests.conformance import Sample

LD = "application/ld+json"
FLOW: dict[str, Any] = {
    "id": "urn:ngsi-ld:TrafficFlowObserved:QL13-km4",
    "type": "TrafficFlowObserved",
    "dateObservedFrom": {
        "type": "Property",
        "value": {"@type": "DateTime", "@value": "2026-11-22T09:55:00Z"},
    },
    "dateObservedTo": {"type": "Property", "value": {"@type": "DateTime", "@value": "2026-11-22T10:00:00Z"}},
    "intensity": {"type": "Property", "value": 197},
    "occupancy": {"type": "Property", "value": 76, "unitCode": "P1"},
    "averageVehicleSpeed": {"type": "Property", "value": 10.0, "unitCode": "MTS"},
    "laneId": {"type": "Property", "value": 1},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [106.7, 11.05]}},
    "congested": {"type": "Property", "value": True},
    "@context": ["https://example.org/context.jsonld"],
}
FLOW_V2: dict[str, Any] = {
    "id": "QL13-km4",
    "type": "TrafficFlowObserved",
    "dateObserved": {
        "type": "DateTime",
        "value": "2026-11-22T09:55:00Z/2026-11-22T10:00:00Z",
        "metadata": {},
    },
    "intensity": {"type": "Number", "value": 197, "metadata": {}},
    "occupancy": {"type": "Number", "value": 0.76, "metadata": {}},
    "averageVehicleSpeed": {
        "type": "Number",
        "value": 36,
        "metadata": {"unitCode": {"type": "Text", "value": "KMH"}},
    },
    "laneId": {"type": "Number", "value": 1, "metadata": {}},
    "location": {"type": "geo:point", "value": "11.05, 106.7", "metadata": {}},
}
FLOW_PLAIN: dict[str, Any] = {
    "id": "QL13-km4",
    "type": "TrafficFlowObserved",
    "dateObserved": "2026-11-22T09:55:00Z/2026-11-22T10:00:00Z",
    "intensity": 197,
    "occupancy": 0.76,
    "averageVehicleSpeed": 36,
    "laneId": 1,
    "location": {"type": "LineString", "coordinates": [[106.6, 11.0], [106.7, 11.05], [106.8, 11.1]]},
}
ALERT: dict[str, Any] = {
    "id": "urn:ngsi-ld:Alert:cap-nuoc-7",
    "type": "Alert",
    "category": "traffic",
    "subCategory": "roadWorks",
    "severity": "informational",
    "dateIssued": "2026-11-22T09:30:00Z",
    "validTo": "2026-11-23T09:30:00Z",
    "description": "Đào đường lắp ống nước",
    "address": {"streetAddress": "Yersin"},
    "location": {"type": "Point", "coordinates": [106.65, 10.98]},
}
ACCIDENT: dict[str, Any] = {
    "id": "urn:ngsi-ld:RoadAccident:61-0007",
    "type": ["https://uri.fiware.org/ns/data-models#RoadAccident"],
    "status": {"type": "Property", "value": "solved"},
    "accidentDate": {"type": "Property", "value": "2026-11-22T09:10:00Z"},
    "modifiedAt": "2026-11-22T09:50:00Z",
    "totalInjured": {"type": "Property", "value": 2},
    "description": {"type": "LanguageProperty", "languageMap": {"en": "Collision", "vi": "Va chạm"}},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [106.65, 10.98]}},
}

WORK: dict[str, Any] = {
    "id": "urn:ngsi-ld:CityWork:CT-2026-17",
    "type": "CityWork",
    "workNumber": "CT-2026-17",
    "workState": "open",
    "startDate": "2026-11-20T00:00:00Z",
    "endDate": "2026-12-20T00:00:00Z",
    "dateLastReported": "2026-11-22T08:00:00Z",
    "description": "Cải tạo thoát nước",
    "address": {"streetAddress": "Đại lộ Bình Dương"},
    "location": {"type": "Point", "coordinates": [106.66, 10.99]},
}
VIOLATION: dict[str, Any] = {
    "id": "urn:ngsi-ld:TrafficViolation:61-0042",
    "type": "TrafficViolation",
    "observationDateTime": {
        "type": "Property",
        "value": {"@type": "DateTime", "@value": "2026-11-22T16:40:00+07:00"},
    },
    "titleCode": {"type": "Property", "value": "11"},
    "equipmentId": {"type": "Property", "value": "4"},
    "paymentStatus": {"type": "Property", "value": "Unpaid"},
    "mediaURL": {"type": "Property", "value": "https://cameras.example/4/0042.jpg"},
}
_UNREAD: dict[str, Any] = {
    "id": "urn:ngsi-ld:AnprFlowObserved:cong-3",
    "type": "AnprFlowObserved",
    "dateObserved": "2026-11-22T09:59:00Z",
    "vehiclePlateNotRead": True,
    "observedVehicle": {"direction": "away", "speed": 41, "color": {"name": "white", "confidence": 0.9}},
}


def _sample(name: str, value: Any, kind: str = "NGSI-LD", **more: Any) -> Sample:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Sample(format=kind, name=name, decoder="ngsi", body=body, content_type=LD, **more)


_REAL = (
    "Alert",
    "Anomaly",
    "AnprFlowObserved",
    "CrowdFlowObserved",
    "ItemFlowObserved",
    "RoadAccident",
    "TrafficFlowObserved",
    "TrafficViolation",
)

SAMPLES = [
    _sample("flow, normalised", FLOW),
    _sample(
        "notification of a flow and an alert",
        {"type": "Notification", "data": [FLOW_PLAIN, ALERT]},
        messages=2,
    ),
    _sample("accident that is over, expanded type", ACCIDENT),
    _sample("works in the street", WORK),
    _sample("violation of a rule of the road", VIOLATION),
    _sample("vehicle whose plate was not read", _UNREAD),
    _sample("flow, normalised", {"subscriptionId": "s", "data": [FLOW_V2]}, "NGSIv2 notification"),
    _sample("flow, key-values", {"subscriptionId": "s", "data": [FLOW_PLAIN]}, "NGSIv2 notification"),
    *(
        Sample(
            format=f"NGSI-LD, {model}",
            name=form,
            decoder="ngsi",
            path=f"ngsi-ld/{model}/{file}",
            content_type=LD,
            time_zone="UTC",
        )
        for model in _REAL
        for form, file in (
            ("key-values", "example.jsonld"),
            ("normalised", "example-normalized.jsonld"),
            ("NGSIv2 normalised", "example-normalized.json"),
        )
    ),
    *(
        Sample(
            format=f"NGSI-LD, {model}",
            name="GeoJSON",
            decoder="ngsi",
            path=f"ngsi-ld/{model}/example-geojsonfeature.json",
            content_type="application/geo+json",
            time_zone="UTC",
        )
        for model in ("Alert", "RoadAccident")
    ),
]
