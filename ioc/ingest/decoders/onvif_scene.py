"""ONVIF's scene description: frames with objects, from XML or `onvif-mj`, and the plates read on them."""

from collections.abc import Iterator
from math import isfinite
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.data import MAX_NAME_CHARS
from ioc.ingest.decoders.gathering import put_extra, tidy
from ioc.ingest.decoders.onvif_tree import Tree, attribute, each, first, number, text
from ioc.model.events import Extra

_KMH_PER_MS: Final = 3.6
_BEYOND: Final = 0.5
"""How far a box may reach out of the picture; further out it is no place in it."""


class Scale(msgspec.Struct, frozen=True):
    """Maps a node's coordinates to the picture's: -1 to 1, upwards and to the right."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def inside(self, transformation: Any) -> "Scale":
        """Return the mapping below a node that holds `transformation`."""
        scale, shift = first(transformation, "Scale"), first(transformation, "Translate")
        scale_x, scale_y = (_or(number(attribute(scale, axis)), 1.0) for axis in "xy")
        shift_x, shift_y = (_or(number(attribute(shift, axis)), 0.0) for axis in "xy")
        return Scale(
            self.scale_x * scale_x,
            self.scale_y * scale_y,
            self.scale_x * shift_x + self.shift_x,
            self.scale_y * shift_y + self.shift_y,
        )


PICTURE: Final = Scale()


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
    vehicle, vehicle_likelihood = likely(first(look, "VehicleInfo", "Type"))
    if label is None or label == "vehicle":
        label, likelihood = (vehicle or label), (vehicle_likelihood if vehicle else likelihood)
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
    if (speed := kmh(number(first(behaviour, "Speed")))) is not None:
        fields["speed_kmh"] = speed
    _put_behaviour(extra, node, behaviour)
    for name in ("Brand", "Model"):
        put_extra(extra, name.lower(), likely(first(look, "VehicleInfo", name))[0])
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
    found = [likely(node) for node in each(look, "Class", "Type")]
    for path in (("ClassCandidate",), ("Extension", "OtherTypes")):
        for candidate in each(look, "Class", *path):
            name = tidy(text(first(candidate, "Type"))).lower()
            found.append((name or None, fraction(number(first(candidate, "Likelihood")))))
    named = [(name, share) for name, share in found if name is not None]
    return max(named, key=lambda pair: _or(pair[1], 1.0), default=(None, None))


def likely(node: Any) -> tuple[str | None, float | None]:
    """Return the text of a `tt:StringLikelihood` in lower case and its likelihood."""
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
    edges = [number(attribute(node, side)) for side in ("left", "right", "top", "bottom")]
    if None in edges:
        return None
    left, right, top, bottom = (_or(edge, 0.0) for edge in edges)
    xs = sorted((within.scale_x * x + within.shift_x + 1.0) / 2.0 for x in (left, right))
    ys = sorted((1.0 - within.scale_y * y - within.shift_y) / 2.0 for y in (top, bottom))
    if not all(isfinite(edge) and -_BEYOND <= edge <= 1.0 + _BEYOND for edge in (*xs, *ys)):
        return None
    return (round(xs[0], 6), round(ys[0], 6), round(xs[1] - xs[0], 6), round(ys[1] - ys[0], 6))


def plate_of(node: Any) -> dict[str, Any] | None:
    """Return the data of a `camera.plate` from a `LicensePlateInfo` at or below `node`, None without."""
    info: Any = first(node, "LicensePlateInfo")
    while isinstance(info, dict) and "LicensePlateInfo" in info:  # an ElementItem holds the element itself
        info = first(info, "LicensePlateInfo")
    written = first(info, "PlateNumber")
    plate = tidy(text(written))
    if not plate:
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
