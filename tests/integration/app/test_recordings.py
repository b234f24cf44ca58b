"""A recorded log replayed into an empty installation: the same records in order, the same incidents."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from ioc.app.devices.description import parse_devices
from ioc.app.incidents.checksum import checksum
from ioc.app.recordings.entries import Entry, moment_us
from ioc.app.recordings.files import make_header, new_recording, open_recording
from ioc.app.recordings.making import record
from ioc.app.recordings.playback import LogPlayer, Shift
from ioc.app.recordings.recorder import LogRecorder
from ioc.app.recordings.selection import Selection
from ioc.app.rules.partition import decode
from ioc.model.events import Event
from ioc.model.records import EVENTS_TOPIC, Tick
from ioc.model.times import SECOND_US
from ioc.store.embedded import Dsns
from tests.acceptance.virtual_city import ROOT
from tests.conftest import Server
from tests.integration.app.rule_city import PARTITIONS, RuleCity, rule_city
from tests.integration.app.test_rule_history import START_US, seconds_of

LENGTH_S = 420


@asynccontextmanager
async def a_city(database: Dsns) -> AsyncIterator[RuleCity]:
    devices = parse_devices((ROOT / "demo" / "devices.geojson").read_bytes())
    async with rule_city(database, ROOT / "rules", devices=devices) as city:
        yield city


def received_in_between(seconds: Sequence[tuple[int, Sequence[Event]]]) -> list[tuple[int, list[Event]]]:
    """Let the gateway have taken each event at a moment of its own, as it does over the wall clock."""
    found = []
    for now_us, events in seconds:
        step = SECOND_US // (len(events) + 1)
        moments = [now_us - SECOND_US + step * (n + 1) for n in range(len(events))]
        found.append(
            (
                now_us,
                [
                    msgspec.structs.replace(e, received_us=at, time_us=e.time_us + n % 997)
                    for n, (e, at) in enumerate(zip(events, moments, strict=True))
                ],
            )
        )
    return found


async def recorded(city: RuleCity, path: Path, selection: Selection | None = None) -> int:
    recorder = LogRecorder(city.log)
    with new_recording(path, make_header(START_US, partitions=PARTITIONS)) as writer:
        entries = recorder.entries(await recorder.since(None), follow=False)
        await record(entries, writer, selection or Selection(), asyncio.Event(), lambda _: None)
        return writer.close(lost=recorder.lost).events


async def log_of(city: RuleCity) -> dict[int, list[Event | Tick]]:
    """Return what lies in each partition, in order."""
    found: dict[int, list[Event | Tick]] = {}
    ends = await city.log.ends(EVENTS_TOPIC)
    reader = await city.log.tail(EVENTS_TOPIC, dict.fromkeys(ends, 0))
    while reader.positions() != ends:
        for batch in await reader.poll(5_000, 1.0):
            found.setdefault(batch.partition, []).extend(
                entry for _, entry in decode(batch.records) if isinstance(entry, Event | Tick)
            )
    return found


async def test_a_replay_into_an_empty_log_has_its_partitions_record_for_record(
    database: Dsns, postgres: Server, migrated_template: str, tmp_path: Path
) -> None:
    other = postgres.create("ioc_replayed", template=migrated_template)
    path = tmp_path / "city.ndjson.zst"
    try:
        async with a_city(database) as city:
            await city.append_seconds(received_in_between(seconds_of(city, "demo", LENGTH_S)))
            events = await recorded(city, path)
            async with city.worker():
                pass
            before, happened = await log_of(city), await city.incidents()
        async with a_city(other) as city:
            player = LogPlayer(city.log, PARTITIONS)
            for again in (False, True):
                with open_recording(path) as reader:
                    played = await player.play(reader.entries(), shift=Shift(0), speed=None)
                # Interrupted and played again it is there once.
                assert played.repeats == (events if again else 0)
            async with city.worker(333):
                pass
            after, incidents = await log_of(city), await city.incidents()
    finally:
        postgres.drop("ioc_replayed")
    assert events > 15_000
    assert before == after
    assert len(happened) > 10
    assert incidents == happened
    assert checksum(incidents) == checksum(reversed(happened))
    assert checksum(incidents[1:]) != checksum(happened)


async def test_a_live_recording_holds_what_comes_from_then_on_and_ends_at_its_time(
    database: Dsns, tmp_path: Path
) -> None:
    path = tmp_path / "live.ndjson.zst"
    async with a_city(database) as city:
        seconds = received_in_between(seconds_of(city, "demo", 40))
        await city.append_seconds(seconds[:10])
        recorder = LogRecorder(city.log)
        selection = Selection(streams=frozenset({"traffic"}), to_us=seconds[29][0])
        entries = recorder.entries(await recorder.since(seconds[5][0]), follow=True)
        with new_recording(path, make_header(START_US)) as writer:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                making = group.create_task(
                    record(entries, writer, selection, asyncio.Event(), lambda _: None)
                )
                for piece in (seconds[10:25], seconds[25:]):
                    await city.append_seconds(piece)
                assert await making == ""
            writer.close()
    with open_recording(path) as reader:
        found = [entry for entries in reader.entries() for entry in entries]
    ticks = [entry.now_us for entry in found if isinstance(entry, Tick)]
    assert ticks == [now_us for now_us, _ in seconds[5:30]]
    wanted = [e for _, events in seconds[6:30] for e in events if e.stream == "traffic"]
    events = [entry for entry in found if isinstance(entry, Event)]
    assert sorted(events, key=order) == sorted(wanted, key=order)


def order(entry: Entry) -> tuple[int, str]:
    return moment_us(entry), entry.id if isinstance(entry, Event) else ""


async def test_a_replay_moved_to_now_keeps_distances_and_may_be_played_beside_the_original(
    database: Dsns, tmp_path: Path
) -> None:
    path = tmp_path / "city.ndjson.zst"
    async with a_city(database) as city:
        await city.append_seconds(received_in_between(seconds_of(city, "demo", 20)))
        events = await recorded(city, path)
        shift = Shift(3_600 * SECOND_US)
        with open_recording(path) as reader:
            played = await LogPlayer(city.log, PARTITIONS).play(reader.entries(), shift=shift, speed=None)
        assert (played.events, played.repeats) == (events, 0)
        for entries in (await log_of(city)).values():
            first, second = entries[: len(entries) // 2], entries[len(entries) // 2 :]
            assert [shift(entry) for entry in first] == second


@pytest.mark.parametrize("speed", [None, 10.0, 1.0, 0.5])
def test_nothing_moved_to_now_lies_ahead_of_the_clock_when_it_is_played(speed: float | None) -> None:
    first_us, length_us, now_us = 1_000 * SECOND_US, 600 * SECOND_US, 5_000_000 * SECOND_US + 700_000
    shift = Shift.to_now(first_us, first_us + length_us, now_us, speed)
    for place in range(0, 601, 60):
        at_us = first_us + place * SECOND_US
        passed_us = 0 if speed is None else round(place * SECOND_US / speed)
        assert at_us + shift.us <= now_us + passed_us
    if speed is not None and speed <= 1:
        assert now_us - SECOND_US < first_us + shift.us
    assert shift.us % SECOND_US == 0
