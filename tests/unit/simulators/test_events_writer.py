"""What a simulated city sent, as a recording that the service reads as its own."""

from io import BytesIO
from pathlib import Path

from ioc.app.recordings.frames import FrameReader
from ioc.model.events import Event
from ioc.model.records import Tick
from simulators.events_file import EventsFile
from simulators.events_writer import FRAME_LINES, EventsWriter
from simulators.fleet import Fleet
from simulators.times import SECOND_US
from simulators.world import PORTAL, World
from tests.unit.simulators.conftest import START_US


def written(fleet: Fleet, seconds: int) -> tuple[bytes, int]:
    world = World(fleet, [], seed=1, start_us=START_US)
    file, sent = BytesIO(), 0
    writer = EventsWriter(file, fleet, START_US, "test")
    for second in range(seconds):
        from_us = START_US + second * SECOND_US
        events = world.events_between(from_us, from_us + SECOND_US)
        sent += len(events)
        writer.second(events, from_us + SECOND_US)
    writer.close()
    assert writer.events == sent
    return file.getvalue(), sent


def test_the_service_reads_every_event_with_its_ward_and_place_and_the_ticks_behind_them(
    fleet: Fleet,
) -> None:
    raw, sent = written(fleet, 240)
    assert sent > FRAME_LINES, "more than a frame"
    reader = FrameReader(BytesIO(raw), "test")
    entries = [entry for frame in reader.entries() for entry in frame]
    assert reader.footer is not None
    assert (reader.footer.events, reader.footer.ticks, reader.footer.frames) == (sent, 240, 3)
    assert reader.footer.streams.keys() == {"camera", "traffic", "feedback"}
    now_us = START_US
    for entry in entries:
        if isinstance(entry, Tick):
            now_us += SECOND_US
            assert entry.now_us == now_us
            continue
        assert isinstance(entry, Event)
        assert now_us <= entry.time_us < entry.received_us == now_us + SECOND_US
        unit = fleet.units[entry.source]
        if entry.source != PORTAL:
            assert (entry.ward, entry.lon, entry.lat) == (unit.ward, unit.lon, unit.lat)
    reports = [entry for entry in entries if isinstance(entry, Event) and entry.source == PORTAL]
    assert reports
    assert {report.ward for report in reports} - {fleet.units[PORTAL].ward}, (
        "reports lie where they were made"
    )


def test_the_players_reader_takes_it_and_the_same_events_give_the_same_bytes(
    fleet: Fleet, tmp_path: Path
) -> None:
    raw, sent = written(fleet, 20)
    path = tmp_path / "x.ndjson.zst"
    path.write_bytes(raw)
    lines = list(EventsFile(path).lines())
    assert len(lines) == sent + 20
    assert sum(line.is_tick for line in lines) == 20
    assert written(fleet, 20)[0] == raw
