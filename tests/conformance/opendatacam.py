"""OpenDataCam: detection frames of Darknet."""

from tests.conformance import Sample

_FRAME = b"""{"frame_id":8990,"objects":[{"class_id":2,"name":"car","relative_coordinates":{"center_x":0.5,
"center_y":0.5,"width":0.2,"height":0.4},"confidence":0.91},{"class_id":5,"name":"bus","relative_coordinates":
{"center_x":0.2,"center_y":0.3,"width":0.1,"height":0.2},"confidence":0.77}]}"""

SAMPLES = [
    Sample(format="OpenDataCam, Darknet frames", name="one frame", decoder="opendatacam", body=_FRAME),
    Sample(
        format="OpenDataCam, Darknet frames",
        name="437 recorded frames",
        decoder="opendatacam",
        path="camera-opendatacam/alexeydetections30FPS.json",
    ),
]
