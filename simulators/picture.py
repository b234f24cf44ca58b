"""Draws what a simulated camera sees: a road in perspective, its traffic, and the trouble if there is any.

Pure: the same `View` gives the same picture. Names are written without diacritics, because the only font
that exists wherever Pillow does (its own) has no Vietnamese letters, and real cameras print ASCII anyway.
"""

import io
import random
import unicodedata
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from simulators.city.plane import stream
from simulators.rhythm import daylight
from simulators.scenario import Kind
from simulators.times import local_text
from simulators.world import View

WIDTH, HEIGHT = 480, 270
_HORIZON = 92
_FAR_HALF, _NEAR_HALF = 26, 250
_CENTRE = 240
Colour = tuple[int, int, int]
_PAINTS: tuple[Colour, ...] = (
    (200, 202, 205),
    (60, 64, 72),
    (150, 28, 32),
    (32, 60, 120),
    (225, 225, 220),
    (92, 96, 88),
)


def draw(view: View) -> bytes:
    """Return the JPEG of a view, 480 by 270."""
    light = 0.36 + 0.64 * daylight(view.hour)
    image = _backdrop(view.camera.id, round(light * 20))
    image = image.copy()
    pen = ImageDraw.Draw(image, "RGBA")
    rng = stream(view.camera.id, view.time_us // 1_000_000)
    if Kind.FLOOD_REPORT in view.kinds or Kind.FLOOD in view.kinds:
        _water(pen, light)
    _traffic(pen, view, light, rng)
    if view.stopped or Kind.STOPPED_VEHICLE in view.kinds:
        _stopped(pen, light, view.time_us)
    if Kind.WRONG_WAY in view.kinds:
        _wrong_way(pen, light, view.time_us)
    _people(pen, min(view.people, 160), light, rng)
    if Kind.FIRE_SMOKE in view.kinds:
        _smoke(pen, view.time_us)
    _overlay(pen, view)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=78)
    return out.getvalue()


def plain_letters(text: str) -> str:
    """Return Vietnamese text in ASCII letters."""
    text = text.replace("đ", "d").replace("Đ", "D").replace("–", "-")
    split = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in split if ord(letter) < 128)


@lru_cache(maxsize=64)
def _backdrop(camera: str, light_20: int) -> Image.Image:
    """Return sky, buildings, trees and road of a camera; only the light changes."""
    light = light_20 / 20
    rng = stream(camera, "backdrop")
    image = Image.new("RGB", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(image)
    for y in range(_HORIZON):
        share = y / _HORIZON
        pen.line(
            [(0, y), (WIDTH, y)], fill=_lit((120 + 90 * share, 165 + 50 * share, 215 + 10 * share), light)
        )
    pen.rectangle([0, _HORIZON, WIDTH, HEIGHT], fill=_lit((104, 118, 84), light))
    x = 0
    while x < WIDTH:
        width, height = rng.randrange(24, 62), rng.randrange(14, 66)
        grey = rng.randrange(120, 190)
        pen.rectangle(
            [x, _HORIZON - height, x + width, _HORIZON + 4], fill=_lit((grey, grey - 6, grey - 14), light)
        )
        for wx in range(x + 5, x + width - 6, 9):
            for wy in range(_HORIZON - height + 5, _HORIZON - 6, 11):
                glow = light < 0.5 and rng.random() < 0.4
                pen.rectangle(
                    [wx, wy, wx + 4, wy + 5], fill=(235, 205, 120) if glow else _lit((70, 82, 96), light)
                )
        x += width + rng.randrange(0, 14)
    for side in (-1.0, 1.0):
        for depth in (0.12, 0.2, 0.34, 0.55):
            _tree(pen, depth, side * rng.uniform(1.3, 1.6), light)
    _road(pen, light)
    return image


def _tree(pen: ImageDraw.ImageDraw, depth: float, across: float, light: float) -> None:
    x, y, s = _at(depth, across)
    radius, bark, leaves = 46 * s, _lit((84, 66, 48), light), _lit((52, 96, 50), light)
    pen.line([(x, y), (x, y - 70 * s)], fill=bark, width=max(1, int(6 * s)))
    pen.ellipse([x - radius, y - 130 * s, x + radius, y - 50 * s], fill=leaves)


def _road(pen: ImageDraw.ImageDraw, light: float) -> None:
    far, near = (_CENTRE - _FAR_HALF, _CENTRE + _FAR_HALF), (_CENTRE - _NEAR_HALF, _CENTRE + _NEAR_HALF)
    pen.polygon(
        [(far[0], _HORIZON), (far[1], _HORIZON), (near[1], HEIGHT), (near[0], HEIGHT)],
        fill=_lit((92, 94, 98), light),
    )
    for edge in (-0.97, 0.97, -0.03, 0.03):
        a, b = _at(0.0, edge), _at(1.0, edge)
        paint = (225, 190, 70) if abs(edge) < 0.5 else (225, 225, 220)
        pen.line([a[:2], b[:2]], fill=_lit(paint, light), width=2)
    for lane in (-0.5, 0.5):
        for step in range(10):
            a, b = _at((step / 10) ** 1.7, lane), _at(((step + 0.45) / 10) ** 1.7, lane)
            pen.line([a[:2], b[:2]], fill=_lit((225, 225, 220), light), width=max(1, int(4 * b[2])))


def _at(depth: float, across: float) -> tuple[float, float, float]:
    """Return picture x, y and scale of a place: depth 0 far to 1 near, across -1 left kerb to 1 right."""
    y = _HORIZON + (HEIGHT - _HORIZON) * depth
    half = _FAR_HALF + (_NEAR_HALF - _FAR_HALF) * depth
    return _CENTRE + half * across, y, 0.12 + 0.88 * depth


def _traffic(pen: ImageDraw.ImageDraw, view: View, light: float, rng: random.Random) -> None:
    jam = Kind.CONGESTION in view.kinds
    count = min(view.vehicles, 34)
    spots = sorted(
        (0.04 + 0.9 * rng.random() ** (1.1 if jam else 1.5), rng.choice((-0.75, -0.27, 0.27, 0.75)))
        for _ in range(count)
    )
    for depth, lane in spots:
        where = lane + rng.uniform(-0.08, 0.08)
        if rng.random() < 0.6:
            _bike(pen, depth, where, light, rng)
        else:
            _car(pen, depth, where, light, rng.choice(_PAINTS), lane > 0)


def _car(
    pen: ImageDraw.ImageDraw, depth: float, lane: float, light: float, paint: Colour, away: bool
) -> None:
    x, y, s = _at(depth, lane)
    w, h = 40 * s, 42 * s
    pen.ellipse([x - w * 1.05, y - 5 * s, x + w * 1.05, y + 5 * s], fill=(0, 0, 0, 90))
    pen.rounded_rectangle([x - w, y - h * 0.72, x + w, y], radius=6 * s, fill=_lit(paint, light))
    pen.polygon(
        [
            (x - w * 0.8, y - h * 0.7),
            (x - w * 0.6, y - h * 1.25),
            (x + w * 0.6, y - h * 1.25),
            (x + w * 0.8, y - h * 0.7),
        ],
        fill=_lit((44, 54, 66), light),
    )
    lamp = (220, 40, 30) if away else (255, 246, 210)
    for side in (-0.78, 0.78):
        pen.ellipse([x + w * side - 5 * s, y - h * 0.5, x + w * side + 5 * s, y - h * 0.28], fill=lamp)


def _bike(pen: ImageDraw.ImageDraw, depth: float, lane: float, light: float, rng: random.Random) -> None:
    x, y, s = _at(depth, lane)
    pen.ellipse([x - 7 * s, y - 24 * s, x + 7 * s, y], fill=_lit((34, 34, 38), light))
    pen.rectangle([x - 10 * s, y - 50 * s, x + 10 * s, y - 20 * s], fill=_lit(rng.choice(_PAINTS), light))
    pen.ellipse([x - 7 * s, y - 64 * s, x + 7 * s, y - 48 * s], fill=_lit((210, 60, 50), light))


def _stopped(pen: ImageDraw.ImageDraw, light: float, time_us: int) -> None:
    _car(pen, 0.62, 0.72, light, (196, 160, 40), True)
    x, y, s = _at(0.62, 0.72)
    if time_us // 500_000 % 2:
        for side in (-32, 32):
            pen.ellipse(
                [x + side * s - 9, y - 30 * s - 6, x + side * s + 9, y - 30 * s + 8], fill=(255, 150, 20, 220)
            )
    tx, ty, ts = _at(0.74, 0.72)
    pen.polygon([(tx, ty - 26 * ts), (tx - 15 * ts, ty), (tx + 15 * ts, ty)], outline=(230, 30, 20), width=3)


def _wrong_way(pen: ImageDraw.ImageDraw, light: float, time_us: int) -> None:
    depth = 0.3 + 0.6 * (time_us // 100_000 % 50) / 50
    _car(pen, depth, 0.3, light, (235, 235, 235), False)
    x, y, s = _at(depth, 0.3)
    pen.rectangle([x - 52 * s, y - 64 * s, x + 52 * s, y + 6 * s], outline=(255, 40, 30), width=2)


def _people(pen: ImageDraw.ImageDraw, count: int, light: float, rng: random.Random) -> None:
    crowd = count >= 60
    for depth in sorted(0.1 + 0.82 * rng.random() for _ in range(count)):
        across = rng.uniform(-1.25, 1.25) if crowd else rng.choice((-1, 1)) * rng.uniform(1.05, 1.35)
        x, y, s = _at(depth, across)
        shade = rng.choice(_PAINTS)
        pen.rectangle([x - 6 * s, y - 34 * s, x + 6 * s, y], fill=_lit(shade, light))
        pen.ellipse([x - 5 * s, y - 46 * s, x + 5 * s, y - 33 * s], fill=_lit((196, 152, 120), light))


def _smoke(pen: ImageDraw.ImageDraw, time_us: int) -> None:
    drift = (time_us // 100_000 % 100) / 100
    pen.polygon([(338, 128), (352, 96), (362, 118), (374, 90), (388, 128)], fill=(240, 120, 30, 235))
    pen.polygon([(350, 128), (360, 106), (370, 128)], fill=(255, 214, 90, 240))
    for number in range(14):
        rise = (number / 14 + drift) % 1.0
        x, y, radius = 362 + 70 * rise * rise - 8 * (number % 3), 104 - 120 * rise, 14 + 40 * rise
        pen.ellipse(
            [x - radius, y - radius * 0.8, x + radius, y + radius * 0.8],
            fill=(52, 50, 50, int(150 * (1 - rise)) + 25),
        )


def _water(pen: ImageDraw.ImageDraw, light: float) -> None:
    pen.polygon(
        [_at(0.25, -1.3)[:2], _at(0.25, 1.3)[:2], (WIDTH, HEIGHT), (0, HEIGHT)],
        fill=(*_lit((116, 104, 82), light), 190),
    )
    for step in range(14):
        x, y, s = _at(0.3 + 0.05 * step, -1.1 + (step * 0.37) % 2.2)
        pen.arc(
            [x - 30 * s, y - 5 * s, x + 30 * s, y + 5 * s],
            180,
            340,
            fill=_lit((190, 186, 172), light),
            width=1,
        )


def _overlay(pen: ImageDraw.ImageDraw, view: View) -> None:
    pen.rectangle([0, 0, WIDTH, 20], fill=(0, 0, 0, 120))
    pen.rectangle([0, HEIGHT - 18, WIDTH, HEIGHT], fill=(0, 0, 0, 120))
    pen.text((6, 3), local_text(view.time_us), font=_font(13), fill=(255, 255, 255))
    pen.text((WIDTH - 6, 3), view.camera.id, font=_font(13), fill=(255, 255, 255), anchor="ra")
    pen.text((6, HEIGHT - 16), plain_letters(view.camera.name)[:62], font=_font(12), fill=(255, 255, 255))
    pen.text((WIDTH - 6, HEIGHT - 16), "MO PHONG", font=_font(12), fill=(255, 210, 90), anchor="ra")


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _lit(colour: tuple[float, float, float], light: float) -> Colour:
    r, g, b = colour
    # Night is bluish, not only dark.
    return int(r * light), int(g * light), int(min(255.0, b * light + 14 * (1 - light)))
