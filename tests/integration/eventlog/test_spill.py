"""The spill over a real database, Kafka failing in every way: order per partition, each record once."""

import asyncio
import itertools
import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from psycopg import AsyncConnection

from ioc.eventlog import spill
from ioc.eventlog.layout import change_layout
from ioc.eventlog.port import LogOverloaded, LogRejected, LogUnavailable
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from tests.integration.eventlog.spill_city import FAULTS, PARTITIONS, Fault, Killed, MemoryKafka, Process

_topics = (f"spill.{number}" for number in itertools.count())

steps = st.one_of(
    st.tuples(st.just("append"), st.lists(st.integers(0, PARTITIONS - 1), min_size=1, max_size=4)),
    st.tuples(st.just("tick"), st.just([])),
    st.tuples(st.just("carry"), st.just([])),
)
faults = st.one_of(st.none(), st.sampled_from(FAULTS))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(st.tuples(st.integers(0, 1), steps, st.lists(faults, max_size=2)), max_size=25),
)
async def test_whatever_fails_a_reader_gets_what_was_acknowledged_in_that_order_and_once(
    database: Dsns, script: list[tuple[int, tuple[str, list[int]], list[Fault | None]]]
) -> None:
    topic = next(_topics)
    coming: list[Fault | None] = []
    kafka = MemoryKafka(lambda: coming.pop(0) if coming else None)
    expected: list[list[str]] = [[] for _ in range(PARTITIONS)]
    async with open_pool(database.app, name="log", max_size=2) as pool:
        processes = [Process(pool, kafka, topic), Process(pool, kafka, topic)]
        for number, (who, (step, partitions), failing) in enumerate(script):
            coming[:] = failing
            process = processes[who]
            if step == "carry":
                await process.carry()
                continue
            names = [f"{number}.{place}" for place in range(len(partitions))]
            while True:  # as senders do: again until it is acknowledged
                try:
                    if step == "tick":
                        outcomes = await process.tick(number)
                    else:
                        outcomes = await process.append(names, partitions)
                    break
                except Killed:
                    continue
            assert not any(outcome.duplicate for outcome in outcomes)
            for outcome, name in zip(outcomes, names or [f"tick {number}"] * PARTITIONS, strict=True):
                expected[outcome.partition].append(name)
        coming.clear()
        await processes[0].carry_all()
        found = await kafka.counting(pool, topic)
        async with pool.connection() as connection:
            assert await spill.standings(connection) == []
    assert found == expected


@pytest.mark.parametrize("seed", range(4))
async def test_processes_at_once_keep_each_senders_order_while_kafka_comes_and_goes(
    database: Dsns, seed: int
) -> None:
    topic, chance = next(_topics), random.Random(seed)
    kafka = MemoryKafka(lambda: chance.choice(FAULTS) if chance.random() < 0.3 else None)
    sending = 6
    async with open_pool(database.app, name="log", max_size=8) as pool:
        processes = [Process(pool, kafka, topic) for _ in range(3)]
        turns = [asyncio.Lock() for _ in processes]  # a process makes one append at a time
        tried: list[int] = []

        async def send(sender: int) -> None:
            """Append one by one to the sender's partition, now by this process and now by that one."""
            for number in range(40):
                which = chance.randrange(len(processes))
                async with turns[which]:
                    await _surely(processes[which], f"{sender}:{number}", sender % PARTITIONS)
            tried.append(sender)

        async def carry(process: Process) -> None:
            while len(tried) < sending:
                await process.carry()
                await asyncio.sleep(chance.random() * 0.005)

        async with asyncio.TaskGroup() as group:
            for sender in range(sending):
                group.create_task(send(sender))
            for process in processes:
                group.create_task(carry(process))
        kafka.fault = lambda: None
        await processes[0].carry_all()
        found = await kafka.counting(pool, topic)
    by_sender: dict[str, list[int]] = defaultdict(list)
    for name in itertools.chain(*found):
        sender, number = name.split(":")
        by_sender[sender].append(int(number))
    assert by_sender == {str(sender): list(range(40)) for sender in range(sending)}


async def _surely(process: Process, name: str, partition: int) -> None:
    while True:
        try:
            await process.append([name], [partition])
        except Killed:
            continue
        return


async def test_senders_that_never_pause_come_back_to_kafka_behind_the_last_spilled_record(
    database: Dsns,
) -> None:
    topic = next(_topics)
    kafka = MemoryKafka(lambda: "refuses")
    async with open_pool(database.app, name="log", max_size=4) as pool:
        process, other = (Process(pool, kafka, topic, step_records=1) for _ in range(2))
        await process.append(["a"], [0])
        await process.append(["b"], [0])
        kafka.fault = lambda: None
        assert await other.carry() == 1
        kafka.answering.clear()
        kafka.asked.clear()
        async with asyncio.TaskGroup() as group:
            last = group.create_task(other.carry())
            await kafka.asked.wait()
            append = group.create_task(process.append(["c"], [0]))
            async with pool.connection() as connection:
                while not await _waits_for_lock(connection):  # noqa: ASYNC110 - of the database
                    await asyncio.sleep(0.01)
            kafka.answering.set()
        assert last.result() == 1
        assert [each.offset for each in append.result()] == [2], "not spilled"
        assert await kafka.counting(pool, topic) == [["a", "b", "c"], [], []]


async def _waits_for_lock(connection: AsyncConnection[Any]) -> bool:
    found = await connection.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock')"
    )
    await connection.commit()
    row = await found.fetchone()
    return row is not None and bool(row[0])


async def test_a_full_spill_refuses_the_whole_append_until_there_is_room(database: Dsns) -> None:
    topic = next(_topics)
    away = True
    kafka = MemoryKafka(lambda: "refuses" if away else None)
    async with open_pool(database.app, name="log", max_size=2) as pool:
        process = Process(pool, kafka, topic, max_records=3)
        assert [each.spilled for each in await process.append(["a", "b"], [0, 1])] == [True, True]
        before = sample("ioc_log_spill_refused_records_total")
        with pytest.raises(LogOverloaded, match=r"at most 3 \(log\.spill_records\)"):
            await process.append(["c", "d"], [0, 1])
        assert sample("ioc_log_spill_refused_records_total") == before + 2
        small = Process(pool, kafka, topic, max_bytes=50)
        with pytest.raises(LogOverloaded, match=r"50 \(log\.spill_bytes\)"):
            await small.append(["e" * 60], [0])
        away = False
        await process.carry_all()
        assert [each.offset for each in await process.append(["c", "d"], [0, 1])] == [1, 1]
        assert await kafka.counting(pool, topic) == [["a", "c"], ["b", "d"], []]


async def test_a_repetition_of_what_is_spilled_is_recognised(database: Dsns) -> None:
    topic = next(_topics)
    kafka = MemoryKafka(lambda: "refuses")
    async with open_pool(database.app, name="log", max_size=2) as pool:
        one, other = Process(pool, kafka, topic), Process(pool, kafka, topic)
        await one.append(["a"], [0])
        assert [each.duplicate for each in await other.append(["a", "b"], [0, 0])] == [True, False]
        await one.tick(1)
        assert all(each.duplicate for each in await other.tick(1))


async def test_a_partition_goes_on_spilling_where_it_is_switched_off_until_it_is_empty(
    database: Dsns,
) -> None:
    topic = next(_topics)
    kafka = MemoryKafka()
    async with open_pool(database.app, name="log", max_size=2) as pool:
        kafka.fault = lambda: "refuses"
        on, off = Process(pool, kafka, topic), Process(pool, kafka, topic, topics=frozenset())
        await on.append(["a"], [0])
        with pytest.raises(LogUnavailable):
            await off.append(["x"], [1])
        kafka.fault = lambda: None
        outcomes = await off.append(["b", "c"], [0, 1])
        assert [each.spilled for each in outcomes] == [True, False], "b must not overtake a"
        await off.carry_all()
        assert await kafka.counting(pool, topic) == [["a", "b"], ["c"], []]


async def test_once_partitions_were_added_a_process_of_before_spills_nothing(database: Dsns) -> None:
    topic = next(_topics)
    async with open_pool(database.app, name="log", max_size=3) as pool:
        process = Process(pool, MemoryKafka(lambda: "refuses"), topic)
        await process.append(["a"], [0])
        async with pool.connection() as connection, connection.transaction():
            waiting = await spill.held_back(connection)
            assert sum(each.records for each in waiting if each.topic == topic) == 1, "who adds is told"
            await change_layout(connection, topic, dict.fromkeys(range(2 * PARTITIONS), 0))
        with pytest.raises(LogRejected, match="start it again"):
            await process.append(["b"], [1])


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0
