"""Targets that Hikvision's cameras capture (`mixedTargetDetection`): people, vehicles and their plates.

Of a person nothing is kept but that one is there: what else is said describes faces and clothes.
"""

from collections.abc import Iterator
from typing import Final

from ioc.ingest.decoders.fields import Tree, extra_of, known_text_of, map_of, maps_of, plate_text_of, text_of
from ioc.model.events import CameraObject, CameraPlate, EventData

_LABELS: Final = {"human": "human", "face": "face", "vehicle": "vehicle", "nonmotor": "non_motor"}
"""By the member of a capture, in lower case."""
_PLATES: Final = ("plateNo", "licensePlate", "plateNumber")
_EXTRA: Final = (
    ("vehicleColor", "color"),
    ("vehicleLogo", "brand"),
    ("plateColor", "plate_color"),
    ("plateType", "plate_type"),
)


def targets_of(alert: Tree) -> Iterator[tuple[tuple[object, ...], EventData]]:
    """Yield each target with what tells it from the others; none where the alert holds no captures.

    Raises:
        Refused: something in it is wrong.
    """
    captures = alert.get("CaptureResult", alert.get("captureResult"))
    for number, capture in enumerate(maps_of(captures)):
        target = text_of(capture, "targetID", "CaptureResult.")
        for name, told in capture.items():
            label = _LABELS.get(name.lower())
            if label is None or not isinstance(told, dict):
                continue
            key = (label, number, target)
            yield key, _vehicle(told) if label == "vehicle" else CameraObject(label=label, track_id=target)


def _vehicle(told: Tree) -> EventData:
    under = "CaptureResult.Vehicle."
    listed = maps_of(told.get("Property", told.get("property")))
    looks = {**told, **{str(each.get("description")): each.get("value") for each in listed}}
    kind = known_text_of(looks, "vehicleType", under)
    extra = extra_of(looks, _EXTRA)
    info = map_of(told, "PlateInfo")
    for tree in (looks, info):
        for name in _PLATES:
            if plate := plate_text_of(tree, name, under):
                return CameraPlate(plate=plate, vehicle=kind, extra=extra)
    return CameraObject(label=kind or "vehicle", extra=extra)
