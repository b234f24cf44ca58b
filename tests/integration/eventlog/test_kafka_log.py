"""What the log over Kafka promises beyond the port, against a real broker."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client import REGISTRY

from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_consumer import KafkaConsumer
from ioc.eventlog.kafka_reader import KafkaReader
from ioc.eventlog.port import LogReader, LogRejected, LogStuck, LogUnavailable
from ioc.model.records import NewRecord, RecordKind
from ioc.store.embedded import Dsns
from tests.integration.eventlog.kafka_city import (
    PARTITIONS,
    SOON_S,
    TOPIC,
    events,
    read_names,
    running_log,
    settings_for,
    until,
)

START = dict.fromkeys(range(PARTITIONS), 0)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def fail_after_producing(log: KafkaLog, held: asyncio.Event | None = None) -> asyncio.Event:
    """Let the next append reach Kafka and then fail, or with `held` wait; return what is set in between."""
    produce, reached = log._writer._produce, asyncio.Event()

    async def half(*arguments: Any) -> Any:
        log._writer._produce = produce  # type: ignore[method-assign]
        offsets = await produce(*arguments)
        reached.set()
        if held is None:
            raise LogUnavailable("the answer was lost")
        await held.wait()
        return offsets

    log._writer._produce = half  # type: ignore[method-assign]
    return reached


async def test_an_append_that_failed_after_kafka_had_it_counts_nowhere_and_its_repetition_once(
    database: Dsns, kafka: str
) -> None:
    names = [f"n{number}" for number in range(40)]
    async with running_log(database, settings_for(kafka)) as log:
        reader = await log.tail(TOPIC, START)
        fail_after_producing(log)
        with pytest.raises(LogUnavailable):
            await log.append(TOPIC, events(*names))
        assert sum((await log.ends(TOPIC)).values()) == 40, "Kafka has the records"
        assert await reader.poll(100, 0.5) == []
        outcomes = await log.append(TOPIC, events(*names))
        assert not any(outcome.duplicate for outcome in outcomes)
        assert sorted(await read_names(reader, 40)) == sorted(names)
        assert await reader.poll(100, 0.5) == []
        # The same for whoever comes later, and has seen nothing of it happen.
        async with running_log(database, log.kafka) as other:
            assert sorted(await read_names(await other.tail(TOPIC, START), 40)) == sorted(names)


async def test_a_reader_that_came_too_early_gets_the_append_once_it_is_committed(
    database: Dsns, kafka: str
) -> None:
    async with running_log(database, settings_for(kafka)) as log, running_log(database, log.kafka) as other:
        readers = [await log.tail(TOPIC, START), await other.tail(TOPIC, START)]
        go_on = asyncio.Event()
        reached = fail_after_producing(log, go_on)
        async with asyncio.TaskGroup() as group:
            append = group.create_task(_outcome(log, events("a", "b", "c")))
            await reached.wait()
            for reader in readers:
                assert await reader.poll(100, 1.0) == []
            go_on.set()
            assert await append == "appended"
        for reader in readers:
            assert sorted(await read_names(reader, 3)) == ["a", "b", "c"]
            assert reader.lost() == {}


async def test_a_reader_waits_for_an_append_under_way_and_no_longer_than_it_lives(
    database: Dsns, kafka: str
) -> None:
    async with running_log(database, settings_for(kafka)) as log, running_log(database, log.kafka) as other:
        reader = await other.tail(TOPIC, START)
        forever = asyncio.Event()
        reached = fail_after_producing(log, forever)
        async with asyncio.TaskGroup() as group:
            append = group.create_task(_outcome(log, events("a", "b", "c")))
            await reached.wait()
            assert await reader.poll(100, 0.3) == []
            await other.append(TOPIC, events("after"))  # behind one of them, or in a partition of its own
            # The writer's session ends, as it does with its process; it itself knows nothing of it yet.
            async with await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as admin:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'idle in transaction'"
                )
            assert await read_names(reader, 1) == ["after"]
            forever.set()
            assert await append == "LogUnavailable", "a writer that was passed over cannot commit"
        await log.append(TOPIC, events("a", "b", "c"))
        assert sorted(await read_names(reader, 3)) == ["a", "b", "c"]


async def _outcome(log: KafkaLog, records: Sequence[NewRecord]) -> str:
    try:
        await log.append(TOPIC, records)
    except LogUnavailable as error:
        return type(error).__name__
    return "appended"


async def test_records_that_others_put_into_the_topic_are_passed_over_and_counted(
    database: Dsns, kafka: str
) -> None:
    async with running_log(database, settings_for(kafka)) as log:
        before = sample("ioc_log_void_records_total", topic=TOPIC)
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        for headers in ([], [("ioc", b"?")], [("ioc", b"e" + bytes(16))]):
            await producer.send_and_wait(log.kafka.prefix + TOPIC, b"alien", partition=0, headers=headers)
        await producer.stop()
        await log.append_ticks(TOPIC, 1)
        reader = await log.tail(TOPIC, START)
        batches = []
        async with asyncio.timeout(SOON_S):
            while sum(len(batch.records) for batch in batches) < PARTITIONS:
                batches += await reader.poll(10, 1.0)
        assert {r.kind for batch in batches for r in batch.records} == {RecordKind.TICK}
        assert sample("ioc_log_void_records_total", topic=TOPIC) == before + 3


async def test_a_topic_is_made_so_that_nothing_acknowledged_can_be_lost(database: Dsns, kafka: str) -> None:
    async with running_log(database, settings_for(kafka)) as log:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        (answer,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, log.kafka.prefix + TOPIC)]
        )
        await admin.close()
    found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert found["cleanup.policy"] == "delete"
    assert found["min.insync.replicas"] == "1"
    assert found["unclean.leader.election.enable"] == "false"
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["retention.ms"] == str(round(log.settings.never_beyond_s * 1000))


async def test_more_copies_than_brokers_are_refused_with_the_reason(database: Dsns, kafka: str) -> None:
    with pytest.raises(LogRejected, match=r"replication factor of 3.*only 1 broker"):
        async with running_log(database, settings_for(kafka, replication=3)):
            pass


async def test_a_record_that_kafka_would_refuse_is_rejected_alone(database: Dsns, kafka: str) -> None:
    async with running_log(database, settings_for(kafka, record_bytes=1000)) as log:
        big = NewRecord(RecordKind.EVENT, "k", b"x" * 1001, None)
        with pytest.raises(LogRejected, match="more than 1000 bytes"):
            await log.append(TOPIC, [big])
        assert not (await log.append(TOPIC, events("a")))[0].duplicate


async def test_a_group_that_stands_beyond_the_end_is_told_that_the_topic_is_another(
    database: Dsns, kafka: str
) -> None:
    async with running_log(database, settings_for(kafka)) as log:
        await log.append_ticks(TOPIC, 1)
        async with log.connection() as connection:
            await connection.execute(
                "INSERT INTO log_owner (group_name, topic, partition, next_offset)"
                " VALUES ('store', %s, 0, 9)",
                (TOPIC,),
            )
        async with log.consume(TOPIC, "store", "one") as consumer:
            with pytest.raises(LogRejected, match=r"ends before 9.*Another log"):
                await read_names(consumer, PARTITIONS + 1)


async def test_a_named_instance_comes_back_to_its_partitions_without_a_rebalance(
    database: Dsns, kafka: str
) -> None:
    shared = settings_for(kafka)
    async with running_log(database, shared) as log, log.consume(TOPIC, "store", "stays") as stays:
        named = settings_for(kafka, prefix=shared.prefix, instance="rules-1")
        async with running_log(database, named) as first, first.consume(TOPIC, "store", "a") as consumer:
            its = consumer.assigned()
            assert len(its) == PARTITIONS // 2
            async with asyncio.timeout(SOON_S):
                while len(stays.assigned()) != PARTITIONS // 2:
                    await stays.poll(10, 0.1)
        before = sample("ioc_log_rebalances_total", group="store")
        async with running_log(database, named) as again, again.consume(TOPIC, "store", "b") as consumer:
            assert consumer.assigned().keys() == its.keys()
            assert all(consumer.assigned()[p] > its[p] for p in its), "the former incarnation is fenced"
            await stays.poll(10, 0.5)
        # The one that came back was given its partitions; the one that stayed was not disturbed.
        assert sample("ioc_log_rebalances_total", group="store") == before + 1


async def test_a_consumer_that_hangs_is_built_anew_and_goes_on_where_it_was(
    database: Dsns, kafka: str
) -> None:
    async with running_log(database, settings_for(kafka, stuck_s=1.0)) as log:
        await log.append(TOPIC, events("a"))
        async with log.consume(TOPIC, "watched", "one") as consumer:
            assert await read_names(consumer, 1) == ["a"]
            generations = consumer.assigned()
            assert isinstance(consumer, KafkaConsumer)
            hang(consumer)
            await log.append(TOPIC, events("b"))
            assert await read_names(consumer, 1) == ["b"]
            assert consumer.assigned() == generations
    assert sample("ioc_log_consumer_rebuilds_total", group="watched") == 1


async def test_a_consumer_that_no_rebuilding_helps_ends_its_process(
    database: Dsns, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_log(database, settings_for(kafka, stuck_s=0.3, max_rebuilds=1)) as log:
        await log.append(TOPIC, events("a"))
        async with log.consume(TOPIC, "hopeless", "one") as consumer:

            async def nothing(*arguments: object) -> dict[int, object]:
                await asyncio.sleep(0.05)
                return {}

            monkeypatch.setattr(consumer, "_get", nothing)
            with pytest.raises(LogStuck, match="after 1 new consumers"):
                await read_names(consumer, 1)


async def test_a_tail_that_hangs_says_so_instead_of_standing_still(database: Dsns, kafka: str) -> None:
    async with running_log(database, settings_for(kafka, stuck_s=1.0)) as log:
        reader = await log.tail(TOPIC)
        assert isinstance(reader, KafkaReader)
        hang(reader)
        assert await reader.poll(10, 1.5) == [], "nothing is there"
        await log.append(TOPIC, events("a"))
        with pytest.raises(LogUnavailable, match="nothing comes"):
            await read_until_error(reader)


async def read_until_error(reader: LogReader) -> None:
    async with asyncio.timeout(SOON_S):
        while True:
            await reader.poll(10, 1.0)


async def test_a_quiet_topic_is_no_reason_to_rebuild(database: Dsns, kafka: str) -> None:
    async with (
        running_log(database, settings_for(kafka, stuck_s=0.2)) as log,
        log.consume(TOPIC, "quiet", "one") as consumer,
    ):
        for _ in range(10):
            assert await consumer.poll(10, 0.1) == []
    assert sample("ioc_log_consumer_rebuilds_total", group="quiet") == 0


async def test_lag_is_measured_and_forgotten_with_the_partition(database: Dsns, kafka: str) -> None:
    async with running_log(database, settings_for(kafka)) as log:
        await log.append(TOPIC, events(*(f"n{number}" for number in range(100))))
        async with log.consume(TOPIC, "lagging", "one") as consumer:
            assert isinstance(consumer, KafkaConsumer)
            taken = sum(len(batch.records) for batch in await consumer.poll(10, SOON_S))
            consumer._measured_s = 0.0
            await consumer.poll(0, 0)
            left = [
                sample("ioc_log_lag_records", group="lagging", topic=TOPIC, partition=str(number))
                for number in range(PARTITIONS)
            ]
            assert sum(left) == 100 - taken > 0
    assert (
        REGISTRY.get_sample_value(
            "ioc_log_lag_records", {"group": "lagging", "topic": TOPIC, "partition": "0"}
        )
        is None
    )


async def test_a_reader_nobody_holds_gives_its_connection_back(database: Dsns, kafka: str) -> None:
    async with running_log(database, settings_for(kafka)) as log:
        reader = await log.tail(TOPIC)
        assert len(log._tails) == 1
        del reader
        await until(lambda: not log._tails)


def hang(consumer: KafkaReader) -> None:
    """Do to a consumer what aiokafka's issue 1154 does: it lives, and fetches nothing."""
    assert consumer._consumer is not None
    consumer._consumer._fetcher._fetch_task.cancel()
