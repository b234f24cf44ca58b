"""The store alone: rows a second into history, and questions to a history of `--rows` events.

The history is made inside the database: seven days up to the beginning of this day, half measurements of
1,000 detectors, half counts of 1,000 cameras, each in turn, over 36 wards, in the order of time. Then
aggregates are computed as maintenance or TimescaleDB's policies would, and TimescaleDB compresses all but the
newest two days. Questions name a source, ward and moment drawn with a fixed seed; each is asked `ASKED` times
on a connection that has asked before.

Without `--database-url` the embedded PostgreSQL in a throw-away folder is measured, with it a database of its
own on that server, dropped afterwards; `ioc_app` must be able to log in there without a password.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from benchmarks.machine import percentile
from benchmarks.workload import Workload
from ioc.app.loop_watch import keep_what_is_loaded
from ioc.model.events import Event, EventData, Stream
from ioc.model.times import DAY_US, MINUTE_US, SECOND_US, from_us
from ioc.store.embedded import Dsns, create_database, embedded_postgres
from ioc.store.history import HistoryQuery, read_history
from ioc.store.history_plan import HistoryPlan
from ioc.store.layout import Layout, find_layout
from ioc.store.maintenance import Maintenance
from ioc.store.migrate import migrate
from ioc.store.moment import read_moment
from ioc.store.pool import Pool, open_pool
from ioc.store.quarantine import Quarantine
from ioc.store.series import SeriesQuery, read_series
from ioc.store.writer import HistoryWriter

DAYS = 7
SOURCES = 1_000
WARDS = 36
BATCH_ROWS = 2_000
"""The default of `store.batch_records`."""
WRITES = 100
REPEATS = 5
ASKED = 40
WINDOW_US = 15 * MINUTE_US
KEPT_UNCOMPRESSED_DAYS = 2
STATEMENT_TIMEOUT_S = 3_600.0

TRAFFIC_ROWS: LiteralString = """
    INSERT INTO traffic_measurement (time, received, event_id, source, type, ward, lon, lat,
        speed_kmh, occupancy, volume_veh, interval_s)
    SELECT t, t + interval '300 ms', 't-' || n, 'det-' || lpad((n %% 1000)::text, 4, '0'), 'traffic.flow',
        'w-' || lpad((n %% 1000 %% 36)::text, 2, '0'),
        106.4 + (n %% 1000) * 0.0006, 10.8 + (n %% 1000) * 0.0008,
        30 + (hashint8(n) & 2047) / 70.0, (hashint8(n) & 1023) / 2048.0, hashint8(n) & 31, 20
    FROM (SELECT n, %(start)s + n * %(step)s AS t
          FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) made
"""
CAMERA_ROWS: LiteralString = """
    INSERT INTO camera_event (time, received, event_id, source, type, ward, lon, lat, people, vehicles)
    SELECT t, t + interval '300 ms', 'c-' || n, 'cam-' || lpad((n %% 1000)::text, 4, '0'), 'camera.count',
        'w-' || lpad((n %% 1000 %% 36)::text, 2, '0'),
        106.4 + (n %% 1000) * 0.0006, 10.8 + (n %% 1000) * 0.0008,
        hashint8(n) & 15, hashint8(n) & 63
    FROM (SELECT n, %(start)s + n * %(step)s AS t
          FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) made
"""
_TOUCH: LiteralString = """
    SELECT history_touched(%s, ARRAY(SELECT generate_series(%s::timestamptz, %s, '5 minutes')))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=1_000_000, help="events of the history")
    parser.add_argument("--database-url", default="", help="a superuser's connection; default embedded")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    with database(arguments.database_url) as dsns:
        migrate(dsns.admin)
        made_s = _make_history(dsns.admin, arguments.rows)
        return asyncio.run(_measure(dsns, arguments.rows, made_s))


@contextmanager
def database(url: str) -> Iterator[Dsns]:
    """Yield an empty database: embedded in a throw-away folder, or of its own on the server of `url`."""
    if not url:
        with tempfile.TemporaryDirectory(prefix="ioc-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            with embedded_postgres(Path(folder) / "pg") as server:
                yield create_database(server, "ioc")
        return
    name = f"ioc_benchmark_{time.time_ns():x}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        found = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'")
        has_timescale = found.fetchone() is not None
    try:
        admin = make_conninfo(url, dbname=name)
        if has_timescale:
            with psycopg.connect(admin) as connection:
                connection.execute("CREATE EXTENSION timescaledb")
        yield Dsns(admin=admin, app=make_conninfo(url, dbname=name, user="ioc_app"))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _end_us() -> int:
    return time.time_ns() // 1000 // DAY_US * DAY_US


def _make_history(admin: str, rows: int) -> float:
    """Fill both tables day by day and return the seconds it took, aggregates and compression included."""
    began_s = time.monotonic()
    per_day = rows // 2 // DAYS
    start = from_us(_end_us() - DAYS * DAY_US)
    step = timedelta(days=1) / per_day
    with psycopg.connect(admin, autocommit=True) as connection:
        for day in range(DAYS):
            _say(f"making day {day + 1} of {DAYS}: 2 × {per_day:,} events")
            numbers = {"first": day * per_day, "last": (day + 1) * per_day - 1}
            for statement in (TRAFFIC_ROWS, CAMERA_ROWS):
                connection.execute(statement, {"start": start, "step": step, **numbers})
        for stream in (Stream.CAMERA, Stream.TRAFFIC):
            connection.execute(_TOUCH, (stream, start, from_us(_end_us() - 1)))
        connection.execute("VACUUM ANALYZE")
    return time.monotonic() - began_s


async def _measure(dsns: Dsns, rows: int, made_s: float) -> dict[str, object]:
    began_s = time.monotonic()
    async with open_pool(dsns.app, name="bench", statement_timeout_s=STATEMENT_TIMEOUT_S) as pool:
        async with pool.connection() as connection:
            found = await find_layout(connection)
        _say(f"{found}; computing aggregates")
        await _aggregate(dsns, pool, found.layout)
        aggregated_s = time.monotonic() - began_s
        writer = await _write(pool)
        keep_what_is_loaded()  # as the service does at its start
        questions = {name: await _ask(pool, question) for name, question in _questions().items()}
        sizes = await _sizes(pool)
    return {
        "workload": {
            "rows": rows,
            "days": DAYS,
            "sources": 2 * SOURCES,
            "wards": WARDS,
            "made": "INSERT … SELECT generate_series, in the order of time; then VACUUM ANALYZE",
            "made_s": round(made_s, 1),
            "aggregated_s": round(aggregated_s, 1),
        },
        "database": str(found),
        **writer,
        **questions,
        **sizes,
    }


async def _aggregate(dsns: Dsns, pool: Pool, layout: Layout) -> None:
    """Do at once what policies or maintenance do in the course of the days."""
    if layout is Layout.PARTITIONS:
        maintenance = Maintenance(pool, Quarantine(), plan=HistoryPlan())
        while (done := await maintenance.round(_end_us() + DAY_US // 2))["traffic_5m closed"] > 1:
            _say(f"closed {done['traffic_5m closed']} buckets")
        return
    with psycopg.connect(dsns.admin, autocommit=True) as connection:
        for view in ("traffic_5m", "camera_5m"):
            connection.execute(
                "CALL refresh_continuous_aggregate(%s::regclass, NULL, %s)", (view, from_us(_end_us()))
            )
        for table in ("traffic_measurement", "camera_event"):
            connection.execute(
                "SELECT compress_chunk(c) FROM show_chunks(%s::regclass, older_than => %s) c",
                (table, from_us(_end_us() - KEPT_UNCOMPRESSED_DAYS * DAY_US)),
            )
        connection.execute("VACUUM ANALYZE")


# writing ----------------------------------------------------------------------------------------------------


async def _write(pool: Pool) -> dict[str, object]:
    """Write batches of the pipeline's workload, each its own durable transaction."""
    _say("writing")
    workload = Workload([f"cam-{n:04}" for n in range(SOURCES)], [f"det-{n:04}" for n in range(SOURCES)])
    batches = [workload_events(workload) for _ in range(20)]
    writer, rates, cpu = HistoryWriter(), [], []
    async with pool.connection() as connection:
        for _ in range(REPEATS):
            began_s, cpu_s = time.monotonic(), time.process_time()
            for number in range(WRITES):
                async with connection.transaction():
                    await writer.write(connection, batches[number % len(batches)])
            rates.append(WRITES * BATCH_ROWS / (time.monotonic() - began_s))
            cpu.append(time.process_time() - cpu_s)
        await connection.commit()
    rate = percentile(rates, 0.5)
    return {
        "rows_per_s": round(rate),
        "writer_cpu_us_per_row": round(percentile(cpu, 0.5) / (WRITES * BATCH_ROWS) * 1e6, 2),
        "batch_rows": BATCH_ROWS,
    }


def workload_events(workload: Workload) -> list[Event]:
    """Return a batch of the pipeline's workload, as ingest lets it in now."""
    now_us = time.time_ns() // 1000
    return [_event(json.loads(line), now_us) for line in workload.lines(BATCH_ROWS).splitlines()]


def _event(found: dict[str, Any], now_us: int) -> Event:
    number = int(found["source"][-4:])
    return Event(
        id=found["id"],
        source=found["source"],
        time_us=now_us,
        received_us=now_us + 300_000,
        data=msgspec.convert({**found["data"], "type": found["type"]}, EventData),
        ward=f"w-{number % WARDS:02}",
        lon=106.4 + number * 0.0006,
        lat=10.8 + number * 0.0008,
    )


# asking -----------------------------------------------------------------------------------------------------

Question = Callable[[AsyncConnection[Any], random.Random], Awaitable[int]]


def _questions() -> dict[str, Question]:
    return {
        "history_source_day": _source_day,
        "moment_ward": _moment_ward,
        "series_source_week": _series_source,
        "series_ward_day": _series_ward,
    }


async def _ask(pool: Pool, question: Question) -> dict[str, object]:
    chance, took_ms, answers = random.Random(7), [], []
    async with pool.connection() as connection:
        for number in range(ASKED + 3):
            began_s = time.perf_counter()
            answer = await question(connection, chance)
            if number >= 3:
                took_ms.append((time.perf_counter() - began_s) * 1000)
                answers.append(float(answer))
    return {
        "answer_rows": round(percentile(answers, 0.5)),
        "p50_ms": round(percentile(took_ms, 0.5), 1),
        "p99_ms": round(percentile(took_ms, 0.99), 1),
    }


def _day_start(chance: random.Random) -> int:
    return _end_us() - chance.randint(1, DAYS) * DAY_US


async def _source_day(connection: AsyncConnection[Any], chance: random.Random) -> int:
    """Return every event of one detector and day, page by page."""
    start_us, cursor, rows = _day_start(chance), None, 0
    source = f"det-{chance.randrange(SOURCES):04}"
    while True:
        query = HistoryQuery(
            stream=Stream.TRAFFIC,
            from_us=start_us,
            to_us=start_us + DAY_US,
            source=source,
            limit=1000,
            cursor=cursor,
        )
        page = await read_history(connection, query)
        rows, cursor = rows + len(page.items), page.next
        if cursor is None:
            return rows


async def _moment_ward(connection: AsyncConnection[Any], chance: random.Random) -> int:
    """Return the state of every camera and detector of one ward at a moment."""
    moment_us = _end_us() - chance.randrange(SECOND_US, DAYS * DAY_US - WINDOW_US)
    return len(await read_moment(connection, [f"w-{chance.randrange(WARDS):02}"], moment_us, WINDOW_US))


async def _series_source(connection: AsyncConnection[Any], chance: random.Random) -> int:
    """Return a week of 5-minute buckets of one detector."""
    query = SeriesQuery(
        stream=Stream.TRAFFIC,
        from_us=_end_us() - DAYS * DAY_US,
        to_us=_end_us(),
        source=f"det-{chance.randrange(SOURCES):04}",
    )
    return len(await read_series(connection, query))


async def _series_ward(connection: AsyncConnection[Any], chance: random.Random) -> int:
    """Return a day of 5-minute buckets of one ward."""
    start_us = _day_start(chance)
    query = SeriesQuery(
        stream=Stream.TRAFFIC,
        from_us=start_us,
        to_us=start_us + DAY_US,
        ward=f"w-{chance.randrange(WARDS):02}",
    )
    return len(await read_series(connection, query))


async def _sizes(pool: Pool) -> dict[str, object]:
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT pg_database_size(current_database())")).fetchone()
    assert row is not None
    return {"database_mb": round(row[0] / 2**20)}


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)
