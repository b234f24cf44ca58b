"""The rules role alone on a real database: a log that tests fill, workers that come and go."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from ioc.app.directory import Directory
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.push import RulePublisher, plan_push
from ioc.app.rules.sets import RuleSets, ensure_first_version
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings.sections import RulesSettings
from ioc.eventlog.append_queue import Pending
from ioc.eventlog.port import partition_of
from ioc.eventlog.postgres import PostgresLog
from ioc.geo.geojson import parse_areas
from ioc.model.events import Event, encode_event
from ioc.model.incidents import Incident
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, NewRecord, RecordKind, Tick, encode_tick
from ioc.store.areas import replace_areas
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.incidents import IncidentFilter, read_page
from ioc.store.pool import Pool, open_pool
from ioc.store.positions import standings
from tests.acceptance.virtual_city import ROOT

PARTITIONS = 4
WIDE_PARTITIONS = 3
SOURCES = tuple(
    next(name for number in range(1000) if partition_of(name := f"cam-{number}", PARTITIONS) == partition)
    for partition in range(PARTITIONS)
)
"""One source for each partition."""


@dataclass(frozen=True)
class RuleCity:
    """A log and a database without a worker."""

    log: PostgresLog
    pool: Pool
    directory: Directory
    dsns: Dsns

    async def append(self, events: Sequence[Event]) -> None:
        """Append events as ingest would."""
        await self.log.append(
            EVENTS_TOPIC,
            [
                NewRecord(RecordKind.EVENT, e.ward or e.source, encode_event(e), (e.source, e.id))
                for e in events
            ],
        )

    async def append_seconds(self, seconds: Sequence[tuple[int, Sequence[Event]]]) -> None:
        """Append whole seconds at once: of each its events, then its tick on every partition."""
        records: list[NewRecord] = []
        places: list[int] = []
        for now_us, events in seconds:
            for event in events:
                key = event.ward or event.source
                records.append(NewRecord(RecordKind.EVENT, key, encode_event(event)))
                places.append(partition_of(key, PARTITIONS))
            for partition in range(PARTITIONS):
                records.append(NewRecord(RecordKind.TICK, "", encode_tick(Tick(now_us))))
                places.append(partition)
        await self.log._queue.put(Pending(EVENTS_TOPIC, records, places))

    async def push(self, files: Mapping[str, str], *, shadow: bool = False) -> int:
        """Push rules as the command line does."""
        sets = RuleSets(self.pool)
        plan = plan_push(await sets.newest(), files, self.directory.index, shadow=shadow)
        return await RulePublisher(self.pool, self.log, sets).push(plan, author="an", reason="test")

    async def switch(self, rule: str, on: bool, reason: str | None = None) -> int:
        publisher = RulePublisher(self.pool, self.log, RuleSets(self.pool))
        return await publisher.switch(rule, self.directory.index, on=on, author="an", reason=reason)

    @asynccontextmanager
    async def worker(self, batch_records: int = 1000) -> AsyncIterator[RulesWorker]:
        """Run both stages with memory of their own; at the end wait until they have committed everything."""
        settings = RulesSettings(batch_records=batch_records, commit_s=0.02)
        sets = RuleSets(self.pool)
        worker = RulesWorker(self.log, self.pool, sets, settings, "test", self.directory)
        wide = WideRulesWorker(self.log, self.pool, sets, settings, "test", self.directory)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(stage.run()) for stage in (worker, wide)]
            yield worker
            await self.settle()
            for task in tasks:
                task.cancel()

    async def settle(self) -> None:
        """Wait until the rules have committed the whole log, behind the last tick at least."""
        for topic, count in ((EVENTS_TOPIC, PARTITIONS), (WIDE_TOPIC, WIDE_PARTITIONS)):
            await self.settle_topic(topic, count)

    async def settle_topic(self, topic: str, count: int) -> None:
        """Wait until the rules have committed one of the two topics."""
        ends = await self.log.ends(topic)
        async with asyncio.timeout(150):
            while True:
                async with self.pool.connection() as connection:
                    found = [s for s in await standings(connection) if (s.group, s.topic) == ("rules", topic)]
                if len(found) == count and all(s.next_offset >= ends[s.partition] for s in found):
                    return
                await asyncio.sleep(0.02)

    async def incidents(self) -> list[Incident]:
        """Return every incident, by id."""
        found: list[Incident] = []
        cursor = None
        while True:
            async with self.pool.connection() as connection:
                query = IncidentFilter(open_only=False, limit=500, cursor=cursor)
                page, cursor = await read_page(connection, query)
            found += page
            if cursor is None:
                return sorted(found, key=lambda incident: incident.id)

    async def export(self) -> bytes:
        """Return what `ioc export incidents` writes."""
        return b"\n".join(map(msgspec.json.encode, await self.incidents()))

    async def query(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the test's own."""
        async with self.pool.connection() as connection:
            return await (await connection.execute(text.encode())).fetchall()

    async def wait_for(self, text: str) -> None:
        """Wait until the count that a query returns is not 0."""
        async with asyncio.timeout(150):
            while True:
                if await self.query(text) != [(0,)]:
                    return
                await asyncio.sleep(0.02)

    def forget_effects(self) -> None:
        """Undo everything the workers have done; the log and the versions stay."""
        with psycopg.connect(self.dsns.admin, autocommit=True) as connection:
            # The audit log is append-only, even for its owner, until its triggers are told to sleep.
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                "TRUNCATE audit_entry, incident_audit, incident_change, incident, rule_state,"
                " rule_activation, rule_shadow_firing, rule_shadow_count CASCADE"
            )
            connection.execute("UPDATE log_owner SET next_offset = 0 WHERE group_name = 'rules'")


@asynccontextmanager
async def rule_city(
    database: Dsns, folder: Path, areas: Path | None = None, devices: Sequence[Any] = ()
) -> AsyncIterator[RuleCity]:
    """Open log and database, with the rules of `folder` as version 1."""
    async with open_pool(database.app, name="test", max_size=10) as pool:
        found = parse_areas((areas or ROOT / "demo" / "areas.geojson").read_bytes())
        async with pool.connection() as connection:
            for kind in sorted({area.kind for area in found}):
                await replace_areas(connection, kind, [area for area in found if area.kind == kind])
            await upsert_devices(connection, devices)
        directory = Directory(pool)
        await directory.refresh()
        await ensure_first_version(pool, RuleFolder(folder), directory.index)
        log = PostgresLog(pool, database.app)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(log.run())
            await log.create_topic(EVENTS_TOPIC, PARTITIONS)
            await log.create_topic(WIDE_TOPIC, WIDE_PARTITIONS)
            yield RuleCity(log, pool, directory, database)
            running.cancel()
