"""A record that nothing can store goes to quarantine, once, and stops nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ioc.app.settings.sections import StoreSettings
from ioc.app.store_worker import StoreWorker
from ioc.eventlog.postgres import PostgresLog
from ioc.model.events import Event, encode_event
from ioc.model.records import EVENTS_TOPIC, NewRecord, RecordKind
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.quarantine import Quarantine
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import event


class Refusing(HistoryWriter):
    """A writer whose database refuses some events, as a constraint does that no decoder knows."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused

    async def write(self, connection: AsyncConnection[Any], events: Sequence[Event]) -> int:
        if any(event.id in self._refused for event in events):
            await connection.execute("SELECT 1 / 0")
        return await super().write(connection, events)


async def test_poison_is_quarantined_with_its_bytes_and_the_rest_of_its_partition_stored(
    database: Dsns,
) -> None:
    good = [event(number) for number in range(100)]
    records = [NewRecord(RecordKind.EVENT, "25747", encode_event(each), ("s", each.id)) for each in good]
    records.insert(50, NewRecord(RecordKind.EVENT, "25747", b"\xc1 no event", ("s", "garbled")))
    async with open_pool(database.app, name="test") as pool, asyncio.TaskGroup() as group:
        log = PostgresLog(pool, database.app)
        await log.create_topic(EVENTS_TOPIC, 1)
        running = group.create_task(log.run())
        await log.append(EVENTS_TOPIC, records)
        settings, writer = StoreSettings(linger_s=0.01), Refusing("e-7", "e-93")
        worker = StoreWorker(log, pool, writer, settings, "test", Quarantine())
        working = group.create_task(worker.run())
        async with pool.connection() as connection, asyncio.timeout(30):
            await connection.set_autocommit(True)
            taken = 0
            while taken < len(records):
                await asyncio.sleep(0.05)
                found = await connection.execute("SELECT coalesce(max(next_offset), 0) FROM log_owner")
                ((taken,),) = await found.fetchall()
            stored = await (await connection.execute("SELECT event_id FROM traffic_measurement")).fetchall()
            kept = await (
                await connection.execute(
                    "SELECT reason, event_id, raw, detail FROM quarantine ORDER BY detail"
                )
            ).fetchall()
            await connection.set_autocommit(False)
        working.cancel()
        running.cancel()
    assert sorted(row[0] for row in stored) == sorted(
        each.id for each in good if each.id not in ("e-7", "e-93")
    )
    assert {row[0] for row in kept} == {"poison"}
    by_event = {row[1]: row for row in kept}
    assert by_event.keys() == {None, "e-7", "e-93"}
    assert by_event[None][2] == b"\xc1 no event"
    assert "ioc.events/0, offset 50" in by_event[None][3]
    assert by_event["e-7"][2] == encode_event(good[7])
    assert "division by zero" in by_event["e-7"][3]
