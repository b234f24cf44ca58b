"""What `/readyz` asks: can we reach the database, does the log advance, is anybody behind."""

import asyncio
from collections import Counter
from typing import Final

from ioc.api.ports import Check, ReadinessCheck
from ioc.app.clock import now_us
from ioc.app.core import Core
from ioc.app.rules.tick_ages import TickAges
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.port import LogRetryable
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.model.times import SECOND_US
from ioc.store.positions import lags
from ioc.stream.hub import Hub

MAX_TICK_AGE_S: Final = 10.0
MAX_LAG_RECORDS: Final = 50_000
ASK_S: Final = 2.0
"""How long Kafka may take to answer; less than the whole of `/readyz` may."""


class Readiness:
    """Readiness checks of a process; `ticks` is None where nobody in it writes or reads clock ticks.

    Where the time is `told` it may stand still.
    """

    def __init__(self, core: Core, ticks: TickAges | None, *, told: bool = False) -> None:
        self._core = core
        self._told = told
        self._ticks = ticks
        self._ends: dict[int, int] = {}
        self._advanced_us = 0

    def checks(self, hub: Hub | None) -> dict[str, ReadinessCheck]:
        """Return the checks by name."""
        checks: dict[str, ReadinessCheck] = {
            "database": self.database,
            "log": self.log,
            "lag": self.lag,
            "areas": self.areas,
        }
        log = self._core.log
        if isinstance(log, KafkaLog) and log.spilling.topics:
            checks |= {
                "spill": spill_check(log),
                "log": unless_spilling(log, self.log),
                "lag": unless_spilling(log, self.lag),
            }
        if hub is not None:

            async def feed() -> Check:
                return Check(hub.ready, "" if hub.ready else "the feed has not read the incidents yet")

            checks["feed"] = feed
        return checks

    async def database(self) -> Check:
        """Answer a trivial query."""
        async with self._core.api_pool.connection() as connection:
            await connection.execute("SELECT 1")
        return Check(True)

    async def log(self) -> Check:
        """Ticks arrive in every partition every second; where nobody sees them, the log's end must move."""
        if self._told:
            return Check(True, "the sender keeps the time")
        ends = await self._core.log.ends(EVENTS_TOPIC)
        now = now_us()
        if self._ticks is not None:
            age_s = self._ticks.oldest_s(ends, now)
            return Check(age_s <= MAX_TICK_AGE_S, f"oldest partition's tick {age_s:.0f} s ago")
        if ends != self._ends:
            self._ends, self._advanced_us = ends, now
        age_s = (now - self._advanced_us) / SECOND_US
        return Check(age_s <= MAX_TICK_AGE_S, f"last advance seen {age_s:.0f} s ago")

    async def lag(self) -> Check:
        """Every group has taken almost everything."""
        behind: Counter[str] = Counter()
        for topic in (EVENTS_TOPIC, WIDE_TOPIC):
            ends = await self._core.log.ends(topic)
            async with self._core.api_pool.connection() as connection:
                behind.update(await lags(connection, topic, ends))
        detail = ", ".join(f"{group} {count} records" for group, count in sorted(behind.items()))
        return Check(all(count <= MAX_LAG_RECORDS for count in behind.values()), detail or "no group yet")

    async def areas(self) -> Check:
        """There are wards to place events in."""
        wards = sum(area.kind == "ward" for area in self._core.directory.areas)
        return (
            Check(True, f"{wards} wards") if wards else Check(False, "no wards: run `ioc areas import FILE`")
        )


def spill_check(log: KafkaLog) -> ReadinessCheck:
    """Return a check that there is room for what Kafka does not take."""

    async def check() -> Check:
        found, most = await log.spilled(), log.spilling
        records, size_bytes = sum(each.records for each in found), sum(each.size_bytes for each in found)
        if not records:
            return Check(True, "nothing waits for Kafka")
        oldest_s = max(each.oldest_s for each in found)
        fits = records < most.max_records and size_bytes < most.max_bytes
        return Check(fits, f"{records} records of {size_bytes} bytes wait for Kafka, oldest {oldest_s:.0f} s")

    return check


def unless_spilling(log: KafkaLog, asks_kafka: ReadinessCheck) -> ReadinessCheck:
    """Return the check as one that holds while events are spilled: who is not ready is sent nothing."""

    async def check() -> Check:
        try:
            async with asyncio.timeout(ASK_S):
                found = await asks_kafka()
        except (LogRetryable, TimeoutError):
            return Check(True, "Kafka does not answer; events are spilled")
        if not found.ok and await log.spilled():
            return Check(True, f"{found.detail}; spilled events are carried to Kafka")
        return found

    return check
