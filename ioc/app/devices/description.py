"""Devices as people describe them: one check for `ioc devices add` and for device files.

A device file is a GeoJSON FeatureCollection of points, one feature a device. Properties: `id`, `kind`
(camera, detector, gateway, portal), `name`, `ward`, `expected_interval_s`, `picture_url`, `decoder`, `covers`
(list of ids or `prefix*`), `trusts_position`, `time_zone` (e.g. Asia/Ho_Chi_Minh), `options` (its decoder's),
`stream_url`, `attach`, `attach_url`, `tls_verify`, `basic_over_http`. A gateway needs no point.

A file may bring logins, `login_user` and `login_password`; they are no part of a device and never written.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ioc.app.attach.target import DECODERS as ATTACHED_DECODERS
from ioc.app.devices.logins import InvalidLogin, check_login
from ioc.geo.geojson import InvalidAreas, read_features
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.moments import zone_of
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.places import AttachKind, Device, DeviceKind
from ioc.outbound.camera import Login
from ioc.rules.errors import did_you_mean

MAX_ERRORS_SHOWN = 1_000
MAX_NAME_CHARS = 200
MAX_OPTIONS = 32
_ID_RESERVED: Final = frozenset("/+#*")
"""Separators and wildcards of MQTT topics, web addresses and `covers`."""
_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Device)}
_IN_GEOMETRY: Final = ("lon", "lat")
LOGIN_FIELDS: Final = ("login_user", "login_password")
_WORDS: Final = {"kind": tuple(DeviceKind), "attach": tuple(AttachKind)}
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot hold."""
_PICTURE_SCHEMES: Final = ("http", "https")
_STREAM_SCHEMES: Final = ("http", "https", "rtsp", "rtsps")


class DeviceFileError(Exception):
    """The file cannot be used; the message lists feature, id, field and what is expected."""


class InvalidDevice(Exception):
    """A device cannot be registered; `faults` holds (field, what is expected) for each finding."""

    def __init__(self, device_id: str, faults: list[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"device {device_id!r}: {field}: {detail}" for field, detail in faults))


def make_device(values: Mapping[str, object]) -> Device:
    """Return the device of `values`, by the names of the fields of `Device`.

    Raises:
        InvalidDevice: with every finding: unknown or missing fields, wrong types, values out of range.
    """
    faults = [(name, unknown_field(name)) for name in values if name not in _FIELDS]
    found: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        if name not in values:
            if field.required:
                faults.append((name, "is missing"))
            continue
        try:
            found[name] = msgspec.convert(values[name], field.type)
        except msgspec.ValidationError as error:
            faults.append((name, _mistyped(name, values[name], error)))
    faults += [(name, detail) for name, detail in _faults(found) if detail]
    if faults:
        raise InvalidDevice(str(values.get("id", "")), faults)
    return Device(**found)


class DeviceFile(msgspec.Struct, kw_only=True):
    """What a file holds: the devices that are right, and a line for each finding about the others."""

    devices: list[Device] = []
    logins: dict[str, Login] = {}
    """Of devices of the file, by their ids."""
    errors: list[str] = []
    _first: dict[str, str] = {}

    def add(self, place: str, values: Callable[[], Mapping[str, object]]) -> None:
        """Take the device at `place`, or what is wrong with it."""
        try:
            given = dict(values())
            login = _take_login(given)
            device = make_device(given)
        except InvalidDevice as error:
            self.errors += [f"{place}: {field}: {detail}" for field, detail in error.faults]
            return
        if device.id in self._first:
            self.errors.append(f"{place}: id: is already the id of {self._first[device.id]}")
            return
        self._first[device.id] = place.partition(" (")[0]
        self.devices.append(device)
        if login is not None:
            self.logins[device.id] = login

    def whole(self) -> list[Device]:
        """Return the devices of a file that is right as a whole.

        Raises:
            DeviceFileError: there is any finding; all are listed, up to `MAX_ERRORS_SHOWN`.
        """
        if self.errors:
            left = len(self.errors) - MAX_ERRORS_SHOWN
            more = [f"and {left} more"] if left > 0 else []
            raise DeviceFileError("\n".join(self.errors[:MAX_ERRORS_SHOWN] + more))
        return self.devices


def read_geojson(data: bytes) -> DeviceFile:
    """Return what a GeoJSON file of devices holds.

    Raises:
        DeviceFileError: it is not a FeatureCollection.
    """
    try:
        features = read_features(data)
    except InvalidAreas as error:
        raise DeviceFileError(str(error)) from error
    found = DeviceFile()
    for number, feature in enumerate(features):
        found.add(_place(number, feature), partial(_values, feature))
    return found


def parse_devices(data: bytes) -> list[Device]:
    """Return the devices of a GeoJSON file.

    Raises:
        DeviceFileError: not a FeatureCollection, or any feature is wrong.
    """
    return read_geojson(data).whole()


def write_geojson(devices: Iterable[Device]) -> str:
    """Return `devices` as a file that `read_geojson` reads back to the same; one feature a line."""
    lines = ",\n".join(json.dumps(_feature(device), ensure_ascii=False) for device in devices)
    return '{"type": "FeatureCollection", "features": [\n' + lines + "\n]}\n"


# One feature


def _place(number: int, feature: Any) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    device_id = properties.get("id") if isinstance(properties, dict) else None
    return f"feature {number} (id {device_id!r})" if device_id is not None else f"feature {number}"


def _feature(device: Device) -> dict[str, object]:
    given = {
        name: value
        for name, value in msgspec.to_builtins(device).items()
        if name not in _IN_GEOMETRY
        and (_FIELDS[name].required or getattr(device, name) != given_default(name))
    }
    place = None if device.lon is None else {"type": "Point", "coordinates": [device.lon, device.lat]}
    return {"type": "Feature", "geometry": place, "properties": given}


def given_default(name: str) -> object:
    """Return what a field is where nobody gives it."""
    field = _FIELDS[name]
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _values(feature: Any) -> dict[str, object]:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        raise InvalidDevice("", [("properties", "expected a Feature with an object `properties`")])
    misplaced = [(name, "belongs in the geometry") for name in _IN_GEOMETRY if name in properties]
    if misplaced:
        raise InvalidDevice(str(properties.get("id", "")), misplaced)
    # A null says that the property is not given.
    values = {
        name: value
        for name, value in properties.items()
        if value is not None or name not in (*_FIELDS, *LOGIN_FIELDS)
    }
    lon, lat = _position(feature.get("geometry"))
    return values | {"lon": lon, "lat": lat}


def _position(geometry: object) -> tuple[object, object]:
    if geometry is None:
        return None, None
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        raise InvalidDevice("", [("geometry", "expected a Point or null")])
    coordinates = geometry.get("coordinates")
    if (
        not isinstance(coordinates, list)
        or len(coordinates) < 2
        or not all(type(number) in (int, float) for number in coordinates)
    ):
        detail = f"expected [longitude, latitude], found {coordinates!r}"
        raise InvalidDevice("", [("coordinates", detail)])
    return coordinates[0], coordinates[1]


def _take_login(values: dict[str, object]) -> Login | None:
    """Take the login out of what a file says of a device; None where it says none."""
    given = {name: values.pop(name) for name in LOGIN_FIELDS if name in values}
    if not given:
        return None
    user, password = (given.get(name) for name in LOGIN_FIELDS)
    if not isinstance(user, str) or not isinstance(password, str):
        fault = "expected texts: login_user and login_password go together"
        raise InvalidDevice("", [("login_user" if not isinstance(user, str) else "login_password", fault)])
    try:
        check_login(user, password)
    except InvalidLogin as error:
        raise InvalidDevice("", [(f"login_{error.field}", error.detail)]) from error
    return Login(user, password)


# One field


def unknown_field(name: str) -> str:
    """Return what is wrong with a name that is none of a field."""
    hint = did_you_mean(name, _FIELDS)
    return "is no property of a device" + (f" ({hint})" if hint else "")


def _mistyped(name: str, value: object, error: Exception) -> str:
    if name in _WORDS:
        return f"expected one of {', '.join(_WORDS[name])}, found {value!r}"
    return f"{str(error)[:1].lower()}{str(error)[1:]}"


def _faults(found: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield for each field of the right type what is wrong with its value, None for nothing."""
    if "id" in found:
        yield "id", _id_fault(found["id"])
    if "name" in found:
        yield "name", _text_fault(found["name"], MAX_NAME_CHARS)
    if found.get("ward") is not None:
        yield "ward", _text_fault(found["ward"], MAX_ID_CHARS)
    yield from _position_faults(found)
    interval = found.get("expected_interval_s")
    if interval is not None and not (math.isfinite(interval) and interval > 0):
        yield "expected_interval_s", f"expected seconds above 0, found {interval}"
    if found.get("picture_url") is not None:
        yield "picture_url", _url_fault(found["picture_url"], _PICTURE_SCHEMES)
    if found.get("stream_url") is not None:
        yield "stream_url", _url_fault(found["stream_url"], _STREAM_SCHEMES)
    decoder = found.get("decoder")
    if decoder is not None and decoder not in DECODERS:
        yield "decoder", f"expected one of {', '.join(DECODERS)}, found {decoder!r}"
    yield from _attach_faults(found)
    zone = found.get("time_zone")
    if zone is not None and zone_of(zone) is None:
        yield "time_zone", f"expected a name such as Asia/Ho_Chi_Minh, found {zone!r}"
    options = found.get("options", {})
    if len(options) > MAX_OPTIONS or any(
        len(text) > MAX_NAME_CHARS for pair in options.items() for text in pair
    ):
        yield "options", f"at most {MAX_OPTIONS} options of {MAX_NAME_CHARS} characters are taken"
    if any(_UNSTORABLE.search(text) for pair in options.items() for text in pair):
        yield "options", "the character NUL and half characters are not allowed"
    for pattern in found.get("covers", ()):
        yield "covers", _covers_fault(pattern)


def _attach_faults(found: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    kind, url = found.get("attach"), found.get("attach_url")
    if url is not None:
        fault = _url_fault(url, _PICTURE_SCHEMES)
        # Whoever may list devices would see it.
        within = None if fault or not urlsplit(url).username else "a login in it: register that apart"
        yield "attach_url", fault or within
        if kind is None:
            yield "attach", f"is missing: with attach_url, expected one of {', '.join(AttachKind)}"
    if kind is None:
        return
    if url is None:
        yield "attach_url", "is missing: where the device is, such as http://10.0.0.7"
    decoder = found.get("decoder", given_default("decoder"))
    fitting = ATTACHED_DECODERS[kind]
    if decoder not in fitting:
        yield "decoder", f"expected {' or '.join(fitting)} with attach {kind}, found {decoder!r}"


def _position_faults(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    lon, lat = found.get("lon"), found.get("lat")
    if "lon" in found and "lat" in found and (lon is None) != (lat is None):
        yield ("lat" if lat is None else "lon"), "longitude and latitude go together: give both or none"
    if lon is not None and not -180 <= lon <= 180:
        yield "lon", f"expected a longitude of -180 to 180 degrees, found {lon}"
    if lat is not None and not -90 <= lat <= 90:
        swapped = "; longitude and latitude are swapped" if lon is not None and abs(lon) <= 90 else ""
        yield "lat", f"expected a latitude of -90 to 90 degrees, found {lat}{swapped}"


def _text_fault(text: str, most: int) -> str | None:
    if not text.strip() or len(text) > most:
        return f"expected 1 to {most} characters"
    # A no-break space is no control character, so `isprintable` would refuse too much.
    if any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 or 0xD800 <= ord(sign) < 0xE000 for sign in text):
        return "control characters are not allowed"
    return None


def _id_fault(device_id: str) -> str | None:
    if not 1 <= len(device_id) <= MAX_ID_CHARS:
        return f"expected 1 to {MAX_ID_CHARS} characters, found {len(device_id)}"
    if not device_id.isprintable() or device_id != device_id.strip():
        return "control characters and spaces at either end are not allowed"
    if reserved := sorted(_ID_RESERVED & set(device_id)):
        return f"{' '.join(reserved)} not allowed: topics, addresses and `covers` give it a meaning"
    return None


def _covers_fault(pattern: str) -> str | None:
    if pattern == "*":
        return None
    fault = _id_fault(pattern.removesuffix("*"))
    return f"{pattern!r}: {fault}" if fault else None


def _url_fault(url: str, schemes: Sequence[str]) -> str | None:
    expected = f"expected an address such as {schemes[0]}://10.0.0.7/picture.jpg, found {url!r}"
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return expected
    return None if fits and url.isprintable() and " " not in url else expected
