"""Pictures as phones, hostile people and clumsy ones send them."""

import io
import struct
import zlib

from PIL import Image

HANOI = {0: b"\x02\x03\x00\x00", 1: "N", 2: (21.0, 1.0, 42.0), 3: "E", 4: (105.0, 51.0, 12.0)}
GPS, MAKE, ORIENTATION = 0x8825, 0x010F, 0x0112


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(width: int = 64, height: int = 48, **options: object) -> bytes:
    return encoded(Image.linear_gradient("L").resize((width, height)).convert("RGB"), **options)


def png(width: int = 64, height: int = 48, mode: str = "RGB") -> bytes:
    return encoded(Image.new(mode, (width, height)), "PNG")


def webp(width: int = 64, height: int = 48) -> bytes:
    return encoded(Image.new("RGB", (width, height), "red"), "WEBP")


def phone_photo() -> bytes:
    """Held upright, so stored lying: the upper half of the scene is red. With place and device."""
    lying = Image.new("RGB", (80, 40), "white")
    lying.paste("red", (0, 0, 40, 40))
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Xiaomi"
    exif.get_ifd(GPS).update(HANOI)
    return encoded(lying, exif=exif, comment=b"so nha 12, 0912 345 678", quality=95)


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def bomb() -> bytes:
    """Claims 40,000 × 40,000 pixels, 1.6 GB even at a bit each, in a few kilobytes."""
    rows = zlib.compress(bytes(5_001) * 400, 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)),
            (b"IDAT", rows),
            (b"IEND", b""),
        )
    )


def text_bomb() -> bytes:
    """A small picture whose comment unpacks to 200 MB."""
    small = png(8, 8)
    comment = _chunk(b"zTXt", b"x\x00\x00" + zlib.compress(bytes(200_000_000), 9))
    return small[:33] + comment + small[33:]


def gif_that_is_a_script() -> bytes:
    return b"GIF89a/*" + bytes(10) + b"*/=1;alert(document.domain)//"


def jpeg_with(segment: bytes) -> bytes:
    """A valid picture with a comment of one's own."""
    return jpeg(comment=segment)


def zip_behind() -> bytes:
    return jpeg() + b"PK\x03\x04\x14\x00" + bytes(60) + b"PK\x05\x06" + bytes(18)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
