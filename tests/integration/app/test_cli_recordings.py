"""Recordings and open data by the command line: what is written, what is refused, what the audit is told."""

import asyncio
import json
from pathlib import Path

import psycopg
import pytest

from ioc.app.recordings.files import make_header, new_recording
from ioc.eventlog.postgres import PostgresLog
from ioc.model.events import CameraPlate, Event, FeedbackReport
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, Tick
from ioc.model.times import SECOND_US, parse_us
from ioc.store.embedded import Dsns
from ioc.store.open_data import DATASETS
from ioc.store.pool import open_pool
from ioc.store.writer import HistoryWriter
from tests.integration.app.test_cli import Ioc, ioc

__all__ = ["ioc"]

START_US = parse_us("2026-11-23T07:00:00+07:00")
EVENTS = [
    Event(
        id=f"e{n}",
        source="citizens" if n % 2 else "cam-1",
        time_us=START_US + n * SECOND_US,
        received_us=START_US + n * SECOND_US,
        data=FeedbackReport(category="flood", text="gọi 0912 345 678")
        if n % 2
        else CameraPlate(plate="61A-123.45"),
        ward="25747",
        lon=106.65,
        lat=10.98,
    )
    for n in range(10)
]


def fill(database: Dsns) -> None:
    """Put the events into history and make the log's topics."""

    async def work() -> None:
        async with open_pool(database.app, name="test") as pool:
            log = PostgresLog(pool, database.app)
            for topic in (EVENTS_TOPIC, WIDE_TOPIC):
                await log.create_topic(topic, 2)
            async with pool.connection() as connection:
                await HistoryWriter().write(connection, EVENTS)

    asyncio.run(work())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "city.ndjson.zst"
    with new_recording(path, make_header(START_US)) as writer:
        for event in EVENTS:
            writer.write([event, Tick(event.received_us)])
        writer.close()
    return path


def test_a_recording_goes_into_the_log_and_out_again_and_the_audit_log_knows_who_took_it(
    ioc: Ioc, database: Dsns, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    monkeypatch.setenv("IOC_REPLAY__ENABLED", "true")
    code, out, _ = ioc("replay", str(file), "--into-log", "--json")
    assert (code, json.loads(out)["events"]) == (0, 10)
    code, out, _ = ioc("record", "--from", "start", "--stored", "--out", "again.ndjson.zst", "--json")
    again = json.loads(out)
    assert (code, again["events"], again["ticks"]) == (0, 10, 10)
    before = json.loads(ioc("recording", "inspect", str(file), "--json")[1])
    assert again["sha256"] == before["sha256"]
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute("SELECT subject FROM audit_entry WHERE op = 'log_recorded'").fetchall()
    assert rows == [("again.ndjson.zst",)]
    code, _, err = ioc("record", "--from", "start", "--stored", "--out", "again.ndjson.zst")
    assert (code, "again.ndjson.zst: File exists" in err) == (1, True)
    code, _, err = ioc("replay", str(file), "--into-log")
    assert (code, "--resume" in err) == (1, True)


def test_a_recording_is_cut_made_anonymous_and_converted(ioc: Ioc, file: Path) -> None:
    code, out, _ = ioc(
        "recording", "cut", str(file), "--out", "cut.parquet", "--type", "camera.plate", "--json"
    )
    assert (code, json.loads(out)["events"]) == (0, 5)
    code, out, _ = ioc("recording", "cut", "cut.parquet", "--out", "back.ndjson.zst", "--json")
    assert (code, json.loads(out)["streams"]) == (0, {"camera": 5})
    for name in ("a", "b"):
        assert ioc("recording", "anonymise", str(file), "--out", f"{name}.ndjson.zst", "--key", "key")[0] == 0
    assert ioc("recording", "anonymise", str(file), "--out", "c.ndjson.zst")[0] == 0
    sums = [json.loads(ioc("recording", "inspect", f"{name}.ndjson.zst", "--json")[1]) for name in "abc"]
    assert sums[0]["sha256"] == sums[1]["sha256"] != sums[2]["sha256"]
    assert all(found["anonymous"] for found in sums)
    assert Path("key").stat().st_mode & 0o777 == 0o600


def test_a_recording_that_was_cut_off_says_so_by_its_exit_code(ioc: Ioc, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])
    code, out, err = ioc("recording", "inspect", str(file))
    assert (code, "not whole: cut off after 1 complete frames" in err) == (1, True)
    assert "events     10" in out
    code, _, err = ioc("recording", "inspect", __file__)
    assert (code, "is no recording" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recording", "cut", "{file}", "--out", "{file}", "--replace"], "--out is the recording itself"),
        (
            ["recording", "cut", "{file}", "--out", "x.ndjson.zst", "--stream", "trafic"],
            "'trafic': expected one of camera",
        ),
        (["recording", "cut", "{file}", "--out", "x.ndjson.zst", "--from", "yesterday"], "--from"),
        (
            [
                *("recording", "cut", "{file}", "--out", "x.ndjson.zst"),
                *("--from", "2026-11-24T00:00:00Z", "--until", "2026-11-23T00:00:00Z"),
            ],
            "expected a time after --from",
        ),
        (["recording", "inspect", "{file}", "--gap", "inf"], "Invalid value for '--gap'"),
        (["recording", "cut", "{file}", "--out", "x"], "ends in .ndjson.zst or .parquet"),
        (["recording", "anonymise", "{file}", "--out", "x.csv"], "ends in .ndjson.zst or .parquet"),
        (["record", "--stored", "--out", "x.ndjson"], "ends in .ndjson.zst or .parquet"),
        (["replay", "{file}"], "ioc-sim play"),
        (["replay", "{file}", "--into-log"], "replay.enabled is off"),
        (["replay", "{file}", "--into-log", "--speed", "fast"], "expected a number above 0, or max"),
        (
            ["export", "open", "plates", "--day", "2026-11-23", "--out", "x"],
            "expected one of camera, traffic",
        ),
        (["export", "open", "camera", "--out", "x"], "say either --day, or --from and --to"),
        (
            ["export", "open", "camera", "--day", "2026-11-23", "--out", "/dev/null", "--replace"],
            "is no file",
        ),
        (["export", "open", "camera", "--day", "23.11.", "--out", "x"], "expected e.g. 2026-11-23"),
        (
            ["export", "open", "camera", "--day", "2026-11-23", "--out", "x", "--grid-m", "5"],
            "at least 100 m",
        ),
        (
            ["export", "open", "traffic_5m", "--day", "2026-11-23", "--out", "x", "--format", "geojson"],
            "write them as csv or parquet",
        ),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(
    ioc: Ioc, file: Path, arguments: list[str], said: str
) -> None:
    code, _, err = ioc(*(argument.replace("{file}", str(file)) for argument in arguments))
    assert code in (1, 2)
    assert said in " ".join(err.replace("│", " ").split())
    assert not list(Path.cwd().glob("x*"))


def test_what_was_cut_off_is_played_and_cut_as_far_as_it_goes_and_said_each_time(
    ioc: Ioc, database: Dsns, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    monkeypatch.setenv("IOC_REPLAY__ENABLED", "true")
    file.write_bytes(file.read_bytes()[:-10])
    code, _, err = ioc("recording", "cut", str(file), "--out", "whole.ndjson.zst")
    assert (code, "ended early: cut off after 1 complete frames" in err) == (0, True)
    code, out, err = ioc("replay", str(file), "--into-log", "--json")
    assert (code, json.loads(out)["events"]) == (1, 10)
    assert json.loads(out)["trouble"] == "cut off after 1 complete frames"
    assert "not whole: cut off" in err


def test_a_day_of_the_city_is_written_as_open_data(ioc: Ioc, database: Dsns) -> None:
    fill(database)
    code, out, _ = ioc("export", "open", "camera", "--day", "2026-11-23", "--out", "camera.csv", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 5)
    assert "61A" not in Path("camera.csv").read_text("utf-8")
    code, out, _ = ioc("export", "open", "feedback", "--day", "2026-11-22", "--out", "none.csv", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 0)
    code, _, err = ioc("export", "open", "camera", "--day", "2026-11-23", "--out", "camera.csv")
    assert (code, "camera.csv exists" in err) == (1, True)
    code, out, _ = ioc("export", "open", "--columns", "--json")
    rows = json.loads(out)
    assert {row["dataset"] for row in rows} == set(DATASETS)
    assert all(row["nghĩa"] and row["meaning"] for row in rows)
