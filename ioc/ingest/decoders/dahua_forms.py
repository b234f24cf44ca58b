"""What ITSAPI of Dahua pushes, as msgspec reads it."""

from typing import Any, Final

import msgspec

_ABSENT: Final = msgspec.Raw()


class Pictures(msgspec.Struct):
    """What is read of `Picture`; `NormalPic` and its like hold whole pictures, which are skipped unread."""

    Plate: dict[str, Any] | None = None
    Vehicle: dict[str, Any] | None = None
    SnapInfo: dict[str, Any] | None = None
    NormalPic: msgspec.Raw = _ABSENT
    CutoutPic: msgspec.Raw = _ABSENT
    VehiclePic: msgspec.Raw = _ABSENT
    CombinedPic: msgspec.Raw = _ABSENT


class Push(msgspec.Struct):
    """The one thing that is read of a push."""

    Picture: Pictures | None = None
