"""The file of a recording: everything comes back, and a file that was cut off says how far it is good."""

import hashlib
import io
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import cramjam
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.app.cli.errors import next_step
from ioc.app.recordings import DamagedRecording, NotARecording, ParquetUnavailable
from ioc.app.recordings.entries import Entry, decode_entry, encode_entries
from ioc.app.recordings.files import make_header, new_recording, open_recording
from ioc.app.recordings.frames import FRAME_ENTRIES, FrameReader, FrameWriter
from ioc.model.events import (
    AlarmKind,
    CameraAlarm,
    CameraCount,
    CameraObject,
    CameraPlate,
    Event,
    FeedbackReport,
    FeedbackVote,
    TrafficFlow,
)
from ioc.model.records import Tick
from ioc.model.times import parse_us

BEGIN_US = parse_us("2026-11-23T07:00:00+07:00")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
EXTRA = st.dictionaries(
    TEXT, TEXT | st.integers(-(2**53), 2**53) | NUMBER | st.booleans() | st.none(), max_size=2
)
DATA = st.one_of(
    st.builds(
        CameraCount, people=st.integers(0, 99), counts=st.dictionaries(TEXT, st.integers(0, 9)), extra=EXTRA
    ),
    st.builds(
        CameraObject, label=TEXT, box=st.none() | st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), extra=EXTRA
    ),
    st.builds(CameraAlarm, kind=st.sampled_from(AlarmKind), active=st.booleans(), zone=st.none() | TEXT),
    st.builds(CameraPlate, plate=TEXT, speed_kmh=st.none() | NUMBER),
    st.builds(TrafficFlow, speed_kmh=st.none() | NUMBER, volume_veh=st.none() | st.integers(0, 99)),
    st.builds(
        FeedbackReport, category=TEXT, text=TEXT, photos=st.lists(TEXT, max_size=2).map(tuple), extra=EXTRA
    ),
    st.builds(FeedbackVote, report_id=TEXT, satisfied=st.booleans(), text=st.none() | TEXT),
)
TIME = st.integers(BEGIN_US - 10**12, BEGIN_US + 10**12)
EVENT = st.builds(
    Event,
    id=TEXT,
    source=TEXT,
    time_us=TIME,
    received_us=TIME,
    data=DATA,
    ward=st.none() | TEXT,
    lon=st.none() | NUMBER,
    lat=st.none() | NUMBER,
    subject=st.none() | TEXT,
    trace=st.none() | TEXT,
)
ENTRY = EVENT | st.builds(Tick, TIME)


@given(ENTRY)
def test_an_entry_is_one_line_and_comes_back_exactly(entry: Entry) -> None:
    line = encode_entries([entry])
    assert line.count(b"\n") == 1
    assert line.splitlines() == [line[:-1]]
    assert decode_entry(line[:-1]) == entry


def entries(count: int) -> list[Entry]:
    return [
        Tick(BEGIN_US + n * 1_000)
        if n % 10 == 9
        else Event(
            id=f"e{n}",
            source="cam-1",
            time_us=BEGIN_US + n * 1_000 + 7,
            received_us=BEGIN_US + n * 1_000,
            data=CameraCount(people=n % 7),
            ward="25747",
        )
        for n in range(count)
    ]


def written(count: int) -> bytes:
    file = io.BytesIO()
    writer = FrameWriter(file, make_header(BEGIN_US))
    writer.write(entries(count))
    writer.close(lost=3)
    return file.getvalue()


def read(raw: bytes) -> tuple[list[Entry], FrameReader]:
    reader = FrameReader(io.BytesIO(raw), "x.ndjson.zst")
    return [entry for found in reader.entries() for entry in found], reader


def test_what_was_written_comes_back_with_its_counts() -> None:
    count = 2 * FRAME_ENTRIES + 100
    found, reader = read(written(count))
    assert found == entries(count)
    assert reader.cut_off is None
    assert reader.footer is not None
    footer = reader.footer
    assert (footer.frames, footer.events, footer.ticks, footer.lost) == (3, count * 9 // 10, count // 10, 3)
    assert footer.streams == {"camera": footer.events}
    assert (footer.first, footer.last) == ("2026-11-23T00:00:00.000Z", "2026-11-23T00:00:10.099Z")


def test_lines_too_long_for_one_frame_become_several() -> None:
    long = [
        msgspec.structs.replace(entry, data=CameraCount(extra={"x": "y" * 60_000}))
        for entry in entries(900)
        if isinstance(entry, Event)
    ]
    file = io.BytesIO()
    writer = FrameWriter(file, make_header(BEGIN_US))
    writer.write(long)
    assert writer.close().frames == 4
    assert read(file.getvalue())[0] == long


def test_other_tools_see_the_lines_and_nothing_else(tmp_path: Path) -> None:
    raw = written(FRAME_ENTRIES + 1)
    _, reader = read(raw)
    plain = bytes(cramjam.zstd.decompress(raw))
    assert plain == encode_entries(entries(FRAME_ENTRIES + 1))
    assert reader.footer is not None
    assert reader.footer.sha256 == hashlib.sha256(plain).hexdigest()
    if shutil.which("zstd"):
        path = tmp_path / "x.zst"
        path.write_bytes(raw)
        assert subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout == plain


SMALL = 50
"""Entries of a frame where a frame need not be full."""


def written_small() -> bytes:
    file = io.BytesIO()
    writer = FrameWriter(file, make_header(BEGIN_US))
    for start in range(0, 3 * SMALL, SMALL):
        writer.write(entries(3 * SMALL)[start : start + SMALL])
        writer.flush()
    writer.close()
    return file.getvalue()


RAW = written_small()


@given(st.integers(0, len(RAW) - 1))
def test_a_file_cut_off_anywhere_gives_its_complete_frames_and_says_so(length: int) -> None:
    try:
        found, reader = read(RAW[:length])
    except NotARecording:
        assert length < 300  # not even the header is whole
        return
    assert reader.footer is None
    assert reader.cut_off == f"cut off after {len(found) // SMALL} complete frames"
    assert len(found) % SMALL == 0
    assert found == entries(len(found))


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_no_changed_byte_ever_gives_an_entry_that_was_not_written(place: int, change: int) -> None:
    raw = bytearray(RAW)
    raw[place] ^= change
    found: list[Entry] = []
    try:
        for piece in FrameReader(io.BytesIO(raw), "x").entries():
            found += piece
    except (DamagedRecording, NotARecording):
        pass
    assert found == entries(len(found))


def test_a_changed_byte_among_the_lines_is_an_error() -> None:
    for place in range(len(RAW) // 4, len(RAW) // 2):
        raw = bytearray(RAW)
        raw[place] ^= 0x41
        with suppress(DamagedRecording):
            _, reader = read(bytes(raw))
            # What is left: a length that reaches beyond the end of the file.
            assert reader.cut_off is not None


@pytest.mark.parametrize("raw", [b"", b"{}", b"\x28\xb5\x2f\xfd" + bytes(40), RAW[:4]])
def test_another_file_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(NotARecording, match=r"x\.ndjson\.zst is no recording"):
        read(raw)


def test_a_line_of_an_unknown_type_is_named() -> None:
    line = b'{"specversion":"1.0","id":"1","source":"s","type":"camera.dream","time":"2026-11-23T00:00:00Z",'
    with pytest.raises(DamagedRecording, match=r"camera\.dream"):
        decode_entry(line + b'"received":"2026-11-23T00:00:00Z","data":{}}')


@pytest.mark.parametrize("suffix", [".ndjson.zst", ".parquet"])
def test_both_forms_hold_the_same_and_are_their_owners_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    with new_recording(path, make_header(BEGIN_US, partitions=4, anonymous=True)) as writer:
        writer.write(entries(6_123))
        footer = writer.close(ended="stopped")
    with open_recording(path) as reader:
        assert [entry for found in reader.entries() for entry in found] == entries(6_123)
        assert (reader.header.partitions, reader.header.anonymous, reader.cut_off) == (4, True, None)
        assert reader.footer == footer
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError), new_recording(path, make_header(BEGIN_US)):
        pass


def test_a_parquet_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with new_recording(path, make_header(BEGIN_US)) as writer:
        writer.write(entries(100))
        writer.close()
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(NotARecording, match="cut off"), open_recording(path):
        pass


def test_without_its_extra_parquet_is_refused_and_the_other_form_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "x.parquet"
    with pytest.raises(ParquetUnavailable, match="not installed"), new_recording(path, make_header(BEGIN_US)):
        pass
    assert not path.exists()
    assert "docs/recordings.md" in next_step(ParquetUnavailable("x"))
    with new_recording(tmp_path / "x.zst", make_header(BEGIN_US)) as writer:
        writer.close()
