"""Devices: what is accepted, and what every refusal names."""

import json
from pathlib import Path

import pytest

from ioc.app.devices.description import DeviceFileError, InvalidDevice, make_device, parse_devices

ROOT = Path(__file__).parents[3]
POINT = {"type": "Point", "coordinates": [106.66, 10.97]}


def feature(geometry: object = POINT, **properties: object) -> dict[str, object]:
    values = {"id": "cam-1", "kind": "camera", "name": "Cổng"} | properties
    return {"type": "Feature", "properties": values, "geometry": geometry}


def collection(*features: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def refusal(*features: object) -> str:
    with pytest.raises(DeviceFileError) as caught:
        parse_devices(collection(*features))
    return str(caught.value)


def test_the_demo_file_is_accepted() -> None:
    assert len(parse_devices((ROOT / "demo" / "devices.geojson").read_bytes())) == 458


def test_a_device_keeps_what_its_feature_says() -> None:
    text = b"\xef\xbb\xbf" + collection(feature(expected_interval_s=15, covers=["a-*", "*"], ward=None))
    (device,) = parse_devices(text)
    assert (device.lon, device.lat, device.ward) == (106.66, 10.97, None)
    assert (device.expected_interval_s, device.covers) == (15.0, ("a-*", "*"))


@pytest.mark.parametrize(
    ("properties", "finding"),
    [
        ({"id": ""}, "id: expected 1 to 128"),
        ({"id": "x" * 129}, "id: expected 1 to 128 characters, found 129"),
        ({"id": "a\x00b"}, "id: control characters"),
        ({"id": " a"}, "id: control characters and spaces"),
        ({"id": "a/b"}, "id: / not allowed"),
        ({"id": 5}, "id: expected `str`"),
        ({"kind": "camra"}, "kind: expected one of camera, detector"),
        ({"name": "a\x00"}, "name: control characters"),
        ({"name": " "}, "name: expected 1 to 200"),
        ({"expected_interval_s": 0}, "expected_interval_s: expected seconds above 0"),
        ({"expected_interval_s": "15"}, "expected_interval_s: expected `float | null`"),
        ({"picture_url": "file:///etc/passwd"}, "picture_url: expected an address such as http"),
        ({"picture_url": "http://[::1"}, "picture_url: expected an address such as http"),
        ({"decoder": "xml"}, "decoder: expected one of "),
        ({"covers": ["a*b"]}, "covers: 'a*b': * not allowed"),
        ({"interval": None}, "interval: is no property"),
        ({"picture_ulr": "x"}, "picture_ulr: is no property of a device (did you mean 'picture_url'?)"),
        ({"lon": 106.6}, "lon: belongs in the geometry"),
    ],
)
def test_a_wrong_property_names_feature_id_and_field(properties: dict[str, object], finding: str) -> None:
    found = refusal(feature(id="other"), feature(**properties))
    device_id = {"id": "cam-1"} | properties
    assert found.startswith(f"feature 1 (id {device_id['id']!r}): {finding}")


@pytest.mark.parametrize(
    ("geometry", "finding"),
    [
        ({"type": "Point"}, "coordinates: expected [longitude, latitude], found None"),
        ({"type": "Point", "coordinates": None}, "coordinates: expected [longitude, latitude], found None"),
        ({"type": "Point", "coordinates": [106.6]}, "coordinates: expected [longitude, latitude]"),
        ({"type": "Point", "coordinates": ["106.6", 11]}, "coordinates: expected [longitude, latitude]"),
        ({"type": "Point", "coordinates": [200, 11]}, "lon: expected a longitude"),
        ({"type": "Point", "coordinates": [10.97, 106.66]}, "lat: expected a latitude of -90 to 90 degrees, "
         "found 106.66; longitude and latitude are swapped"),
        ({"type": "LineString", "coordinates": []}, "geometry: expected a Point or null"),
    ],
)  # fmt: skip
def test_a_wrong_position_is_a_finding(geometry: object, finding: str) -> None:
    assert refusal(feature(geometry)).startswith(f"feature 0 (id 'cam-1'): {finding}")


def test_every_finding_is_listed_and_a_second_use_of_an_id_is_one() -> None:
    lines = refusal(feature(kind="x", decoder="y"), feature(id="b"), feature(id="b"), 5).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "feature 0 (id 'cam-1')",
        "feature 0 (id 'cam-1')",
        "feature 2 (id 'b')",
        "feature 3",
    ]
    assert "already the id of feature 1" in lines[2]


@pytest.mark.parametrize(
    "content", [collection(), b"{}", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"features": [{}]}']
)
def test_a_file_that_is_no_filled_collection_is_refused(content: bytes) -> None:
    with pytest.raises(DeviceFileError, match=r"^file: "):
        parse_devices(content)


def test_longitude_and_latitude_go_together() -> None:
    with pytest.raises(InvalidDevice, match="device 'g1': lat: longitude and latitude go together"):
        make_device({"id": "g1", "kind": "gateway", "name": "G", "lon": 106.6, "lat": None})
