"""Forms with pictures: the same whatever the chunks, and refused by name beyond each bound."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.api.georeport_form import MAX_FORM_BYTES, MAX_FORM_TOTAL, MAX_PICTURES, MultipartForm
from ioc.api.georeport_input import MAX_FIELDS, GeoReportError
from ioc.photos.check import MAX_BYTES

TYPE = "multipart/form-data; boundary=----b"
FILE = 'form-data; name="media"; filename="a.jpg"'


def part(disposition: str, body: bytes, *headers: str) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *headers]
    return b"------b\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"\r\n"


def field(name: str, value: bytes) -> bytes:
    return part(f'form-data; name="{name}"', value)


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"------b--\r\n"


def read(*chunks: bytes) -> MultipartForm:
    form = MultipartForm(TYPE)
    for chunk in chunks:
        form.feed(chunk)
    form.finish()
    return form


def fault(*parts: bytes) -> tuple[int, str]:
    with pytest.raises(GeoReportError) as caught:
        read(body(*parts))
    return caught.value.status, caught.value.errors[0].en


@given(cuts=st.lists(st.integers(0, 600), max_size=12))
def test_a_form_is_the_same_in_whatever_chunks_it_comes(cuts: Sequence[int]) -> None:
    whole = body(
        field("api_key", b"k"),
        field("attribute[depth]", "ngập".encode()),
        part(FILE, b"\r\n--not the end\x00\xff", "Content-Type: image/jpeg"),
        part('form-data; name="media[]"; filename="\xe1nh.png"', b"second"),
        part('form-data; name="media"; filename=""', b""),
        field("description", b" a\r\nb "),
    )
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    form = read(*(whole[a:b] for a, b in pairwise(edges)))
    assert form.arguments.pairs == [("api_key", "k"), ("attribute[depth]", "ngập"), ("description", "a\r\nb")]
    assert form.pictures == (b"\r\n--not the end\x00\xff", b"second")


def test_a_field_behind_a_picture_is_none_before_it_however_the_chunks_fall() -> None:
    form = read(body(field("a", b"1"), part(FILE, b"x"), field("api_key", b"k")))
    assert form.arguments_before.pairs == [("a", "1")]
    assert form.arguments.pairs == [("a", "1"), ("api_key", "k")]


def test_what_came_before_the_first_picture_is_known_when_it_begins() -> None:
    form = MultipartForm(TYPE)
    form.feed(field("api_key", b"k"))
    assert not form.at_pictures
    form.feed(part(FILE, b"x" * 100)[:-40])
    assert form.at_pictures and form.arguments.one("api_key") == "k" and form.pictures == ()


def test_bounds_of_fields_and_pictures_are_met_exactly_and_not_passed() -> None:
    half = b"x" * (MAX_BYTES // 2)
    form = read(body(field("f", b"x" * (MAX_FORM_BYTES - 1)), part(FILE, half), part(FILE, half)))
    assert sum(map(len, form.pictures)) == MAX_BYTES
    assert fault(part(FILE, half), part(FILE, half + b"x"))[0] == 413
    assert fault(field("f", b"x" * MAX_FORM_BYTES))[0] == 413
    assert len(read(body(*[part(FILE, b"x")] * MAX_PICTURES)).pictures) == MAX_PICTURES
    assert fault(*[part(FILE, b"x")] * (MAX_PICTURES + 1)) == (400, "media: has at most 5 pictures")
    read(body(*[field("f", b"")] * MAX_FIELDS))
    assert fault(*[field("f", b"")] * (MAX_FIELDS + 1))[0] == 400


def test_what_stands_around_the_parts_is_bounded_too() -> None:
    with pytest.raises(GeoReportError) as caught:
        read(body(field("f", b"x")), *[b"\r\n" * 32_768] * (MAX_FORM_TOTAL // 65_536 + 1))
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part('form-data; name="photo"; filename="a"', b"x")], "photo: pictures are sent as media"),
        ([part(FILE, b"eA==", "Content-Transfer-Encoding: base64")], "media: has to be sent as it is"),
        ([field("description", b"\xff")], "description: expected UTF-8"),
        ([field("description", b"a\x00")], "NUL"),
        ([part("attachment", b"x")], "no valid form"),
        ([part("form-data", b"x")], "no valid form"),
        ([part(f'form-data; name="{"x" * 5_000}"', b"x")], "no valid form"),
        ([part('form-data; name="a"', b"x", *[f"H{n}: x" for n in range(20)])], "no valid form"),
        ([b"no part\r\n"], "no valid form"),
    ],
)
def test_what_is_at_fault_is_named(parts: list[bytes], message: str) -> None:
    status, said = fault(*parts)
    assert status == 400 and message in said


@pytest.mark.parametrize("cut", [5, 10, 40, 90])
def test_a_form_that_was_cut_short_is_refused(cut: int) -> None:
    whole = body(field("api_key", b"k"), part(FILE, b"x" * 50))
    with pytest.raises(GeoReportError):
        read(whole[:-cut])


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 300}"]
)
def test_a_form_without_a_usable_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(GeoReportError):
        MultipartForm(content_type)


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_the_refusal(data: bytes) -> None:
    form = MultipartForm(TYPE)
    try:
        form.feed(b"------b\r\n" + data)
        form.finish()
    except GeoReportError as error:
        assert error.status in (400, 413)
