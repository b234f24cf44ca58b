"""A recording sent through the front door: in order, each event once, at the times that were asked for."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.app.recordings.entries import Entry
from ioc.app.recordings.files import make_header, new_recording
from ioc.app.recordings.frames import FRAME_ENTRIES
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import DecodeContext
from ioc.model.events import CameraCount, Event, TrafficFlow
from ioc.model.records import Tick
from simulators import front_door
from simulators.events_file import EventsFile, EventsFileError
from simulators.front_door import FrontDoor, FrontDoorError
from simulators.play import Moved, Played, Player, moved_to_now, senders, span_of
from simulators.times import SECOND_US, format_us
from tests.unit.simulators.conftest import START_US
from tests.unit.simulators.test_rerun import Answer, Service, taken

STILL = Moved(0)
KEYS = {"gw-1": "key-of-gw-1", "det-1": "key-of-det-1"}


def entries(seconds: int) -> list[Entry]:
    """Of each second its tick, and behind it two events of a camera and one of a detector."""
    found: list[Entry] = []
    for second in range(seconds):
        at_us = START_US + second * SECOND_US
        found.append(Tick(at_us))
        for number, source in enumerate(("cam-1", "cam-2", "det-1")):
            data = TrafficFlow(speed_kmh=second + 0.1) if source == "det-1" else CameraCount(people=second)
            received_us = at_us + (number + 1) * 100_003
            event = Event(
                id=f"{source}-{second}",
                source=source,
                time_us=received_us - 7_777,
                received_us=received_us,
                data=data,
                ward="25747",
            )
            found.append(event)
    return found


def recording(path: Path, found: list[Entry]) -> EventsFile:
    with new_recording(path, make_header(START_US), replace=True) as writer:
        writer.write(found)
        writer.close()
    return EventsFile(path)


async def play(
    file: EventsFile,
    answer: Answer = taken,
    *,
    keys: dict[str, str] = KEYS,
    keeper: str | None = None,
    moved: Moved = STILL,
    stop: asyncio.Event | None = None,
) -> tuple[Played, list[tuple[str, str, bytes]]]:
    service, stop = Service(answer), stop or asyncio.Event()
    async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as client:
        player = Player(
            FrontDoor(client, "http://ioc", keys, stop),
            senders(keys, lambda source: "gw-1" if source.startswith("cam") else source),
            keeper=keeper,
            moved=moved,
            speed=None,
        )
        return await player.play(file.lines(), stop, lambda _: None), service.requests


def sent(requests: list[tuple[str, str, bytes]]) -> list[dict[str, object]]:
    return [json.loads(line) for what, _, body in requests if what == "events" for line in body.splitlines()]


async def test_each_source_speaks_through_its_own_sender_and_order_is_kept(tmp_path: Path) -> None:
    played, requests = await play(recording(tmp_path / "x", entries(5)))
    assert (played.events, played.accepted, played.rejected, played.unsendable) == (15, 15, 0, {})
    assert [key for _, key, _ in requests] == ["det-1", "gw-1"] * 5
    cameras = [event["id"] for event in sent(requests) if str(event["source"]).startswith("cam")]
    assert cameras == [f"cam-{n}-{second}" for second in range(5) for n in (1, 2)]


async def test_ingest_reads_from_each_line_the_event_that_was_recorded(tmp_path: Path) -> None:
    found = entries(3)
    _, requests = await play(recording(tmp_path / "x", found))
    body = b"\n".join(body for what, _, body in requests if what == "events")
    context = DecodeContext(device_id="gw", now_us=START_US, content_type="application/x-ndjson")
    decoded = DECODERS["cloudevents"].decode(body, context)
    assert not decoded.rejections
    assert not decoded.dropped_fields
    wanted = {e.id: (e.source, e.time_us, e.data) for e in found if isinstance(e, Event)}
    assert {d.id: (d.source, d.time_us, d.data) for d in decoded.events} == wanted


async def test_the_time_is_told_tick_by_tick_before_what_came_behind_it(tmp_path: Path) -> None:
    _, requests = await play(recording(tmp_path / "x", entries(3)), keeper="gw-1")
    assert [what for what, _, _ in requests] == ["clock", "events", "events"] * 3
    told = [json.loads(body)["now"] for what, _, body in requests if what == "clock"]
    assert told == [format_us(START_US + n * SECOND_US) for n in range(3)]


async def test_what_was_not_acknowledged_is_sent_again_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_door, "PAUSE_S", 0.0)
    answers = [429, 503, 202]

    def busy(what: str, body: bytes) -> httpx.Response:
        status = answers.pop(0) if answers else 202
        return taken(what, body) if status == 202 else httpx.Response(status, json={"detail": "later"})

    played, requests = await play(recording(tmp_path / "x", entries(1)), busy)
    assert requests[0] == requests[1] == requests[2]
    assert (played.events, played.accepted) == (3, 3)


async def test_what_nobody_can_send_is_counted_by_source(tmp_path: Path) -> None:
    played, requests = await play(recording(tmp_path / "x", entries(4)), keys={"gw-1": "key-of-gw-1"})
    assert played.unsendable == {"det-1": 4}
    assert played.events == len(sent(requests)) == 8
    assert not played.is_whole


async def test_a_replay_is_whole_only_where_the_service_has_all_of_the_recording(tmp_path: Path) -> None:
    played, _ = await play(recording(tmp_path / "x", entries(2)))
    assert played.is_whole


async def test_what_an_overloaded_service_leaves_out_is_counted_and_makes_a_replay_incomplete(
    tmp_path: Path,
) -> None:
    def busy(what: str, body: bytes) -> httpx.Response:
        count = len(body.splitlines())
        return httpx.Response(202, json={"accepted": count - 1, "duplicate": 0, "rejected": [], "shed": 1})

    played, _ = await play(recording(tmp_path / "x", entries(4)), busy)
    assert (played.events, played.accepted, played.shed) == (12, 4, 8)
    assert not played.all_taken
    assert not played.is_whole


async def test_a_replay_that_was_stopped_before_the_end_says_so(tmp_path: Path) -> None:
    stop = asyncio.Event()

    def stopping(what: str, body: bytes) -> httpx.Response:
        stop.set()
        return taken(what, body)

    file = recording(tmp_path / "x", entries(9))
    played, _ = await play(file, stopping, stop=stop)
    assert not file.cut_off, "it is whole, nobody read so far"
    assert played.all_taken
    assert 0 < played.events < 27
    assert not played.is_whole


async def test_a_refused_body_ends_the_replay_with_the_services_reason(tmp_path: Path) -> None:
    with pytest.raises(FrontDoorError, match="refuses the events of det-1: HTTP 413: too large"):
        await play(
            recording(tmp_path / "x", entries(1)),
            lambda *_: httpx.Response(413, json={"detail": "too large"}),
        )


async def test_moved_events_have_other_ids_and_keep_their_distances(tmp_path: Path) -> None:
    file = recording(tmp_path / "x", entries(3))
    plain, moved = sent((await play(file))[1]), sent((await play(file, moved=Moved(3_600)))[1])
    assert [event["id"] for event in moved] == [f"{event['id']}~3600" for event in plain]
    times = [
        [msgspec.json.decode(f'"{e["time"]}"', type=datetime) for e in found] for found in (plain, moved)
    ]
    assert {(later - before).total_seconds() for before, later in zip(*times, strict=True)} == {3600.0}


@given(st.integers(1, 10**6), st.sampled_from([None, 0.5, 1.0, 10.0]), st.integers(0, SECOND_US - 1))
def test_nothing_moved_to_now_lies_ahead_of_the_clock(
    seconds: int, speed: float | None, rest_us: int
) -> None:
    now_us = START_US + 10**12 + rest_us
    moved = moved_to_now(START_US, START_US + seconds * SECOND_US, now_us, speed)
    for place in (0, seconds // 2, seconds):
        played_us = 0 if speed is None else round(place * SECOND_US / speed)
        assert START_US + (place + moved.seconds) * SECOND_US <= now_us + played_us


def test_a_recording_that_was_cut_off_is_read_to_its_last_complete_frame(tmp_path: Path) -> None:
    path = tmp_path / "x"
    file = recording(path, entries(FRAME_ENTRIES))
    whole = list(file.lines())
    assert not file.cut_off
    assert len(whole) == 4 * FRAME_ENTRIES
    assert span_of(whole) == (START_US, START_US + (FRAME_ENTRIES - 1) * SECOND_US + 300_009)
    path.write_bytes(path.read_bytes()[:-600])
    part = list(file.lines())
    assert file.cut_off
    assert part == whole[: len(part)]
    assert len(part) == 3 * FRAME_ENTRIES


@pytest.mark.parametrize("raw", [b"", b"{}\n" * 9, b"\x5a\x2a\x4d\x18\x02\x00\x00\x00{}"])
def test_another_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    with pytest.raises(EventsFileError, match=r"no recording|required field"):
        list(EventsFile(path).lines())
