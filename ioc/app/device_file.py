"""Device files: a GeoJSON FeatureCollection of points, one feature a device.

Properties: `id`, `kind` (camera, detector, gateway, portal), `name`, `ward`, `expected_interval_s`,
`picture_url`, `decoder`, `covers` (list of ids or `prefix*`), `trusts_position`. A gateway needs no point.
"""

from collections import Counter
from typing import Any

import msgspec

from ioc.model.places import Device

MAX_ERRORS_SHOWN = 20


class DeviceFileError(Exception):
    """The file cannot be used; the message lists feature, field and what is expected."""


def parse_devices(data: bytes) -> list[Device]:
    """Return the devices of a file.

    Raises:
        DeviceFileError: not a FeatureCollection, or any feature is wrong (all are listed, up to 20).
    """
    try:
        document: Any = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise DeviceFileError(f"not valid JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        raise DeviceFileError("expected a GeoJSON FeatureCollection with a list `features`")
    devices: list[Device] = []
    errors: list[str] = []
    for number, feature in enumerate(document["features"]):
        try:
            devices.append(_parse_device(feature))
        except (msgspec.ValidationError, ValueError) as error:
            errors.append(f"features[{number}]: {error}")
    repeated = [device_id for device_id, count in Counter(d.id for d in devices).items() if count > 1]
    errors += [f"id {device_id!r} stands more than once" for device_id in repeated]
    if errors:
        more = [f"and {len(errors) - MAX_ERRORS_SHOWN} more"] if len(errors) > MAX_ERRORS_SHOWN else []
        raise DeviceFileError("\n".join(errors[:MAX_ERRORS_SHOWN] + more))
    return devices


def _parse_device(feature: Any) -> Device:
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        raise ValueError("expected a Feature with `properties`")
    lon, lat = _position(feature.get("geometry"))
    known = set(Device.__struct_fields__)
    values = {name: value for name, value in feature["properties"].items() if name in known}
    return msgspec.convert(values | {"lon": lon, "lat": lat}, Device)


def _position(geometry: Any) -> tuple[float | None, float | None]:
    if geometry is None:
        return None, None
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        raise ValueError("geometry: expected a Point or null")
    lon, lat = (float(number) for number in geometry["coordinates"][:2])
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise ValueError(f"geometry: longitude {lon}, latitude {lat} is no position (swapped?)")
    return lon, lat
