"""A recording into the log, events a second; a day of history as open data, rows a second and peak memory.

The recording holds `--events` of the pipeline's workload and a tick after every thousand; it is replayed from
its file into an empty embedded log, durable as it is installed, `REPEATS` times. The day is made inside the
database: `--rows` events, half measurements of 1,000 detectors, half counts of 1,000 cameras. The command
`ioc export open` writes all of it in each form; its memory is the most it ever had, as the kernel counts it.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.machine import cpu_seconds, family, percentile
from benchmarks.store import CAMERA_ROWS, TRAFFIC_ROWS, database, workload_events
from benchmarks.workload import Workload
from ioc.app.recordings.entries import Entry
from ioc.app.recordings.files import make_header, new_recording, open_recording
from ioc.app.recordings.playback import LogPlayer, Shift
from ioc.eventlog.postgres import PostgresLog
from ioc.model.records import EVENTS_TOPIC, Tick
from ioc.model.times import DAY_US, HOUR_US, SECOND_US, format_us, from_us
from ioc.store.embedded import Dsns
from ioc.store.migrate import migrate
from ioc.store.open_data import Form
from ioc.store.pool import open_pool

PARTITIONS: Final = 4
"""The default of `log.partitions`."""
EVENTS_A_TICK: Final = 1_000
REPEATS: Final = 3
PIECES: Final = 24
LOOK_S: Final = 0.1
EXPORTED: Final = ("traffic", "camera")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--events", type=int, default=300_000, help="events of the recording")
    parser.add_argument("--rows", type=int, default=1_000_000, help="events of the day that is exported")
    parser.add_argument("--forms", nargs="+", default=[*Form], choices=[*Form], help="forms of the export")
    parser.add_argument("--database-url", default="", help="a superuser's connection; default embedded")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="ioc-") as folder:
        path = Path(folder) / "workload.ndjson.zst"
        _say("recording")
        recorded = _record(path, arguments.events)
        replays = []
        for _ in range(REPEATS):
            with database(arguments.database_url) as dsns:
                migrate(dsns.admin)
                _say("replaying")
                replays.append(asyncio.run(_replay(dsns, path)))
        with database(arguments.database_url) as dsns:
            migrate(dsns.admin)
            start_us = _make_day(dsns.admin, arguments.rows)
            exports = {form: _export(dsns, Path(folder), form, start_us) for form in arguments.forms}
    return {
        "workload": {"events": arguments.events, "rows": arguments.rows, "partitions": PARTITIONS},
        "record": recorded,
        "replay": {
            name: round(percentile([replay[name] for replay in replays], 0.5), 2) for name in replays[0]
        },
        "export": exports,
    }


def _record(path: Path, events: int) -> dict[str, object]:
    """Write the recording and return what that cost."""
    workload = Workload([f"cam-{n:04}" for n in range(1_000)], [f"det-{n:04}" for n in range(1_000)])
    entries: list[Entry] = []
    while len(entries) < events:
        entries += workload_events(workload)
    at_us = time.time_ns() // 1000 // SECOND_US * SECOND_US
    began_s = time.process_time()
    with new_recording(path, make_header(at_us, partitions=PARTITIONS)) as writer:
        for number, start in enumerate(range(0, events, EVENTS_A_TICK)):
            writer.write([*entries[start : start + EVENTS_A_TICK], Tick(at_us + number * SECOND_US)])
        writer.close()
    took_s = time.process_time() - began_s
    return {
        "events_per_s": round(events / took_s),
        "bytes_per_event": round(path.stat().st_size / events, 1),
    }


async def _replay(dsns: Dsns, path: Path) -> dict[str, float]:
    async with open_pool(dsns.app, name="log") as pool, asyncio.TaskGroup() as group:
        log = PostgresLog(pool, dsns.app)
        running = group.create_task(log.run())
        await log.create_topic(EVENTS_TOPIC, PARTITIONS)
        began_s, cpu_s = time.monotonic(), time.process_time()
        with open_recording(path) as reader:
            player = LogPlayer(log, PARTITIONS)
            played = await player.play(reader.entries(), shift=Shift(0), speed=None)
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        if played.repeats or sum((await log.ends(EVENTS_TOPIC)).values()) < played.events:
            raise RuntimeError(f"not everything is in the log: {played}")
        running.cancel()
    return {"events_per_s": played.events / took_s, "cpu_share": cpu_s / took_s}


def _make_day(admin: str, rows: int) -> int:
    """Fill yesterday (UTC) hour by hour and return when it begins."""
    start_us = (time.time_ns() // 1000 // DAY_US - 1) * DAY_US
    step = timedelta(days=1) / (rows // 2)
    with psycopg.connect(admin, autocommit=True) as connection:
        for piece in range(PIECES):
            _say(f"making hour {piece + 1} of {PIECES}")
            first, last = (rows // 2 * n // PIECES for n in (piece, piece + 1))
            for statement in (TRAFFIC_ROWS, CAMERA_ROWS):
                numbers = {"start": from_us(start_us), "step": step, "first": first, "last": last - 1}
                connection.execute(statement, numbers)
        connection.execute("VACUUM ANALYZE")
    return start_us


def _export(dsns: Dsns, folder: Path, form: str, start_us: int) -> dict[str, object]:
    """Run the command as a person does and return what it took."""
    span = ["--from", format_us(start_us), "--to", format_us(start_us + 24 * HOUR_US)]
    rows = size = 0
    rss_mb = cpu_s = 0.0
    began_s = time.monotonic()
    for name in EXPORTED:
        path = folder / f"{name}.{form}"
        _say(f"exporting {name} as {form}")
        found, most_mb, used_s = _command(
            dsns, "export", "open", name, "--format", form, "--out", path, *span
        )
        rows, size = rows + found["rows"], size + found["bytes"]
        rss_mb, cpu_s = max(rss_mb, most_mb), cpu_s + used_s
        path.unlink()
    took_s = time.monotonic() - began_s
    return {
        "rows": rows,
        "seconds": round(took_s, 1),
        "rows_per_s": round(rows / took_s),
        "rss_mb": round(rss_mb, 1),
        "cpu_share": round(cpu_s / took_s, 2),
        "file_mb": round(size / 2**20),
    }


def _command(dsns: Dsns, *arguments: object) -> tuple[dict[str, Any], float, float]:
    """Run `ioc … --json` on that database; return its answer, the most memory it had (MB) and CPU seconds."""
    environment = os.environ | {"IOC_DATABASE__ADMIN_DSN": dsns.admin, "IOC_DATABASE__APP_DSN": dsns.app}
    command = [sys.executable, "-m", "ioc.app", *map(str, arguments), "--json"]
    rss_mb = cpu_s = 0.0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=environment)
        # Not what `wait4` says: that counts the memory of this process, too, before it became the command.
        while process.poll() is None:
            rss_mb = max(rss_mb, _most_resident_mb(process.pid))
            cpu_s = max(cpu_s, cpu_seconds(family(process.pid)))
            time.sleep(LOOK_S)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
        output.seek(0)
        return json.loads(output.read()), rss_mb, cpu_s


def _most_resident_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)
