"""Hikvision ISAPI: alerts in XML and JSON, alone and in multipart."""

import json

from tests.conformance import Sample

_XML, _JSON = "Hikvision ISAPI, XML", "Hikvision ISAPI, JSON"
_HANOI = "Asia/Ho_Chi_Minh"


def alert(event: str, more: str = "", **changes: str) -> bytes:
    """Return an alert in XML; a change to "" leaves the element out."""
    fields = {
        "ipAddress": "192.0.2.10",
        "portNo": "80",
        "protocol": "HTTP",
        "macAddress": "00:00:5e:00:53:01",
        "channelID": "1",
        "dateTime": "2026-11-22T16:59:58+07:00",
        "activePostCount": "1",
        "eventType": event,
        "eventState": "active",
        "eventDescription": f"{event} alarm",
        "channelName": "Cổng chợ Thủ Dầu Một",
        **changes,
    }
    body = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items() if value)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="2.0" '
        f'xmlns="http://www.isapi.org/ver20/XMLSchema">{body}{more}</EventNotificationAlert>'
    ).encode()


def region(number: int, target: str) -> str:
    """Return one region of an alert."""
    return f"""<DetectionRegionList><DetectionRegionEntry><regionID>{number}</regionID><sensitivityLevel>50
</sensitivityLevel><RegionCoordinatesList><RegionCoordinates><positionX>118</positionX><positionY>327</positionY>
</RegionCoordinates></RegionCoordinatesList><detectionTarget>{target}</detectionTarget><TargetRect><X>0.78</X>
<Y>0.41</Y><width>0.21</width><height>0.46</height></TargetRect></DetectionRegionEntry></DetectionRegionList>"""


ANPR = """<ANPR><country>0</country><licensePlate>61A12345</licensePlate><line>2</line>
<direction>forward</direction><confidenceLevel>97</confidenceLevel><plateType>unknown</plateType>
<plateColor>white</plateColor><dangmark>no</dangmark><twoWheelVehicle>no</twoWheelVehicle>
<vehicleType>truck</vehicleType><vehicleInfo><index>8050</index><color>blue</color><speed>63</speed>
<length>0</length><vehicleLogoRecog>1036</vehicleLogoRecog></vehicleInfo>
<originalLicensePlate>61A12345</originalLicensePlate><vehicleListName>otherList</vehicleListName></ANPR>
<UUID>20261122165958123AbCdEf</UUID><picNum>1</picNum><isDataRetransmission>false</isDataRetransmission>
<DeviceGPSInfo><longitudeType>E</longitudeType><latitudeType>N</latitudeType><Longitude><degree>106</degree>
<minute>39</minute><sec>9.5</sec></Longitude><Latitude><degree>10</degree><minute>58</minute><sec>50.0</sec>
</Latitude></DeviceGPSInfo>"""

_LASTING = "<DurationList><Duration><relationEvent>fielddetection</relationEvent></Duration></DurationList>"
_PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4


def multipart(*parts: tuple[str, str, bytes]) -> bytes:
    """Return parts of (field, media type, bytes) with the boundary `boundary`."""
    return (
        b"".join(
            f'--boundary\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {media}\r\n'
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
            + b"\r\n"
            for name, media, body in parts
        )
        + b"--boundary--\r\n"
    )


JSON_ALERT = {
    "ipAddress": "192.0.2.10",
    "channelID": 1,
    "dateTime": "2026-11-22T16:59:58+07:00",
    "activePostCount": 1,
    "eventType": "fielddetection",
    "eventState": "active",
    "eventDescription": "fielddetection alarm",
    "channelName": "Cổng chợ",
    "DetectionRegionList": [{"DetectionRegionEntry": {"regionID": 2, "detectionTarget": "vehicle"}}],
}
_JSON_PLATE = {
    **JSON_ALERT,
    "eventType": "ANPR",
    "ANPR": {"licensePlate": "61A12345", "confidenceLevel": 97, "line": 2, "vehicleType": "truck"},
}
_CAPTURED = {
    **JSON_ALERT,
    "eventType": "mixedTargetDetection",
    "CaptureResult": [
        {
            "targetID": 1,
            "Vehicle": {
                "Property": [
                    {"description": "plateNo", "value": "61A12345"},
                    {"description": "vehicleType", "value": "SUVMPV"},
                ]
            },
        },
        {"targetID": 2, "Human": {"Rect": {"x": 0.1, "y": 0.2, "width": 0.1, "height": 0.4}}},
    ],
}
_IN_VIEW = {
    **JSON_ALERT,
    "eventType": "framesPeopleCounting",
    "FramesPeopleCounting": [{"regionID": 1, "framesPeopleCountingNum": 5}, {"regionID": 2, "peopleNum": 7}],
}
_COUNTING = """<peopleCounting><statisticalMethods>timeRange</statisticalMethods><TimeRange>
<startTime>2026-11-22T16:45:00+07:00</startTime><endTime>2026-11-22T16:59:00+07:00</endTime></TimeRange>
<enter>22</enter><exit>9</exit><pass>3</pass><regionsID>1</regionsID></peopleCounting>
<childCounting><enter>1</enter><exit>0</exit></childCounting>"""
_TARGETS = """<ruleID>1</ruleID><statisticalMethod>realTime</statisticalMethod><CountingList><DataList>
<statisticalDirection>forward</statisticalDirection><humanCount>114</humanCount><nonMotorCount>18</nonMotorCount>
<vehicleCount>398</vehicleCount></DataList><DataList><statisticalDirection>back</statisticalDirection>
<humanCount>93</humanCount><nonMotorCount>12</nonMotorCount><vehicleCount>353</vehicleCount></DataList>
</CountingList>"""


def _sample(name: str, body: bytes, content_type: str = "application/xml", format: str = _XML) -> Sample:
    return Sample(
        format=format,
        name=name,
        decoder="hikvision",
        body=body,
        content_type=content_type,
        time_zone=_HANOI,
    )


SAMPLES = [
    Sample(
        format=_XML,
        name="plate",
        decoder="hikvision",
        path="camera-hikvision-anpr/anpr.xml",
        content_type="application/xml",
    ),
    _sample("plate, speed and GPS", alert("ANPR", ANPR)),
    _sample("motion", alert("VMD", "<targetType>human</targetType>")),
    _sample("line crossing", alert("linedetection", region(1, "human"))),
    _sample("intrusion", alert("fielddetection", region(2, "vehicle"))),
    _sample("loitering has ended", alert("loitering", region(1, "human"), eventState="inactive")),
    _sample("crowd", alert("group", region(1, "human"))),
    _sample("camera is covered", alert("shelteralarm")),
    _sample("fire", alert("fireDetection")),
    _sample("illegal parking", alert("parking", region(3, "vehicle"))),
    _sample("wrong direction", alert("wrongDirection", region(1, "vehicle"))),
    _sample("alarm input of a recorder", alert("IO", "<inputIOPortID>4</inputIOPortID>", dynChannelID="3")),
    _sample("intrusion goes on", alert("duration", _LASTING)),
    _sample("no video", alert("videoloss")),
    _sample("heartbeat", alert("videoloss", eventState="inactive", activePostCount="0")),
    _sample("people through a line", alert("PeopleCounting", _COUNTING)),
    _sample("targets through a region", alert("regionTargetNumberCounting", _TARGETS)),
    _sample(
        "plate beside its picture",
        multipart(
            ("anpr.xml", "text/xml", alert("ANPR", ANPR)), ("vehiclePicture.jpg", "image/jpeg", _PICTURE)
        ),
        'multipart/form-data; boundary="boundary"',
        "Hikvision ISAPI, multipart",
    ),
    _sample(
        "alert stream",
        multipart(
            ("", "application/xml", alert("VMD")),
            ("", "application/json", json.dumps(JSON_ALERT).encode()),
            ("", "application/xml", alert("videoloss", eventState="inactive")),
        ),
        "multipart/mixed; boundary=boundary",
        "Hikvision ISAPI, multipart",
    ),
    _sample("intrusion", json.dumps(JSON_ALERT).encode(), "application/json", _JSON),
    _sample("plate", json.dumps(_JSON_PLATE).encode(), "application/json", _JSON),
    _sample("captured targets", json.dumps(_CAPTURED).encode(), "application/json", _JSON),
    _sample("people in view of two regions", json.dumps(_IN_VIEW).encode(), "application/json", _JSON),
]
