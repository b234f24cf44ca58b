"""A picture as it is kept: two JPEG files without any data but pixels."""

import msgspec


class Made(msgspec.Struct, frozen=True):
    """What became of a picture that somebody sent."""

    width: int
    height: int
    """Of `picture`, in pixels."""
    picture: bytes
    thumb: bytes
