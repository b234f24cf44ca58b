"""ONVIF's scene description: frames with objects, from XML or `onvif-mj`, and the plates read on them."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.data import MAX_NAME_CHARS
from ioc.ingest.decoders.fields import is_plate
from ioc.ingest.decoders.gathering import put_extra, tidy
from ioc.ingest.decoders.onvif_tree import Tree, attribute, each, first, number, text
from ioc.model.events import Extra

_KMH_PER_MS: Final = 3.6
_NEAREST, _FURTHEST = -0.5, 1.5
"""How far a box may reach out of the picture; further out it is no place in it."""


class Scale(msgspec.Struct, frozen=True):
    """Maps a node's coordinates to the picture's: -1 to 1, upwards and to the right."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def across(self, x: float) -> float:
        """Return where `x` lies in the picture, as a share of its width from the left."""
        return (self.scale_x * x + self.shift_x + 1.0) / 2.0

    def down(self, y: float) -> float:
        """Return where `y` lies in the picture, as a share of its height from the top."""
        return (1.0 - self.scale_y * y - self.shift_y) / 2.0

    def inside(self, transformation: Any) -> "Scale":
        """Return the mapping below a node that holds `transformation`."""
        if transformation is None:
            return self
        scale, shift = first(transformation, "Scale"), first(transformation, "Translate")
        return Scale(
            self.scale_x * _or(number(attribute(scale, "x")), 1.0),
            self.scale_y * _or(number(attribute(scale, "y")), 1.0),
            self.scale_x * _or(number(attribute(shift, "x")), 0.0) + self.shift_x,
            self.scale_y * _or(number(attribute(shift, "y")), 0.0) + self.shift_y,
        )


PICTURE: Final = Scale()
_CANDIDATES: Final = (("ClassCandidate",), ("Extension", "OtherTypes"))
"""Where the classes stand that ONVIF has since deprecated."""


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


class Found(msgspec.Struct):
    """An object's data: `fields` of `camera.object`, and of `camera.plate` where its plate was read."""

    fields: dict[str, Any]
    plate: dict[str, Any] | None
    dropped: int


def objects_of(frame: Any) -> Iterator[tuple[Any, Found]]:
    """Yield each object of a frame: its tree and what it says."""
    within = PICTURE.inside(first(frame, "Transformation"))
    source = attribute(frame, "Source")
    for node in each(frame, "Object"):
        found = read_object(node, within)
        if isinstance(source, str) and source:
            put_extra(found.fields["extra"], "module", source)
        yield node, found


def read_object(node: Any, within: Scale = PICTURE) -> Found:
    """Return what a `tt:Object` says. Without a class it is an `object`; without a shape it has no box."""
    look, behaviour = first(node, "Appearance"), first(node, "Behaviour")
    extra: Extra = {}
    label, likelihood = _class_of(look)
    info, vehicle = first(look, "VehicleInfo"), None
    if info is not None:
        vehicle, vehicle_likelihood = likely(first(info, "Type"))
        if vehicle and label in (None, "vehicle"):
            label, likelihood = vehicle, vehicle_likelihood
    fields: dict[str, Any] = {"label": label or "object", "extra": extra}
    if likelihood is not None:
        fields["confidence"] = likelihood
    if track := track_of(node):
        fields["track_id"] = track
    dropped = 0
    if (shape := first(look, "Shape", "BoundingBox")) is not None:
        box = box_of(shape, within.inside(first(look, "Transformation")))
        dropped += box is None
        fields["box"] = box
    speed = None if behaviour is None else kmh(number(first(behaviour, "Speed")))
    if speed is not None:
        fields["speed_kmh"] = speed
    _put_behaviour(extra, node, behaviour)
    if isinstance(look, dict) and "GeoLocation" in look:
        geo = first(look, "GeoLocation")
        put_extra(extra, "geo_lon", number(attribute(geo, "lon")))
        put_extra(extra, "geo_lat", number(attribute(geo, "lat")))
    if info is not None:
        put_extra(extra, "brand", likely(first(info, "Brand"))[0])
        put_extra(extra, "model", likely(first(info, "Model"))[0])
    plate = plate_of(look)
    if plate is not None:
        plate["vehicle"] = vehicle
        plate["speed_kmh"] = speed
        plate["extra"] |= {name: extra[name] for name in ("brand", "model") if name in extra}
        if track:
            plate["extra"]["track_id"] = track
    return Found(fields, plate, dropped)


def _put_behaviour(extra: Extra, node: Any, behaviour: Any) -> None:
    if isinstance(behaviour, dict):
        for name in ("Removed", "Idle"):
            if name in behaviour:
                extra[name.lower()] = True
        put_extra(extra, "yaw_deg", number(attribute(first(behaviour, "Direction"), "yaw")))
    parent = attribute(node, "Parent")
    if isinstance(parent, str | int) and not isinstance(parent, bool):
        put_extra(extra, "parent", str(parent))


def _class_of(look: Any) -> tuple[str | None, float | None]:
    """Return the most likely class, in lower case: of `Type`, or of the deprecated candidates."""
    classes = [told for told in each(look, "Class") if isinstance(told, dict)]
    found = [likely(name) for told in classes for name in each(told.get("Type"))]
    for path in _CANDIDATES:
        for told in classes:
            if path[0] not in told:
                continue
            for candidate in each(told, *path):
                name = tidy(text(first(candidate, "Type"))).lower()
                found.append((name or None, fraction(number(first(candidate, "Likelihood")))))
    named = [(name, share) for name, share in found if name is not None]
    if len(named) == 1:
        return named[0]
    return max(named, key=lambda pair: _or(pair[1], 1.0), default=(None, None))


def likely(node: Any) -> tuple[str | None, float | None]:
    """Return the text of a `tt:StringLikelihood` in lower case and its likelihood."""
    if node is None:
        return None, None
    name = tidy(text(node)).lower()
    return name or None, fraction(number(attribute(node, "Likelihood")))


def fraction(value: float | None) -> float | None:
    """Return a share as 0 to 1, also where it was written in per cent; None for what is neither."""
    if value is None or not 0.0 <= value <= 100.0:
        return None
    return value if value <= 1.0 else value / 100.0


def kmh(metres_per_s: float | None) -> float | None:
    """Return a speed in km/h, None for one that cannot be."""
    if metres_per_s is None or not 0.0 <= metres_per_s * _KMH_PER_MS <= 1_000.0:
        return None
    return round(metres_per_s * _KMH_PER_MS, 3)


def track_of(node: Any) -> str | None:
    """Return the id that an object keeps, None without one."""
    for name in ("ObjectId", "UUID"):
        value = attribute(node, name)
        if isinstance(value, str | int) and not isinstance(value, bool) and (track := tidy(str(value))):
            return track
    return None


def box_of(node: Any, within: Scale) -> tuple[float, float, float, float] | None:
    """Return a rectangle as left, top, width, height in fractions of the picture; None for one outside it."""
    left, right = number(attribute(node, "left")), number(attribute(node, "right"))
    top, bottom = number(attribute(node, "top")), number(attribute(node, "bottom"))
    if left is None or right is None or top is None or bottom is None:
        return None
    x, x_end = within.across(left), within.across(right)
    y, y_end = within.down(top), within.down(bottom)
    if x > x_end:
        x, x_end = x_end, x
    if y > y_end:
        y, y_end = y_end, y
    if not (_NEAREST <= x <= x_end <= _FURTHEST and _NEAREST <= y <= y_end <= _FURTHEST):
        return None
    return (round(x, 6), round(y, 6), round(x_end - x, 6), round(y_end - y, 6))


def plate_of(node: Any) -> dict[str, Any] | None:
    """Return the data of a `camera.plate` from a `LicensePlateInfo` at or below `node`, None without."""
    info: Any = first(node, "LicensePlateInfo")
    while isinstance(info, dict) and "LicensePlateInfo" in info:  # an ElementItem holds the element itself
        info = first(info, "LicensePlateInfo")
    if info is None:
        return None
    written = first(info, "PlateNumber")
    plate = tidy(text(written))
    if not is_plate(plate):
        return None
    extra: Extra = {}
    for name, key in (("PlateType", "plate_type"), ("CountryCode", "country"), ("IssuingEntity", "issuer")):
        put_extra(extra, key, tidy(text(first(info, name))))
    found: dict[str, Any] = {"plate": plate[:MAX_NAME_CHARS], "extra": extra}
    if (confidence := fraction(number(attribute(written, "Likelihood")))) is not None:
        found["confidence"] = confidence
    return found


def inner(node: Any, name: str) -> Tree | None:
    """Return the element `name` inside an ElementItem: `{"Object": {…}}`, or the element itself."""
    while isinstance(node, dict) and isinstance(node.get(name), dict):
        node = node[name]
    return node if isinstance(node, dict) else None
