"""A camera's endless multipart stream gives the same parts however it is cut, and whatever it gets wrong."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.ingest.part_stream import NoBoundaryError, PartReader, StreamPart

XML = b"<EventNotificationAlert>\n<eventType>VMD</eventType>\n</EventNotificationAlert>"
LINE = b"Code=VideoMotion;action=Start;index=0"
DATA = b'Code=CrossLineDetection;action=Start;index=0;data={\n  "Name" : "gate",\n  "A" : { "B" : 1 }\n}'
JPEG = (
    b"\xff\xd8\xff\xe0" + b"pixels\r\n--boundaries are not here\n--boundary\r\n" + b"\x00" * 40 + b"\xff\xd9"
)


def part(
    body: bytes,
    media: bytes = b"",
    length: int | None = None,
    end: bytes = b"\r\n",
    boundary: bytes = b"boundary",
) -> bytes:
    head = b"--" + boundary + end
    if media:
        head += b"Content-Type: " + media + end
    if length is not None:
        head += b"Content-Length: %d" % length + end
    return head + end + body + end


def read(
    chunks: Sequence[bytes], head: int = 512, most: int = 4_096
) -> tuple[list[StreamPart], dict[str, int]]:
    reader = PartReader(head, most)
    try:
        found = [each for chunk in chunks for each in reader.feed(chunk)]
    except NoBoundaryError:
        return [], {"no boundary": 1}
    return found + reader.settle(), dict(reader.faults)


def bodies(chunks: Sequence[bytes], **bounds: int) -> list[bytes]:
    return [each.body.strip() for each in read(chunks, **bounds)[0]]


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(edges)]


HIKVISION = part(XML, b'application/xml; charset="UTF-8"', len(XML)) * 2
ANPR = part(XML, b"application/xml", len(XML)) + part(JPEG, b"image/jpeg", len(JPEG)) + HIKVISION
DAHUA = (
    part(LINE, b"text/plain", len(LINE), end=b"\r\n")
    + part(DATA, b"text/plain", len(DATA))
    + part(b"Heartbeat")
)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (HIKVISION, [XML, XML]),
        (ANPR, [XML, JPEG, XML, XML]),
        (DAHUA, [LINE, DATA, b"Heartbeat"]),
        (part(XML) + part(LINE), [XML, LINE]),
        (part(XML, end=b"\n") + part(DATA, end=b"\n"), [XML, DATA]),
        (part(XML, length=30) + part(DATA, length=60) + part(LINE, length=20), [XML, DATA, LINE]),
        (part(XML, length=500) + part(LINE, length=70) + part(XML), [XML, LINE, XML]),
        (part(JPEG, b"image/jpeg", 9) + part(XML), [JPEG[: JPEG.index(b"\n--boundary\r\n")], XML]),
        (part(XML) + b"--boundary--\r\n" + part(LINE), [XML, LINE]),
        (b"\r\npreamble\r\n" + part(XML), [XML]),
    ],
    ids=[
        "alerts", "alert with its picture", "lines, data and heartbeat", "no length", "bare line feeds",
        "length too short", "length too long", "length of a picture too short", "goes on behind its end",
        "preamble",
    ],
)  # fmt: skip
def test_every_document_is_found_whole(stream: bytes, expected: list[bytes]) -> None:
    found = [body for body in bodies([stream]) if not body.startswith(b"\x00")]
    assert found == [each.strip() for each in expected]


STREAMS = st.lists(
    st.builds(
        lambda body, media, stated, end: part(
            body, media, None if stated is None else max(len(body) + stated, 0), end
        ),
        st.sampled_from([XML, LINE, DATA, JPEG, b"", b"Heartbeat", b"x" * 5_000, b"\n--boundary"]),
        st.sampled_from([b"", b"application/xml", b"text/plain", b"image/jpeg", b"x" * 600]),
        st.sampled_from([None, 0, 0, -1, -30, 1, 7, 40, 900, 10_000]),
        st.sampled_from([b"\r\n", b"\n"]),
    ),
    max_size=6,
).map(b"".join)


@given(
    st.one_of(STREAMS, st.builds(bytes.__add__, st.binary(max_size=60), STREAMS)),
    st.lists(st.integers(0, 100_000), max_size=60),
)
def test_the_same_bytes_give_the_same_parts_however_they_are_cut(stream: bytes, places: list[int]) -> None:
    whole = read([stream])
    assert read(cut(stream, places)) == whole
    assert read([stream[at : at + 1] for at in range(len(stream))]) == whole


@given(st.lists(st.binary(max_size=3_000), max_size=30))
def test_any_bytes_give_parts_or_no_boundary_and_little_is_held(chunks: list[bytes]) -> None:
    reader = PartReader(512, 4_096)
    try:
        for chunk in chunks:
            reader.feed(chunk)
            assert reader.held_bytes <= 4_096 + 512
            reader.settle()
    except NoBoundaryError:
        assert sum(map(len, chunks)) > 4_096


def test_a_document_goes_before_the_next_boundary_where_its_length_says_so() -> None:
    reader = PartReader(512, 4_096)
    reader.feed(part(XML, b"application/xml", len(XML)).removesuffix(b"\r\n"))
    (found,) = reader.feed(b"\r\n")
    assert (found.body, found.content_type) == (XML, "application/xml")


@pytest.mark.parametrize("body", [XML, DATA, LINE + b"\r\n"])
def test_a_quiet_line_lets_a_whole_document_go_and_keeps_half_of_one(body: bytes) -> None:
    reader = PartReader(512, 4_096)
    assert reader.feed(b"--boundary\r\n\r\n" + body[:-2]) == []
    assert reader.waits
    assert reader.settle() == [], "half of it"
    reader.feed(body[-2:] + b"\r\n--bou")
    (found,) = reader.settle()
    assert found.body == body.strip()
    assert [each.body for each in reader.feed(b"ndary\r\n\r\n" + XML + b"\n--boundary\n")] == [XML]


def test_a_quiet_line_lets_a_whole_picture_go_whatever_its_bytes_look_like() -> None:
    reader = PartReader(512, 4_096)
    assert reader.feed(part(JPEG, b"image/jpeg", len(JPEG))) == []
    assert [each.body for each in reader.settle()] == [JPEG]
    assert [each.body for each in reader.feed(part(XML) + b"--boundary\r\n")] == [XML]
    assert not reader.faults


def test_a_giant_part_is_passed_over_and_counted_and_the_next_one_is_taken() -> None:
    found, faults = read(
        [part(b"<a>" + b"x" * 9_000 + b"</a>"), part(b"x" * 9_000, b"image/jpeg", 9_000), part(XML)]
    )
    assert ([each.body for each in found], faults) == ([XML], {"too_large": 2})


def test_a_head_without_end_is_passed_over_and_counted() -> None:
    found, faults = read([b"--boundary\r\nContent-Type: " + b"x" * 600 + b"\r\n\r\n\r\n", part(XML)])
    assert ([each.body for each in found], faults) == ([XML], {"malformed": 1})


def test_what_is_no_multipart_is_said_to_be_none() -> None:
    with pytest.raises(NoBoundaryError):
        PartReader(512, 1_000).feed(b"<html>" * 300)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("head", [b"", b"Content-Type: text/plain", b"Content-Length:37"])
@given(places=st.lists(st.integers(0, 500), max_size=6))
def test_a_part_without_the_empty_line_before_its_body_is_read_and_so_is_the_next(
    end: bytes, head: bytes, places: list[int]
) -> None:
    careless = b"--boundary" + end + (head + end if head else b"") + LINE + end
    stream = part(XML, b"application/xml") + careless + part(DATA, b"text/plain") + part(b"Heartbeat")
    found, faults = read(cut(stream, places))
    assert [each.body.strip() for each in found] == [XML, LINE, DATA, b"Heartbeat"]
    assert faults == {}
