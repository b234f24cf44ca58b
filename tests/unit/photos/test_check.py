"""What comes in and what does not, by the bytes around the pixels."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.photos.check import MAX_BYTES, PhotoRefused, require_picture
from tests.unit.photos import samples

GOOD = {
    "jpeg": samples.jpeg(),
    "progressive jpeg": samples.jpeg(progressive=True),
    "phone": samples.phone_photo(),
    "png": samples.png(),
    "png with alpha": samples.png(mode="RGBA"),
    "webp": samples.webp(),
    "a second size behind it": samples.jpeg() + samples.jpeg(16, 12),
    "a short film behind it": samples.jpeg() + b"\x00\x00\x00\x18ftypmp42" + bytes(300),
    "no end mark": samples.jpeg()[:-2],
}
BAD = {
    "nothing": (b"", "empty"),
    "11 MB": (samples.jpeg() + bytes(MAX_BYTES), "max_bytes"),
    "text": (b"hello", "not_an_image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "not_an_image"),
    "gif": (samples.animated("GIF"), "not_an_image"),
    "gif that is a script": (samples.gif_that_is_a_script(), "not_an_image"),
    "tiff": (samples.encoded(samples.Image.new("L", (4, 4)), "TIFF"), "not_an_image"),
    "html that ends in a picture": (b"<html>" + samples.jpeg(), "not_an_image"),
    "zip behind it": (samples.zip_behind(), "polyglot"),
    "page in its comment": (samples.jpeg_with(b"<HTML><script>alert(1)</script>"), "polyglot"),
    "php in its comment": (samples.jpeg_with(b"<?php system($_GET['c']);"), "polyglot"),
    "pdf behind it": (samples.png() + b"\n%PDF-1.7\n", "polyglot"),
    "script behind a webp": (samples.webp() + b"<script>alert(1)</script>", "polyglot"),
    "moving png": (samples.animated("PNG"), "animated"),
    "moving webp": (samples.animated("WEBP"), "animated"),
    "png that ends too early": (samples.png()[:-20], "broken"),
    "webp that ends too early": (samples.webp()[:-8], "broken"),
    "jpeg whose segment leaves the file": (b"\xff\xd8\xff\xe0\xff\xff", "broken"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_still_picture_comes_in(name: str) -> None:
    require_picture(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_by_a_rule_that_has_a_name(name: str) -> None:
    data, rule = BAD[name]
    with pytest.raises(PhotoRefused) as caught:
        require_picture(data)
    assert caught.value.rule == rule


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_no_bytes_lead_to_another_error(name: str, data: st.DataObject) -> None:
    good = GOOD[name]
    at = data.draw(st.integers(0, len(good)))
    damaged = good[:at] + data.draw(st.binary(max_size=40)) + good[at + data.draw(st.integers(0, 40)) :]
    with suppress(PhotoRefused):
        require_picture(damaged)
