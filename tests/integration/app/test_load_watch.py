"""The watch sees overload in the positions that consumers commit, and has ingest shed until it is over."""

from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from ioc.app import load_watch
from ioc.app.load_watch import LoadWatch
from ioc.eventlog.port import EventLog
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.shedding import CALM_LOOKS, Level, Shedder
from ioc.model.records import EVENTS_TOPIC
from ioc.store.pool import Pool
from ioc.store.positions import StorePositions, commit_position


class Ends:
    """A log that has got so far."""

    def __init__(self) -> None:
        self.ends_at: dict[int, int] = {}

    async def ends(self, topic: str) -> dict[int, int]:
        assert topic == EVENTS_TOPIC
        return self.ends_at


async def test_a_reader_that_falls_behind_makes_ingest_shed_until_it_has_caught_up(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = [0]
    monkeypatch.setattr(load_watch, "now_us", lambda: now_us[0])
    told: list[Level] = []
    shedder, log, registry = Shedder(), Ends(), CollectorRegistry()
    watch = LoadWatch(
        cast("EventLog", cast("Any", log)), pool, shedder, IngestMetrics(registry), 3.0, told.append
    )
    claims = [await StorePositions(pool).claim("rules", EVENTS_TOPIC, number, "a") for number in (0, 1)]

    async def look(taken: int, sent: int) -> Level:
        now_us[0] += 1_000_000
        for partition, claim in enumerate(claims):
            async with pool.connection() as connection, connection.transaction():
                await commit_position(
                    connection, "rules", EVENTS_TOPIC, partition, claim.generation, taken // 2
                )
        log.ends_at = {0: sent // 2, 1: sent // 2}
        await watch.look()
        return shedder.level

    assert [await look(1_000 * n, 6_000 * n) for n in range(1, 4)] == [0, 1, 2]
    assert [await look(18_000 + n, 18_000 + n) for n in range(2 * CALM_LOOKS)][-1] == Level.NOTHING
    assert told == [Level.ANALYTICS, Level.MEASUREMENTS, Level.ANALYTICS, Level.NOTHING]
    assert registry.get_sample_value("ioc_ingest_shed_level") == 0
