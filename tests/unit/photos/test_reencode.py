"""What survives re-encoding: pixels, upright, and nothing else."""

import io

import pytest
from PIL import Image

from ioc.model.photos import Made
from ioc.photos.check import MAX_PIXELS, SIDE_PX, THUMB_PX, PhotoRefused, require_picture
from ioc.photos.reencode import reencode
from tests.unit.photos import samples


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("JPEG",))


def colour_at(image: Image.Image, x: int, y: int) -> str:
    red, green, blue = image.convert("RGB").getpixel((x, y))
    return (
        "red" if red > 180 and green < 90 and blue < 90 else "white" if min(red, green, blue) > 180 else "?"
    )


def test_a_picture_stands_upright_and_tells_neither_place_nor_device() -> None:
    made = reencode(samples.phone_photo())
    picture = opened(made.picture)
    assert (made.width, made.height) == picture.size == (40, 80)
    assert colour_at(picture, 20, 10) == "red" and colour_at(picture, 20, 70) == "white"
    for data in (made.picture, made.thumb):
        assert not opened(data).getexif()
        assert set(opened(data).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive",
                                          "progression"}  # fmt: skip
        for told in (b"Exif", b"Xiaomi", b"0912", b"GPS"):
            assert told not in data


@pytest.mark.parametrize("turned", range(1, 9))
def test_every_way_of_holding_a_camera_is_turned_back(turned: int) -> None:
    exif = Image.Exif()
    exif[samples.ORIENTATION] = turned
    wide = turned <= 4
    made = reencode(samples.encoded(Image.new("RGB", (30, 20)), exif=exif))
    assert (made.width, made.height) == ((30, 20) if wide else (20, 30))


def test_what_is_behind_the_pixels_is_left_behind() -> None:
    film = b"\x00\x00\x00\x18ftypmp42" + b"film" * 100
    made = reencode(samples.jpeg() + film)
    assert b"film" not in made.picture
    require_picture(made.picture)
    require_picture(made.thumb)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_colours_becomes_a_picture(mode: str) -> None:
    made = reencode(samples.png(mode=mode))
    assert opened(made.picture).mode == "RGB"


def test_transparent_parts_are_white_paper() -> None:
    made = reencode(samples.png(mode="RGBA"))
    assert colour_at(opened(made.picture), 5, 5) == "white"


@pytest.mark.parametrize(
    ("width", "height"), [(3_000, 2_000), (2_000, 3_000), (2_500, 10), (40, 30), (1, 1), (9_000, 2)]
)
def test_no_side_is_longer_than_needed_and_small_ones_stay(width: int, height: int) -> None:
    made: Made = reencode(samples.png(width, height, "L"))
    assert max(made.width, made.height) == min(SIDE_PX, max(width, height))
    assert max(opened(made.thumb).size) == min(THUMB_PX, max(width, height))


def test_a_picture_of_several_sizes_is_its_first() -> None:
    several = samples.encoded(
        Image.new("RGB", (40, 30), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 6))]
    )
    require_picture(several)
    made = reencode(several)
    assert (made.width, made.height) == (40, 30)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    assert MAX_PIXELS == 5_000 * 5_000
    for data in (samples.png(5_000, 5_001, "1"), samples.bomb()):
        with pytest.raises(PhotoRefused) as caught:
            reencode(data)
        assert caught.value.rule == "max_pixels"
