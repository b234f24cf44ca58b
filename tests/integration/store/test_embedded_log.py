"""What only the embedded log has: a real server that dies, real processes that are killed, real commits."""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from psycopg import AsyncConnection

from ioc.eventlog.port import LogUnavailable
from ioc.eventlog.postgres import PostgresLog
from ioc.eventlog.settings import LogSettings
from ioc.model.records import NewRecord, RecordKind
from ioc.store.embedded import Dsns, create_database, embedded_postgres
from ioc.store.migrate import migrate
from ioc.store.pool import Pool, open_pool
from ioc.store.positions import commit_position

TOPIC = "test.events"


@asynccontextmanager
async def running(pool: Pool, dsn: str, settings: LogSettings | None = None) -> AsyncIterator[PostgresLog]:
    log = PostgresLog(pool, dsn, settings)
    await log.create_topic(TOPIC, 4)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(log.run())
        try:
            yield log
        finally:
            task.cancel()


def records(names: list[str]) -> list[NewRecord]:
    return [NewRecord(RecordKind.EVENT, name, name.encode(), ("cam", name)) for name in names]


@pytest.mark.slow
async def test_a_tail_misses_nothing_of_many_writers_that_commit_in_any_order(database: Dsns) -> None:
    """Eight logs of their own, each slowed at random between taking its offsets and committing."""
    writers, appends = 8, 60
    async with open_pool(database.app, name="log", max_size=writers + 4) as pool:
        seeded = random.Random(11)

        async def write(number: int) -> None:
            async with running(pool, database.app) as log:
                for turn in range(appends):
                    await log.append(TOPIC, records([f"{number}-{turn}-{n}" for n in range(5)]))
                    await asyncio.sleep(seeded.random() / 100)

        found: dict[int, list[tuple[int, bytes]]] = {partition: [] for partition in range(4)}
        async with running(pool, database.app) as log, slow_commits(database):
            reader = await log.tail(TOPIC)
            async with asyncio.TaskGroup() as group:
                for number in range(writers):
                    group.create_task(write(number))
                while sum(map(len, found.values())) < writers * appends * 5:
                    batches = await reader.poll(100, 20.0)
                    assert batches, "records are missing"
                    for batch in batches:
                        found[batch.partition] += [(r.offset, r.payload) for r in batch.records]
    for items in found.values():
        assert [offset for offset, _ in items] == list(range(len(items)))
    assert len({payload for items in found.values() for _, payload in items}) == writers * appends * 5


@asynccontextmanager
async def slow_commits(database: Dsns) -> AsyncIterator[None]:
    """Make every append's commit take up to 5 ms, after its rows are written."""
    async with await AsyncConnection.connect(database.admin, autocommit=True) as admin:
        await admin.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(random() * 0.005); RETURN NULL; END $$"
        )
        await admin.execute(
            "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON log_batch DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
        yield


_CONSUMER = """
import asyncio, json, sys
from ioc.eventlog.postgres import PostgresLog
from ioc.store.pool import open_pool

async def main(dsn):
    async with open_pool(dsn, name="victim") as pool:
        log = PostgresLog(pool, dsn)
        async with asyncio.TaskGroup() as group:
            group.create_task(log.run())
            async with log.consume("test.events", "store", "victim") as consumer:
                print(json.dumps(sorted(consumer.assigned().items())), flush=True)
                while True:
                    await consumer.poll(10, 1.0)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
async def test_a_killed_process_is_replaced_within_fifteen_seconds_and_its_commits_fail(
    database: Dsns,
) -> None:
    async with (
        open_pool(database.app, name="log") as pool,
        running(pool, database.app) as log,
    ):
        victim = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _CONSUMER,
            database.app,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert victim.stdout is not None
        owned = dict(msgspec.json.decode(await victim.stdout.readline(), type=list[tuple[int, int]]))
        assert sorted(owned) == [0, 1, 2, 3]
        async with log.consume(TOPIC, "store", "heir") as heir:
            while len(heir.assigned()) != 2:
                await heir.poll(10, 0.1)
            victim.kill()
            killed_s = time.monotonic()
            async with asyncio.timeout(15):
                while len(heir.assigned()) != 4:
                    await heir.poll(10, 0.1)
            assert time.monotonic() - killed_s < 15
            for partition, generation in owned.items():
                async with pool.connection() as connection:
                    with pytest.raises(Exception, match="may not commit"):
                        await commit_position(connection, "store", TOPIC, partition, generation, 0)
        await victim.wait()


async def test_a_restarted_owner_has_its_partitions_at_once(database: Dsns) -> None:
    """The lease of the former incarnation, which left no farewell, is not waited for."""
    async with open_pool(database.app, name="log") as pool, running(pool, database.app) as log:
        crashed = log.consume(TOPIC, "store", "same")
        before = (await crashed.__aenter__()).assigned()
        async with log.consume(TOPIC, "store", "same") as restarted:
            assert restarted.assigned() == {partition: before[partition] + 1 for partition in range(4)}


async def test_partitions_come_back_as_new_generations_after_the_lease_ran_out(database: Dsns) -> None:
    """A consumer that was told "nothing is yours" must not go on where it had read to."""
    settings = LogSettings(heartbeat_s=0.05, lease_s=0.4)
    async with (
        open_pool(database.app, name="log") as pool,
        running(pool, database.app, settings) as log,
        log.consume(TOPIC, "store", "one") as consumer,
    ):
        await log.append(TOPIC, records([str(n) for n in range(40)]))
        before = consumer.assigned()
        while any(position == 0 for position in consumer.positions().values()):
            await consumer.poll(1000, 1.0)
        async with await AsyncConnection.connect(database.admin) as admin:
            await admin.execute("LOCK log_member IN ACCESS EXCLUSIVE MODE")
            while consumer.assigned():
                assert await consumer.poll(10, 0.05) == []
        while len(consumer.assigned()) != 4:
            await consumer.poll(0, 0.05)
        assert all(consumer.assigned()[partition] > before[partition] for partition in before)
        assert consumer.positions() == dict.fromkeys(range(4), 0)


@pytest.fixture
def data_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ioc-kill-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "pg"


@pytest.mark.slow
async def test_acknowledged_records_survive_the_death_of_the_server(data_folder: Path) -> None:
    """SIGKILL of the server amid appends: what was acknowledged is there afterwards, once."""
    acknowledged: list[str] = []
    with embedded_postgres(data_folder) as server:
        dsns = create_database(server, "ioc")
        migrate(dsns.admin)
        postmaster = psutil.Process(server.get_pid())
        async with open_pool(dsns.app, name="log", timeout_s=2.0) as pool, running(pool, dsns.app) as log:
            unknown = await _append_until_failure(log, acknowledged, postmaster)
        postmaster.wait(10)
    with embedded_postgres(data_folder):
        async with open_pool(dsns.app, name="log", timeout_s=20.0) as pool, running(pool, dsns.app) as log:
            # The call whose outcome was unknown is repeated, as its caller would.
            await log.append(TOPIC, records(unknown))
            reader = await log.tail(TOPIC, dict.fromkeys(range(4), 0))
            found: list[str] = []
            while len(found) < sum((await log.ends(TOPIC)).values()):
                for batch in await reader.poll(1000, 5.0):
                    found += [record.payload.decode() for record in batch.records]
    assert sorted(found) == sorted([*acknowledged, *unknown])


async def _append_until_failure(
    log: PostgresLog, acknowledged: list[str], postmaster: psutil.Process
) -> list[str]:
    """Append until the server, killed on the way, is gone; return the names of the call that failed."""
    turn = 0
    while True:
        names = [f"{turn}-{n}" for n in range(5)]
        if turn == 100:
            asyncio.get_running_loop().call_later(0.01, postmaster.kill)
        try:
            await log.append(TOPIC, records(names))
        except LogUnavailable:
            return names
        acknowledged += names
        turn += 1


async def test_a_lost_connection_is_survived(database: Dsns) -> None:
    async with open_pool(database.app, name="log") as pool, running(pool, database.app) as log:
        reader = await log.tail(TOPIC)
        await log.append(TOPIC, records(["before"]))
        await _terminate_all(database)
        async with asyncio.timeout(20):
            while True:
                try:
                    await log.append(TOPIC, records(["after"]))
                    break
                except LogUnavailable:
                    await asyncio.sleep(0.05)
            found: list[bytes] = []
            while len(found) < 2:
                try:
                    found += [r.payload for batch in await reader.poll(10, 1.0) for r in batch.records]
                except LogUnavailable:
                    await asyncio.sleep(0.05)
        assert sorted(found) == [b"after", b"before"]


async def _terminate_all(database: Dsns) -> None:
    async with await AsyncConnection[Any].connect(database.admin, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_another_process_wakes_a_reader_without_polling(database: Dsns) -> None:
    """NOTIFY alone: the fallback would come a minute later."""
    patient = LogSettings(poll_fallback_s=60.0)
    async with (
        open_pool(database.app, name="log") as pool,
        open_pool(database.app, name="other") as other_pool,
        running(pool, database.app, patient) as log,
        running(other_pool, database.app, patient) as other,
    ):
        reader = await other.tail(TOPIC)
        for number in range(5):
            async with asyncio.TaskGroup() as group:
                polled = group.create_task(reader.poll(10, 30.0))
                await log.append(TOPIC, records([str(number)]))
            assert [r.payload for batch in polled.result() for r in batch.records] == [b"%d" % number]


async def test_rows_of_two_processes_are_read_in_their_order_by_both(database: Dsns) -> None:
    """What a process appended itself comes from memory, what another did from the database."""
    async with (
        open_pool(database.app, name="log") as pool,
        open_pool(database.app, name="other") as other_pool,
        running(pool, database.app) as log,
        running(other_pool, database.app) as other,
    ):
        readers = [await log.tail(TOPIC), await other.tail(TOPIC)]
        for turn in range(30):
            await (log, other, other, log, log)[turn % 5].append_ticks(TOPIC, turn)
        for reader in readers:
            found: list[int] = []
            while len(found) < 4 * 30:
                for batch in await reader.poll(13, 5.0):
                    found += [record.offset for record in batch.records]
            assert sorted(found) == sorted(list(range(30)) * 4)
            assert reader.positions() == dict.fromkeys(range(4), 30)
            assert not reader.lost()


async def test_dedup_keys_are_forgotten_after_their_window_in_slices(database: Dsns) -> None:
    settings = LogSettings(slice_keys=30)
    async with open_pool(database.app, name="log") as pool, running(pool, database.app, settings) as log:
        names = [str(n) for n in range(50)]
        await log.append(TOPIC, records(names))
        now_us = time.time_ns() // 1000
        assert await log.prune_dedup(now_us) == 0
        later_us = now_us + round(settings.dedup_window_s * 1_000_000) + 1_000_000
        assert [await log.prune_dedup(later_us) for _ in range(3)] == [30, 20, 0]
        assert not any(outcome.duplicate for outcome in await log.append(TOPIC, records(names)))


async def test_what_waits_when_the_log_stops_is_answered(database: Dsns) -> None:
    async with open_pool(database.app, name="log") as pool:
        log = PostgresLog(pool, database.app, LogSettings(linger_s=5.0))
        await log.create_topic(TOPIC, 4)
        async with asyncio.TaskGroup() as group:
            service = group.create_task(log.run())
            append = group.create_task(_outcome(log))
            await asyncio.sleep(0.1)
            assert log.waiting_records == 1
            service.cancel()
        assert append.result() == "unavailable"
        assert await _outcome(log) == "unavailable"
        assert log.waiting_records == 0


async def _outcome(log: PostgresLog) -> str:
    try:
        await log.append(TOPIC, records(["a"]))
    except LogUnavailable:
        return "unavailable"
    return "appended"
