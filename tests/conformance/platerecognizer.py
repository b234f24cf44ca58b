"""Plate Recognizer: webhooks of Stream and Snapshot, and ParkPow's alerts."""

import json
from typing import Any
from urllib.parse import quote_plus

from tests.conformance import Sample

_STREAM, _SNAPSHOT = "Plate Recognizer Stream", "Plate Recognizer Snapshot"

RESULT: dict[str, Any] = {
    "box": {"xmin": 412, "ymin": 270, "xmax": 500, "ymax": 305},
    "candidates": [{"plate": "61a12345", "score": 0.902}],
    "color": [{"color": "red", "score": 0.699}, {"color": "black", "score": 0.134}],
    "direction": 210,
    "dscore": 0.757,
    "model_make": [{"make": "Toyota", "model": "Vios", "score": 0.43}],
    "orientation": [{"orientation": "Rear", "score": 0.883}],
    "plate": "61a12345",
    "position_sec": 23.47,
    "region": {"code": "vn", "score": 0.9},
    "score": 0.902,
    "speed": 41.5,
    "speed_score": 0.9,
    "vehicle": {"score": 0.709, "type": "Sedan", "box": {"xmin": 155, "ymin": 71, "xmax": 590, "ymax": 373}},
}
RESULT_OF_PARTS: dict[str, Any] = {
    "plate": {
        "type": "Plate",
        "score": 0.91,
        "box": {"xmin": 412, "ymin": 270, "xmax": 500, "ymax": 305},
        "props": {
            "plate": [{"value": "61a12345", "score": 0.88}],
            "region": [{"value": "vn", "score": 0.8}],
        },
    },
    "vehicle": {
        "type": "SUV",
        "score": 0.8,
        "props": {
            "make_model": [{"make": "Ford", "model": "Everest", "score": 0.5}],
            "color": [{"value": "white", "score": 0.7}],
            "orientation": [{"value": "Front", "score": 0.9}],
        },
    },
    "direction": 12,
}
HOOK: dict[str, Any] = {
    "hook": {"target": "http://192.0.2.1:8001/", "id": "camera-1", "event": "recognition"},
    "data": {
        "camera_id": "camera-1",
        "filename": "camera-1_screenshots/image.jpg",
        "timestamp": "2026-11-22T09:59:58.000000+00:00",
        "timestamp_local": "2026-11-22 16:59:58+07:00",
        "results": [RESULT],
    },
}
ANSWER: dict[str, Any] = {
    "processing_time": 84.1,
    "results": [RESULT, {**RESULT, "plate": "61c99999", "box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}}],
    "filename": "1617_4lsEn.jpg",
    "version": 1,
    "camera_id": None,
    "timestamp": "2026-11-22T09:59:58.574008Z",
}
ALERT: dict[str, Any] = {
    "alert_name": "Blacklist",
    "license_plate": "61A12345",
    "camera": "camera-2",
    "site": "Bến xe",
    "confidence": 0.88,
    "time": "2026-11-22T09:59:58Z",
    "vehicle_type": "Sedan",
}
_STATUS = {
    "hook": {"id": "camera-1", "event": "camera_status"},
    "data": {"camera_id": "camera-1", "status": "offline"},
}
_FORM = "multipart/form-data; boundary=----form7MA4YWxk"


def form(value: object) -> bytes:
    """Return `value` in the form's field `json`, beside a picture."""
    return (
        b'------form7MA4YWxk\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
        + json.dumps(value).encode()
        + b'\r\n------form7MA4YWxk\r\nContent-Disposition: form-data; name="upload"; filename="image.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xe0"
        + bytes(range(256))
        + b"\r\n------form7MA4YWxk--\r\n"
    )


def _sample(name: str, body: bytes, content_type: str = "application/json", format: str = _STREAM) -> Sample:
    return Sample(format=format, name=name, decoder="platerecognizer", body=body, content_type=content_type)


SAMPLES = [
    Sample(
        format=_STREAM,
        name="webhook",
        decoder="platerecognizer",
        path="camera-platerecognizer/stream-webhook.json",
        content_type="application/json",
    ),
    _sample("webhook", json.dumps(HOOK).encode()),
    _sample("webhook with its picture", form(HOOK), _FORM),
    _sample("webhook as a plain form", b"json=" + quote_plus(json.dumps(HOOK)).encode(), "text/plain"),
    _sample(
        "plate and vehicle with their parts",
        json.dumps({**HOOK, "data": {**HOOK["data"], "results": [RESULT_OF_PARTS]}}).encode(),
    ),
    _sample(
        "vehicle whose plate is not read",
        json.dumps({**HOOK, "data": {**HOOK["data"], "results": [{**RESULT, "plate": None}]}}).encode(),
    ),
    _sample("camera is offline", json.dumps(_STATUS).encode()),
    _sample("two plates", json.dumps(ANSWER).encode(), format=_SNAPSHOT),
    _sample("alert", json.dumps(ALERT).encode(), format="ParkPow"),
]
