"""Darknet's frames, as msgspec reads them."""

from datetime import datetime
from typing import Annotated

import msgspec

from ioc.ingest.decoders.data import MAX_NAME_CHARS

_Fraction = Annotated[float, msgspec.Meta(ge=-1.0, le=2.0)]
"""Darknet's boxes may reach a little beyond the picture."""


class Coordinates(msgspec.Struct, frozen=True):
    """A box by its middle, in fractions of the picture."""

    center_x: _Fraction
    center_y: _Fraction
    width: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]
    height: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]


class Object(msgspec.Struct, frozen=True):
    """One detected object."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    relative_coordinates: Coordinates
    confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    class_id: Annotated[int, msgspec.Meta(ge=-1, le=2**31)] = -1


class Frame(msgspec.Struct, frozen=True):
    """All objects of one picture."""

    frame_id: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    objects: list[Object]
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
