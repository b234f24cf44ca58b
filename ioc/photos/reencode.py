"""Decode a picture and encode it anew: upright, no larger than needed, without place, time or device."""

import io
from typing import Final

from PIL import Image, ImageFile

from ioc.model.photos import Made
from ioc.photos.check import MAX_PIXELS, SIDE_PX, THUMB_PX, PhotoRefused

_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_QUALITY: Final = 82
_THUMB_QUALITY: Final = 74
_PAPER: Final = (255, 255, 255)
"""What is seen where a picture is transparent."""

_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the number that a camera writes for how it was held."""

# Size is judged from the header, before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


def reencode(data: bytes) -> Made:
    """Return the picture made anew, and a small one. A decoder's own error says that the picture is damaged.

    Raises:
        PhotoRefused: broken, max_pixels, animated.
        MemoryError: it needs more memory than there is.
    """
    image = _opened(data)
    # A JPEG is decoded at the size that is needed; everything else whole, and then made small.
    image.draft("RGB", (SIDE_PX, SIDE_PX))
    image.load()
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    small = _colours(image)
    small.thumbnail((SIDE_PX, SIDE_PX), reducing_gap=2.0)
    upright = small if turn is None else small.transpose(turn)
    thumb = upright.copy()
    thumb.thumbnail((THUMB_PX, THUMB_PX), reducing_gap=2.0)
    return Made(upright.width, upright.height, _jpeg(upright, _QUALITY), _jpeg(thumb, _THUMB_QUALITY))


def _opened(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotoRefused("broken") from error
    if image.width * image.height > MAX_PIXELS:
        raise PhotoRefused("max_pixels")
    # A JPEG of several pictures holds sizes of one: the first is it.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise PhotoRefused("animated")
    return image


def _colours(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    paper = Image.new("RGB", seen.size, _PAPER)
    paper.paste(seen, mask=seen.getchannel("A"))
    return paper


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    # Without `exif`, `icc_profile` and `comment` nothing but pixels is written.
    Image.frombytes("RGB", image.size, image.tobytes()).save(
        out, "JPEG", quality=quality, optimize=True, progressive=True
    )
    return out.getvalue()
