"""CloudEvents, the format of our own."""

from tests.conformance import Sample

_FLOW = b"""{"specversion":"1.0","id":"m-1","source":"det-1","type":"traffic.flow",
"time":"2026-11-22T09:59:50Z",
"lon":106.7,"lat":11.05,"data":{"speed_kmh":42.5,"occupancy":0.12,"volume_veh":9,"interval_s":10,"lane":"2",
"gap_s":1.5}}"""
_ALARM = b"""{"specversion":"1.0","id":"a-1","source":"cam-1","type":"camera.alarm",
"time":"2026-11-22T09:59:50Z",
"subject":"plate:61A","data":{"kind":"wrong_way","confidence":0.93,"active":true,"zone":"n\xc3\xbat giao"}}"""
_SITUATION = b"""{"specversion":"1.0","id":"s-1","source":"vov","type":"traffic.situation",
"time":"2026-11-22T09:59:50Z","lon":106.7,"lat":11.05,"data":{"situation_id":"w-7","kind":"road_works",
"severity":"medium","text":"S\xe1\xbb\xada \xc4\x91\xc6\xb0\xe1\xbb\x9dng","road":"QL13","version":"2"}}"""

SAMPLES = [
    Sample(format="CloudEvents 1.0", name="measurement", decoder="cloudevents", body=_FLOW),
    Sample(format="CloudEvents 1.0", name="alarm", decoder="cloudevents", body=_ALARM),
    Sample(format="CloudEvents 1.0", name="situation", decoder="cloudevents", body=_SITUATION),
    Sample(
        format="CloudEvents 1.0, NDJSON",
        name="good beside broken",
        decoder="cloudevents",
        body=b"\n".join([_ALARM.replace(b"\n", b""), b"{broken", _FLOW.replace(b"\n", b"")]),
        content_type="application/x-ndjson",
        messages=3,
    ),
    Sample(
        format="CloudEvents 1.0, batch",
        name="two in an array",
        decoder="cloudevents",
        body=b"[" + _FLOW + b"," + _ALARM + b"]",
        content_type="application/cloudevents-batch+json",
        messages=2,
    ),
]
