"""The event log, the store's registry and ingest fit together without an adapter."""

import asyncio
import json

from ioc.eventlog.memory import MemoryLog
from ioc.eventlog.port import LogRetryable
from ioc.ingest.ports import Log
from ioc.ingest.service import IngestService
from ioc.model.events import decode_event
from ioc.model.records import EVENTS_TOPIC
from tests.unit.ingest.fakes import CAMERA, City, cloud_event


async def test_accepted_events_are_in_the_log_once() -> None:
    city = City()
    memory = MemoryLog(clock=city.clock)
    log: Log = memory
    service = IngestService(
        log=log,
        quarantine=city.quarantine,
        registry=city.registry,
        gateway=city.service._gateway,
        metrics=city.service.metrics,
        clock=city.clock,
        limits=city.limits,
        retryable=(LogRetryable,),
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(memory.run())
        await memory.create_topic(EVENTS_TOPIC, 4)
        reader = await memory.tail(EVENTS_TOPIC)
        body = json.dumps([cloud_event(1), cloud_event(2), cloud_event(1)]).encode()
        first = await service.accept(CAMERA, body)
        again = await service.accept(CAMERA, body)
        [batch] = await reader.poll(100, 5.0)
        running.cancel()
    assert (first.accepted, first.duplicate) == (2, 1)
    assert (again.accepted, again.duplicate) == (0, 3)
    assert [decode_event(record.payload).id for record in batch.records] == ["e-1", "e-2"]
