"""The demo city in virtual time: real decoders, gateway, log, workers and database, a clock of our own."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from ioc.app.devices.description import parse_devices
from ioc.app.directory import Directory
from ioc.app.incidents.desk import Desk
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.sets import RuleSets, ensure_first_version
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings.sections import RulesSettings, StoreSettings
from ioc.app.store_worker import StoreWorker
from ioc.app.views import StoredQuarantine
from ioc.eventlog.postgres import PostgresLog
from ioc.geo.geojson import parse_areas
from ioc.ingest.gateway import Gateway
from ioc.ingest.limits import IngestLimits
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.service import IngestService
from ioc.model.incidents import Incident
from ioc.model.places import Device, DeviceKind
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.model.times import SECOND_US
from ioc.store.areas import replace_areas
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from ioc.store.incidents import IncidentFilter, read_page
from ioc.store.pool import Pool, open_pool
from ioc.store.positions import standings
from ioc.store.quarantine import Quarantine, QuarantineLimits
from ioc.store.writer import HistoryWriter

ROOT = Path(__file__).parents[2]
BOUNDS = (106.2, 10.7, 107.1, 11.65)
PARTITIONS = 4
SENDER = Device(id="gw-all", kind=DeviceKind.GATEWAY, name="all", covers=("*",))


class VirtualClock:
    """The time that ingest reads."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


@dataclass(frozen=True)
class VirtualCity:
    """A running pipeline whose seconds pass when `pass_second` is called."""

    clock: VirtualClock
    log: PostgresLog
    pool: Pool
    ingest: IngestService
    directory: Directory

    async def pass_second(self, events: Sequence[Mapping[str, object]]) -> int:
        """Let `events` arrive, then the clock tick once; return how many were refused."""
        self.clock.now_us += SECOND_US
        refused = 0
        if events:
            body = b"\n".join(map(msgspec.json.encode, events))
            answer = await self.ingest.accept(SENDER, body, "application/x-ndjson")
            refused = len(answer.rejected)
        await self.log.append_ticks(EVENTS_TOPIC, self.clock.now_us)
        return refused

    async def settle(self) -> None:
        """Wait until both groups have committed everything, and the rules what that passed on."""
        for topic, groups in ((EVENTS_TOPIC, 2), (WIDE_TOPIC, 1)):
            ends = await self.log.ends(topic)
            async with asyncio.timeout(120):
                while True:
                    if await self._committed(topic, groups, ends):
                        break
                    await asyncio.sleep(0.05)

    async def _committed(self, topic: str, groups: int, ends: Mapping[int, int]) -> bool:
        async with self.pool.connection() as connection:
            found = [s for s in await standings(connection) if s.topic == topic]
        return len(found) == groups * PARTITIONS and all(s.next_offset >= ends[s.partition] for s in found)

    async def incidents(self) -> list[Incident]:
        """Return every incident, oldest first."""
        async with self.pool.connection() as connection:
            page, cursor = await read_page(connection, IncidentFilter(open_only=False, limit=500))
        assert cursor is None
        return sorted(page, key=lambda incident: (incident.opened_us, incident.id))


@asynccontextmanager
async def virtual_city(
    database: Dsns, start_us: int, batch_records: int = 1000
) -> AsyncIterator[VirtualCity]:
    """Run the pipeline on a fresh database, its clock standing at `start_us`."""
    async with open_pool(database.app, name="test", max_size=12) as pool:
        await _import_city(pool)
        directory = Directory(pool)
        await directory.refresh()
        desk = Desk(pool, directory)
        await desk.refresh()
        log = PostgresLog(pool, database.app)
        clock = VirtualClock(start_us)
        limits = IngestLimits()
        ingest = IngestService(
            log=log,
            quarantine=StoredQuarantine(pool, QuarantineLimits()),
            registry=directory.registry,
            gateway=Gateway(directory.registry, directory, BOUNDS, limits),
            metrics=IngestMetrics(CollectorRegistry()),
            clock=clock,
            limits=limits,
        )
        await ensure_first_version(pool, RuleFolder(ROOT / "rules"), directory.index)
        rule_settings, sets = RulesSettings(batch_records=batch_records, commit_s=0.05), RuleSets(pool)
        rules, wide = (
            stage(log, pool, sets, rule_settings, "test", directory, desk.policies)
            for stage in (RulesWorker, WideRulesWorker)
        )
        store = StoreWorker(log, pool, HistoryWriter(), StoreSettings(linger_s=0.01), "test", Quarantine())
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(log.run())]
            await log.create_topic(EVENTS_TOPIC, PARTITIONS)
            await log.create_topic(WIDE_TOPIC, PARTITIONS)
            running += [group.create_task(worker.run()) for worker in (rules, wide, store)]
            yield VirtualCity(clock, log, pool, ingest, directory)
            for task in running:
                task.cancel()


async def _import_city(pool: Pool) -> None:
    areas = parse_areas((ROOT / "demo" / "areas.geojson").read_bytes())
    devices = parse_devices((ROOT / "demo" / "devices.geojson").read_bytes())
    async with pool.connection() as connection:
        for kind in sorted({area.kind for area in areas}):
            await replace_areas(connection, kind, [area for area in areas if area.kind == kind])
        await upsert_devices(connection, devices)
