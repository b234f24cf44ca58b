"""Dahua: event stream, its JSON forms, and ITSAPI."""

import json
from typing import Any

from tests.conformance import Sample

_STREAM, _JSON, _ITSAPI = "Dahua event stream", "Dahua events, JSON", "Dahua ITSAPI"

CROSSING: dict[str, Any] = {
    "Class": "Normal",
    "CountInGroup": 1,
    "DetectLine": [[5529, 4888], [2560, 4256]],
    "Direction": "LeftToRight",
    "EventSeq": 21,
    "GroupID": 21,
    "LocaleTime": "2026-11-22 16:59:58",
    "Name": "Rule1",
    "Object": {
        "Action": "Appear",
        "BoundingBox": [4136, 1664, 5496, 7424],
        "Confidence": 0,
        "ObjectID": 2627,
        "ObjectType": "Human",
    },
    "RuleId": 1,
    "UTC": 1795341598,
    "UTCMS": 172,
}
PASSAGE: dict[str, Any] = {
    "Class": "Traffic",
    "CountInGroup": 1,
    "EventID": 516,
    "GroupID": 175706653,
    "JunctionDirection": "Obverse",
    "Lane": 2,
    "LocaleTime": "2026-11-22 16:59:55",
    "Name": "TrafficTollGate0",
    "Object": {"Confidence": 94, "ObjectID": 5995, "ObjectType": "Plate", "Text": "61A12345"},
    "RealUTC": 1795341595,
    "Speed": 0,
    "TrafficCar": {
        "DrivingDirection": ["Approach", "", ""],
        "Lane": 2,
        "PlateColor": "White",
        "PlateNumber": "61A12345",
        "PlateType": "Unknown",
        "Speed": 57,
        "VehicleColor": "Blue",
        "VehicleSize": "Light-duty",
    },
    "UTC": 1795366795,
    "UTCMS": 305,
    "Vehicle": {"Category": "SaloonCar", "Confidence": 160, "ObjectType": "Vehicle", "Text": "Toyota"},
}
PUSH: dict[str, Any] = {
    "Picture": {
        "CutoutPic": {"Content": "/9j/4AAQSkZJRgABAQ==", "PicName": "cut.jpg"},
        "NormalPic": {"Content": "/9j/4AAQSkZJRgABAQ==" * 50, "PicName": "20261122165958.jpg"},
        "Plate": {
            "BoundingBox": [1, 2, 3, 4],
            "Channel": 0,
            "Confidence": 92,
            "IsExist": True,
            "PlateColor": "White",
            "PlateNumber": "61A12345",
            "PlateType": "Normal",
            "Region": "VNM",
            "UploadNum": 1,
        },
        "SnapInfo": {
            "AccurateTime": "2026-11-22 16:59:58.123",
            "AllowUser": False,
            "DeviceID": "8M049B2PAJF3085",
            "Direction": "Reverse",
            "LanNo": 1,
            "SnapTime": "2026-11-22 16:59:58",
        },
        "Vehicle": {
            "VehicleBoundingBox": [1, 2, 3, 4],
            "VehicleColor": "White",
            "VehicleSeries": "Vios",
            "VehicleSign": "Toyota",
            "VehicleType": "SaloonCar",
        },
    }
}
_RIDER = {"Category": "Motorcycle", "Color": "Red", "Plate": {"Text": "61X1-23456", "Confidence": 88}}
_WEIGHED = {"CarWeightInfo": {"TotalWeight": 30_500, "OverWeight": 500, "AxleNum": 3}}
_FLOWS = {"FlowStates": [{"Lane": 0, "Flow": 50}, {"Lane": 1, "Flow": 12}], "UTC": 1795341598}
_FLAT = b"""Events[0].CountInGroup=1
Events[0].EventBaseInfo.Action=Pulse
Events[0].EventBaseInfo.Code=TrafficJunction
Events[0].EventBaseInfo.Index=0
Events[0].GroupID=77
Events[0].Lane=1
Events[0].RealUTC=1795341595
Events[0].TrafficCar.PlateNumber=61A12345
Events[0].TrafficCar.Speed=41
Events[0].Vehicle.Category=Motorcycle"""


def record(code: str, action: str, data: dict[str, Any] | None = None, index: int = 0) -> bytes:
    """Return an event as the stream writes it."""
    text = f"Code={code};action={action};index={index}"
    return (text if data is None else f"{text};data={json.dumps(data, indent=3)}").encode()


def stream(*records: bytes) -> bytes:
    """Return records in multipart with the boundary `myboundary`, which a stream never ends."""
    return b"".join(
        b"--myboundary\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
        % (len(each), each)
        for each in records
    )


def _sample(name: str, body: bytes, content_type: str = "text/plain", format: str = _STREAM) -> Sample:
    return Sample(
        format=format,
        name=name,
        decoder="dahua",
        body=body,
        content_type=content_type,
        time_zone="Asia/Ho_Chi_Minh",
    )


SAMPLES = [
    _sample("motion", record("VideoMotion", "Start")),
    _sample("line crossing", record("CrossLineDetection", "Start", CROSSING)),
    _sample(
        "region has been left", record("CrossRegionDetection", "Stop", {**CROSSING, "ActionType": "Leave"})
    ),
    _sample("camera is covered", record("VideoBlind", "Start")),
    _sample("second alarm input", record("AlarmLocal", "Start", index=1)),
    _sample(
        "parts without an empty line",
        b"--myboundary\r\nHeartbeat\r\n--myboundary\r\nContent-Type: text/plain\r\nContent-Length:39\r\n"
        b"Code=AudioMutation;action=Start;index=0\r\n",
        "multipart/x-mixed-replace; boundary=myboundary",
    ),
    _sample("no video on the second channel", record("VideoLoss", "Start", index=1)),
    _sample("vehicle in the wrong lane", record("TrafficRetrograde", "Pulse", PASSAGE)),
    _sample("plate", record("TrafficJunction", "Pulse", PASSAGE)),
    _sample("motorcycle beside a car", record("TrafficJunction", "Pulse", {**PASSAGE, "NonMotor": _RIDER})),
    _sample("a lorry is weighed", record("TrafficCarMeasurement", "Pulse", {**PASSAGE, **_WEIGHED})),
    _sample("vehicles of each lane", record("TrafficFlowStat", "Start", _FLOWS)),
    _sample("jam", record("TrafficJam", "Start", {"JamRealLength": 120, "Lane": 1, "UTC": 1795341598})),
    _sample("clock is set", record("NTPAdjustTime", "Pulse", {"Address": "ntp.example", "result": True})),
    _sample(
        "people in a region",
        record(
            "NumberStat", "Pulse", {"UTC": 1795341598, "Number": 12, "EnteredNumber": 40, "ExitedNumber": 28}
        ),
    ),
    _sample(
        "three records",
        stream(b"Heartbeat", record("CrossLineDetection", "Start", CROSSING), record("VideoMotion", "Stop")),
        "multipart/x-mixed-replace; boundary=myboundary",
    ),
    _sample("picture subscription", _FLAT),
    _sample(
        "line crossing",
        json.dumps({"Action": "Pulse", "Code": "CrossLineDetection", "Index": 0, "Data": CROSSING}).encode(),
        "application/json",
        _JSON,
    ),
    _sample(
        "notification of a subscription",
        json.dumps(
            {
                "id": 3143,
                "method": "client.notifyEventStream",
                "params": {
                    "SID": 513,
                    "eventList": [
                        {"Action": "Pulse", "Code": "TrafficJunction", "Data": PASSAGE, "Index": 0}
                    ],
                },
            }
        ).encode(),
        "application/json",
        _JSON,
    ),
    _sample("plate", json.dumps(PUSH).encode(), "application/json", _ITSAPI),
    _sample("heartbeat", b'{"Active":"keepAlive","DeviceID":"8M049B2PAJF3085"}', "application/json", _ITSAPI),
]
