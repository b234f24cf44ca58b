"""Cameras that speak ONVIF, Axis' own JSON or through Frigate; bodies of ours from the specifications."""

import json
from typing import Any

from tests.conformance import Sample

EJ = "ONVIF Profile M, events as JSON over MQTT"
MJ = "ONVIF Profile M, metadata as JSON over MQTT"
XML = "ONVIF metadata stream and notifications, XML"
AXIS = "Axis, events as JSON"
SCENE = "Axis, scene metadata as JSON"
FRIGATE = "Frigate, MQTT topics"
TIME = "2026-11-22T09:59:50.120Z"


def ej(name: str, topic: str, source: dict[str, Any], data: dict[str, Any], **more: Any) -> Sample:
    body = json.dumps({"UtcTime": TIME, "Source": source, "Data": data, **more}).encode()
    return Sample(format=EJ, name=name, decoder="onvif", topic=f"onvif-ej/{topic}", body=body)


def items(group: str, values: dict[str, str]) -> str:
    simple = "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in values.items())
    return f"<tt:{group}>{simple}</tt:{group}>"


def notification(topic: str, source: dict[str, str], data: dict[str, str], operation: str = "Changed") -> str:
    return f"""<wsnt:NotificationMessage><wsnt:Topic
 Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">{topic}</wsnt:Topic><wsnt:Message>
<tt:Message UtcTime="{TIME}" PropertyOperation="{operation}">{items("Source", source)}<tt:Key/>
{items("Data", data)}</tt:Message></wsnt:Message></wsnt:NotificationMessage>"""


def stream(inside: str) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"
 xmlns:tns1="http://www.onvif.org/ver10/topics" xmlns:tnsaxis="http://www.axis.com/2009/event/topics"
>{inside}</tt:MetadataStream>""".encode()


def event(topic: str, source: dict[str, str], data: dict[str, str], operation: str = "Changed") -> bytes:
    return stream(f"<tt:Event>{notification(topic, source, data, operation)}</tt:Event>")


def pulled(*notifications: str) -> bytes:
    return f"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:tev="http://www.onvif.org/ver10/events/wsdl" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"
 xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tns1="http://www.onvif.org/ver10/topics"><s:Body>
<tev:PullMessagesResponse><tev:CurrentTime>{TIME}</tev:CurrentTime><tev:TerminationTime>{TIME}</tev:TerminationTime>
{"".join(notifications)}</tev:PullMessagesResponse></s:Body></s:Envelope>""".encode()


FRAME = """<tt:VideoAnalytics><tt:Frame UtcTime="2026-11-22T09:59:50.120Z" Source="Tracker">
<tt:Transformation>
<tt:Translate x="-1.0" y="-1.0"/><tt:Scale x="0.003125" y="0.00416667"/></tt:Transformation>
<tt:Object ObjectId="12"><tt:Appearance><tt:Shape>
<tt:BoundingBox left="20.0" top="180.0" right="100.0" bottom="30.0"/>
<tt:CenterOfGravity x="60" y="80"/></tt:Shape>
<tt:Class><tt:Type Likelihood="0.9">Vehicle</tt:Type><tt:Type Likelihood="0.3">Human</tt:Type></tt:Class>
<tt:VehicleInfo><tt:Type Likelihood="0.8">Truck</tt:Type><tt:Brand>Isuzu</tt:Brand></tt:VehicleInfo>
<tt:LicensePlateInfo><tt:PlateNumber Likelihood="0.93">61C-123.45</tt:PlateNumber>
<tt:CountryCode>VN</tt:CountryCode></tt:LicensePlateInfo></tt:Appearance>
<tt:Behaviour><tt:Speed>12.5</tt:Speed></tt:Behaviour></tt:Object>
<tt:Object ObjectId="15"><tt:Appearance><tt:Class><tt:ClassCandidate><tt:Type>Human</tt:Type>
<tt:Likelihood>0.7</tt:Likelihood></tt:ClassCandidate></tt:Class></tt:Appearance></tt:Object>
</tt:Frame></tt:VideoAnalytics>"""
FRAME_JSON = b"""{"Frame":[{"@UtcTime":"2026-11-22T09:59:50.120","@Source":"MyClassifier","Transformation":{
"Translate":{"@x":-1.0,"@y":-1.0},"Scale":{"@x":0.003125,"@y":0.00416667}},"Object":[{"@ObjectId":15,
"Appearance":{"Shape":{"BoundingBox":{"@left":20.0,"@top":80.0,"@right":100.0,"@bottom":30.0},
"CenterOfGravity":{"@x":60.0,"@y":50.0}},"Class":{"Type":[{"@Likelihood":0.8,"#text":"Human"}]}}}]}]}"""
RULE = {"VideoSource": "1", "AnalyticsConfiguration": "2", "Rule": "cong-truong"}
PLATE = {
    "Likelihood": "0.92",
    "LicensePlateInfo": {
        "LicensePlateInfo": {
            "PlateNumber": {"@Likelihood": 0.92, "#text": "61A-678.90"},
            "CountryCode": {"#text": "VN"},
        }
    },
    "VehicleInfo": {"VehicleInfo": {"Type": {"@Likelihood": 1, "#text": "Car"}}},
    "Speed": 11.1,
}
OBJECT = {
    "Object": {
        "Object": {
            "@ObjectId": 8001,
            "Appearance": {"Class": {"Type": {"@Likelihood": 0.77, "#text": "Bicycle"}}},
        }
    }
}
ONVIF = [
    ej("line crossing", "RuleEngine/LineDetector/Crossed/&1/2/cong-truong", RULE, {"ObjectId": "15"}),
    ej("line crossing with its object", "RuleEngine/LineDetector/Crossed/&1/line-1", RULE, OBJECT),
    ej(
        "field detection",
        "RuleEngine/FieldDetector/ObjectsInside/&1/2/f",
        RULE,
        {"IsInside": True, "ObjectId": 5},
    ),
    ej(
        "loitering",
        "RuleEngine/LoiteringDetector/ObjectIsLoitering/&1",
        RULE,
        {"ObjectId": "7", "Since": TIME},
    ),
    ej("motion", "VideoSource/MotionAlarm/&1", {"Source": "1"}, {"State": "true"}),
    ej(
        "counter",
        "RuleEngine/CountAggregation/Counter/&1/Vao",
        {"VideoSource": "1", "Rule": "Vao"},
        {"Count": "41"},
    ),
    ej("occupancy", "RuleEngine/CountAggregation/OccupancyCounter/&1", RULE, {"Count": 7}),
    ej("licence plate", "RuleEngine/Recognition/LicensePlate/&1/LPR-1", RULE, PLATE),
    ej("scene change", "VideoSource/GlobalSceneChange/AnalyticsService/&1", {"Source": "1"}, {"State": True}),
    ej("signal loss", "VideoSource/SignalLoss/&1", {"Source": "1"}, {"State": "true"}),
    ej(
        "digital input", "Device/Trigger/DigitalInput/&in-1", {"InputToken": "in-1"}, {"LogicalState": "true"}
    ),
    ej("fire of a vendor", "RuleEngine/acme:FireDetector/Fire/&1", RULE, {"State": "true", "Score": "87"}),
    ej(
        "line crossing of WiseAI",
        "OpenApp/WiseAI/LineCrossing/&vs-0/bike",
        {"VideoSourceToken": "vs-0", "RuleName": "bike"},
        {"State": "true", "ObjectId": "2080", "Action": "Right"},
    ),
    ej("unknown topic", "acme:Something/Else", {"Token": "a"}, {"Value": 3.5}),
    Sample(
        format=MJ,
        name="frame",
        decoder="onvif",
        topic="onvif-mj/VideoAnalytics/1/MyClassifier",
        body=FRAME_JSON,
    ),
    Sample(
        format=MJ,
        name="sensor",
        decoder="onvif",
        topic="onvif-mj/SensorData/Temperature",
        body=b'{"SensorData":{"@UtcTime":"2026-11-22T09:59:50Z","@SensorID":"t1","Type":"Temperature","Value":41.5}}',
    ),
    Sample(format=XML, name="frame with a plate", decoder="onvif", body=stream(FRAME)),
    Sample(
        format=XML,
        name="motion",
        decoder="onvif",
        content_type="application/xml",
        body=event("tns1:RuleEngine/CellMotionDetector/Motion", {"Rule": "o-1"}, {"IsMotion": "true"}),
    ),
    Sample(
        format=XML,
        name="two answers of PullMessages",
        decoder="onvif",
        content_type="application/soap+xml; charset=utf-8",
        body=pulled(
            notification("tns1:RuleEngine/TamperDetector/Tamper", {"Rule": "t"}, {"IsTamper": "true"}),
            notification("tns1:RuleEngine/FieldDetector/ObjectsInside", {"Rule": "f"}, {"IsInside": "false"}),
        ),
    ),
    Sample(
        format=XML,
        name="an object that is gone",
        decoder="onvif",
        body=event("tns1:RuleEngine/LoiteringDetector/ObjectIsLoitering", {"Rule": "l"}, {}, "Deleted"),
    ),
    *(
        Sample(
            format=EJ,
            name=f"example {number} of the specification",
            decoder="onvif",
            topic=topic,
            path=f"camera-onvif/mqtt-json/{number}.json",
        )
        for number, topic in enumerate(
            [
                "onvif-ej/RuleEngine/LineDetector/Crossed/&1/2/MyImportantFence1",
                "onvif-ej/Device/Sensor/Temperature/High",
                "onvif-ej/Device/Sensor/RelativeHumidity/High",
                "onvif-ej/Device/Sensor/AbsoluteHumidity/High",
            ]
        )
    ),
    *(
        Sample(format=XML, name=name, decoder="onvif", path=f"camera-onvif/{path}.xml.txt")
        for name, path in (
            ("objects and plates, a fragment", "analytics-xml/03"),
            ("cell motion", "analytics-xml/09"),
            ("plate, a fragment", "analytics-xml/14"),
            ("PullMessages", "core-event-xml/05"),
        )
    ),
]
_AXIS_PLATE = {
    "text": "61A67890",
    "country": "VNM",
    "carState": "new",
    "carID": "1139066",
    "carMoveDirection": "in",
}
_AXIS_COUNT = {
    "scenarioType": "crosslinecounting",
    "total": "12",
    "totalHuman": "3",
    "totalCar": "8",
    "totalBus": "1",
}
_AXIS_AREA = {"scenario": "Via he", "total": "9", "human": "2", "car": "6", "bus": "1", "truck": "0"}
_AXIS_PUSH = b"""{"packetCounter":"118","capture_timestamp":"1795255190230","plateUTF8":"61A67890",
"plateConfidence":"0.71","plateCountry":"VNM","carState":"new","carMoveDirection":"in","roiID":"2","carID":"1144"}"""


def axis(name: str, topic: str, data: dict[str, str], **source: str) -> Sample:
    message = {"source": source, "key": {}, "data": data}
    body = json.dumps(
        {"timestamp": 1795255190230, "topic": topic, "serial": "ACCC8E000001", "message": message}
    )
    return Sample(format=AXIS, name=name, decoder="axis", body=body.encode())


_SCENE = b"""{"frame":{"timestamp":"2026-11-22T09:59:50.120Z","operations":[],"observations":[{"bounding_box":
{"left":0.1,"top":0.2,"right":0.3,"bottom":0.6},"class":{"type":"Human","score":0.83},"timestamp":
"2026-11-22T09:59:50.120Z","track_id":"133"},{"bounding_box":{"left":0.5,"top":0.5,"right":0.6,"bottom":0.7},
"class":{"type":"Car","score":0.61,"colors":[{"name":"White","score":0.5}]},"track_id":"134"}]}}"""
_DETECTIONS = b"""{"channel_id":1,"timestamp":"2026-11-22T09:59:50.120Z","detections":[{"bounding_box":
{"left":0.1,"top":0.2,"right":0.3,"bottom":0.6},"class":{"type":"Bike","score":0.7},"object_track_id":"8e65-11"}]}"""
_TRACK = b"""{"channel_id":1,"classes":[{"type":"Truck","score":0.48,"colors":[{"name":"blue","score":0.7}]},
{"type":"Car","score":0.4}],"duration":2.5,"start_time":"2026-11-22T09:59:47.62Z","end_time":
"2026-11-22T09:59:50.120Z","id":"2543-61","path":[{"bounding_box":{"left":0.9,"top":0.5,"right":0.95,"bottom":0.6},
"timestamp":"2026-11-22T09:59:50.120Z"}]}"""
AXIS_SAMPLES = [
    axis("PIR", "onvif:Device/axis:Sensor/PIR", {"state": "1"}, sensor="0"),
    axis("video motion detection", "axis:CameraApplicationPlatform/VMD/Camera1Profile1", {"active": "1"}),
    axis("fence guard", "axis:CameraApplicationPlatform/FenceGuard/Camera1Profile1", {"active": "1"}),
    axis("loitering guard", "axis:CameraApplicationPlatform/LoiteringGuard/Camera1Profile1", {"active": "1"}),
    axis(
        "object analytics",
        "axis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario1",
        {"classTypes": "human", "active": "1", "objectId": "234232"},
    ),
    axis("counting", "axis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario2", _AXIS_COUNT),
    axis("people in an area", "axis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario3", _AXIS_AREA),
    axis("licence plate", "axis:CameraApplicationPlatform/ALPV.AllPlates", _AXIS_PLATE),
    Sample(format=AXIS, name="push of the plate reader", decoder="axis", body=_AXIS_PUSH),
    Sample(format=SCENE, name="two objects", decoder="axis", body=_SCENE),
    Sample(format=SCENE, name="frame, newer format", decoder="axis", body=_DETECTIONS),
    Sample(format=SCENE, name="track that has ended", decoder="axis", body=_TRACK),
    *(
        Sample(format=AXIS, name=name, decoder="axis", path=f"camera-axis/mqtt/{number}.json")
        for number, name in enumerate(("PIR, recorded", "object analytics, recorded"))
    ),
    *(
        Sample(
            format=XML, name=f"{name}, Axis", decoder="axis", path=f"camera-axis/onvif-metadata/{file}.xml"
        )
        for name, file in (
            ("fence guard", "FENCE_GUARD_INIT"),
            ("object analytics", "OBJECT_ANALYTICS_ANY_CHANGE"),
            ("PIR", "PIR_CHANGE"),
            ("motion", "VMD4_C1P1_CHANGE"),
            ("beginning of a stream", "FIRST_MESSAGE"),
            ("description of topics, no event", "EVENT_INSTANCES"),
        )
    ),
]
_TRACKED = {
    "id": "1795255180.475377-mxklsc",
    "camera": "nga-tu",
    "frame_time": 1795255190.082975,
    "label": "car",
    "sub_label": None,
    "top_score": 0.958984375,
    "false_positive": False,
    "start_time": 1795255180.475377,
    "end_time": None,
    "score": 0.87890625,
    "box": [128, 72, 256, 216],
    "area": 18432,
    "current_zones": ["lan-trai"],
    "entered_zones": ["lan-trai"],
    "stationary": False,
    "active": True,
    "attributes": {"license_plate": 0.86},
    "current_estimated_speed": 38.5,
    "recognized_license_plate": "61A67890",
    "recognized_license_plate_score": 0.93,
}
_REVIEW = {
    "id": "1795255180.308396-fqk5ka",
    "camera": "nga-tu",
    "start_time": 1795255180.3,
    "end_time": 1795255190.3,
    "severity": "alert",
    "thumb_path": "/media/frigate/clips/review/thumb.webp",
    "data": {"detections": ["a"], "objects": ["person"], "sub_labels": [], "zones": ["via-he"], "audio": []},
}


def frigate(name: str, topic: str, body: bytes | dict[str, Any]) -> Sample:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = {"frame": "1280x720"}
    return Sample(format=FRIGATE, name=name, decoder="frigate", topic=topic, body=content, options=options)


FRIGATE_SAMPLES = [
    frigate(
        "tracked object",
        "events",
        {"type": "new", "before": {**_TRACKED, "recognized_license_plate": None}, "after": _TRACKED},
    ),
    frigate("review", "reviews", {"type": "end", "before": _REVIEW, "after": _REVIEW}),
    frigate(
        "review, described after its end", "reviews", {"type": "genai", "before": _REVIEW, "after": _REVIEW}
    ),
    frigate(
        "plate",
        "tracked_object_update",
        {"type": "lpr", "id": "1.2-a", "name": None, "plate": "61A67890", "score": 0.95, "camera": "nga-tu",
         "timestamp": 1795255190.7},
    ),
    frigate("server stopped", "available", b"stopped"),
    frigate("camera offline", "nga-tu/status/detect", b"offline"),
    frigate("people in view", "nga-tu/person", b"3"),
    frigate("motion", "nga-tu/motion", b"ON"),
    frigate("fire alarm heard", "nga-tu/audio/fire_alarm", b"ON"),
    frigate(
        "statistics",
        "stats",
        {
            "cameras": {"nga-tu": {"camera_fps": 5.1}, "cho": {"camera_fps": 0.0}},
            "service": {"last_updated": 1795255190},
        },
    ),
    *(
        Sample(format=FRIGATE, name=name, decoder="frigate", topic=topic, path=f"camera-frigate/{file}.json")
        for name, topic, file in (
            ("tracked object", "frigate/events", "events"),
            ("review", "frigate/reviews", "reviews"),
            ("trigger", "frigate/triggers", "triggers"),
            ("attribute", "frigate/tracked_object_update", "tracked_object_update-classification-attribute"),
            ("sub-label", "frigate/tracked_object_update", "tracked_object_update-classification-sub_label"),
            ("description", "frigate/tracked_object_update", "tracked_object_update-description"),
            ("face", "frigate/tracked_object_update", "tracked_object_update-face"),
            ("plate", "frigate/tracked_object_update", "tracked_object_update-lpr"),
        )
    ),
]  # fmt: skip
SAMPLES = [*ONVIF, *AXIS_SAMPLES, *FRIGATE_SAMPLES]
