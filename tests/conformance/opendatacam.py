"""OpenDataCam: detection frames of Darknet, and the documents of its API."""

import json

from tests.conformance import Sample

_FRAME = b"""{"frame_id":8990,"objects":[{"class_id":2,"name":"car","relative_coordinates":{"center_x":0.5,
"center_y":0.5,"width":0.2,"height":0.4},"confidence":0.91},{"class_id":5,"name":"bus","relative_coordinates":
{"center_x":0.2,"center_y":0.3,"width":0.1,"height":0.2},"confidence":0.77}]}"""

AREA = "94afa4f8-1d24-4011-a481-ad3036e959b4"
RECORDING = {
    "_id": "5cc3400252340f451cd7397a",
    "dateStart": "2026-11-22T09:40:00.000Z",
    "dateEnd": "2026-11-22T09:55:00.000Z",
    "areas": {AREA: {"color": "yellow", "name": "Làn 1", "type": "bidirectional"}},
    "counterSummary": {AREA: {"car": 100, "motorbike": 11, "person": 4, "_total": 115}},
    "trackerSummary": {"totalItemsTracked": 566},
}
CROSSED = {"area": AREA, "name": "car", "bearing": 155, "countingDirection": "rightleft_bottomtop"}
LIVE = {
    "trackerDataForLastFrame": {
        "frameIndex": 4646,
        "data": [{"id": 5, "x": 340, "y": 237, "w": 60, "h": 45, "bearing": 103, "name": "car"}],
    },
    "counterSummary": {AREA: {"car": 43, "_total": 43}},
    "trackerSummary": {"totalItemsTracked": 222},
    "videoResolution": {"w": 1280, "h": 720},
    "appState": {"recordingStatus": {"recordingId": "5cc34002", "dateStarted": "2026-11-22T09:29:38.190Z"}},
}
_TRACKED = [
    {
        "recordingId": "5cc3400252340f451cd7397a",
        "timestamp": "2026-11-22T09:40:00.301Z",
        "objects": [{"id": 5, "x": 351, "y": 244, "w": 68, "h": 51, "bearing": 350, "name": "car"}],
    }
]


def _sample(name: str, value: object) -> Sample:
    return Sample(
        format="OpenDataCam, counters", name=name, decoder="opendatacam", body=json.dumps(value).encode()
    )


SAMPLES = [
    _sample("recordings", {"offset": 0, "limit": 1, "total": 51, "recordings": [RECORDING]}),
    _sample("counter of a recording", [{**RECORDING, "counterHistory": [[CROSSED], [CROSSED]]}]),
    _sample(
        "items that crossed", {**RECORDING, "counterSummary": {}, "counterHistory": [[CROSSED], [CROSSED]]}
    ),
    _sample("live state", LIVE),
    _sample("tracker of a recording", _TRACKED),
    Sample(format="OpenDataCam, Darknet frames", name="one frame", decoder="opendatacam", body=_FRAME),
    Sample(
        format="OpenDataCam, Darknet frames",
        name="a stretch of the stream",
        decoder="opendatacam",
        body=b", \n".join([_FRAME, _FRAME.replace(b"car", b"bus"), b""]),
    ),
    Sample(
        format="OpenDataCam, Darknet frames",
        name="437 recorded frames",
        decoder="opendatacam",
        path="camera-opendatacam/alexeydetections30FPS.json",
    ),
]
