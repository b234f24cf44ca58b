"""Multipart bodies as hardware writes them."""

import pytest

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.multipart import MAX_PARTS, documents, split_parts
from tests.unit.ingest.fakes import NOW_US

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))


def body_of(newline: bytes = b"\r\n", end: bytes = b"--") -> bytes:
    parts = [
        (b'form-data; name="json"', b"application/json; charset=utf-8", b'{"a": 1}'),
        (b'form-data; name="upload"; filename="a.jpg"', b"image/jpeg", JPEG),
    ]
    lines = [
        newline.join([b"--b", b"Content-Disposition: " + where, b"Content-Type: " + media, b"", body])
        for where, media, body in parts
    ]
    return newline.join([*lines, b"--b" + end])


def context(content_type: str | None = "multipart/form-data", boundary: str | None = "b") -> DecodeContext:
    return DecodeContext(device_id="d", now_us=NOW_US, content_type=content_type, boundary=boundary)


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_parts_keep_name_type_and_every_byte(newline: bytes) -> None:
    [document, picture], _ = split_parts(body_of(newline), "b")
    assert (document.name, document.media, document.body) == ("json", "application/json", b'{"a": 1}')
    assert (picture.name, picture.media, picture.body) == ("upload", "image/jpeg", JPEG)


def test_pictures_are_counted_and_left_out() -> None:
    found = documents(body_of(), context())
    assert [part.body for part in found.parts] == [b'{"a": 1}']
    assert (found.pictures, found.rejections) == (1, [])


def test_a_picture_without_a_type_is_known_by_its_first_bytes() -> None:
    found = documents(b"--b\r\n\r\n" + JPEG + b"\r\n--b--", context())
    assert (found.parts, found.pictures) == ([], 1)
    assert [rejection.rule for rejection in found.rejections] == ["empty"]


@pytest.mark.parametrize("boundary", [None, "b", "--b"])
def test_a_boundary_that_is_missing_or_has_its_dashes_already_is_found(boundary: str | None) -> None:
    assert len(split_parts(body_of(), boundary)[0]) == 2


def test_a_stream_that_is_cut_off_loses_only_what_is_incomplete() -> None:
    cut = body_of(end=b"\r\nContent-Type: text/plain\r\n\r\nthe next")
    parts, rejections = split_parts(cut, "b")
    assert (parts[-1].body, rejections) == (b"the next", [])
    in_headers = body_of(end=b"\r\nContent-Type: text/pl")
    found = documents(in_headers, context())
    assert [part.body for part in found.parts] == [b'{"a": 1}']
    assert [(each.line, each.rule) for each in found.rejections] == [(3, "multipart")]


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("head", [[], [b"Content-Type: text/plain", b"Content-Length:39"]])
@pytest.mark.parametrize(
    "document",
    [
        b"Heartbeat",
        b"Code=AudioMutation;action=Start;index=0",
        b'{"a": 1}',
        b"<a>\n<b/>\n</a>",
        b"Events[0].A=1",
    ],
)
def test_a_part_without_the_empty_line_before_its_body_is_read_like_its_neighbours(
    newline: bytes, head: list[bytes], document: bytes
) -> None:
    careless = newline.join([b"--b", *head, document, b""])
    parts, rejections = split_parts(careless + body_of(newline), "b")
    assert [part.body for part in parts] == [document, b'{"a": 1}', JPEG]
    assert (parts[0].media, rejections) == ("text/plain" if head else "", [])


def test_headers_that_do_not_end_cost_their_own_part_alone() -> None:
    endless = b"--b\r\n" + b"X: y\r\n" * 2_000 + b"\r\nbody\r\n"
    found = documents(endless + body_of(), context())
    assert [part.line for part in found.parts] == [2]
    assert [(each.line, each.rule) for each in found.rejections] == [(1, "multipart")]


def test_a_boundary_inside_a_picture_is_none() -> None:
    body = b"--b\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff x--b y\r\n--b--"
    assert [part.body for part in split_parts(body, "b")[0]] == [b"\xff\xd8\xff x--b y"]


def test_a_body_is_multipart_by_its_first_line_where_no_type_is_stated() -> None:
    assert documents(body_of(), context(None, None)).pictures == 1
    [whole] = documents(b'{"a": "--b"}', context(None, None)).parts
    assert whole.body == b'{"a": "--b"}'


@pytest.mark.parametrize(
    "body",
    [b"", b"no boundary"],
)
def test_what_has_no_part_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        split_parts(body, "b")
    assert refused.value.rule == "multipart"
    assert documents(body, context()).rejections[0].rule == "multipart"


def test_parts_are_bounded() -> None:
    part = b"--b\r\n\r\nx\r\n"
    assert len(split_parts(part * MAX_PARTS, "b")[0]) == MAX_PARTS
    with pytest.raises(Refused):
        split_parts(part * (MAX_PARTS + 1), "b")
